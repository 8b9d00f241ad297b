from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import open3d
import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns.editing.script import Script
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.exporting.gaussians import (
    PlainGaussians,
    gaussians_of_triangles,
    plain_gaussians,
    triangle_corners,
    write_points,
    write_triangles,
)
from gainer_ns.io.meshes import read_mesh
from gainer_ns.rendering.plane import BakedPicture

MakePicture = Callable[..., BakedPicture]


def random_covariances(count: int) -> torch.Tensor:
    factors = torch.randn(count, 2, 2, dtype=torch.float64)
    return 1e-3 * (factors @ factors.mT + 0.01 * torch.eye(2, dtype=torch.float64))


def test_triangles_keep_means_and_covariances() -> None:
    means, covariances = torch.rand(200, 2, dtype=torch.float64), random_covariances(200)
    back = gaussians_of_triangles(triangle_corners(means, covariances))
    torch.testing.assert_close(back, (means, covariances))


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_an_affine_map_of_the_triangles_is_that_of_the_gaussians(numbers: list[float]) -> None:
    matrix, offset = torch.tensor(numbers[:4]).double().view(2, 2), torch.tensor(numbers[4:]).double()
    means, covariances = torch.rand(20, 2, dtype=torch.float64), random_covariances(20)
    moved, spread = gaussians_of_triangles(triangle_corners(means, covariances) @ matrix.T + offset)
    torch.testing.assert_close(moved, means @ matrix.T + offset)
    torch.testing.assert_close(spread, matrix @ covariances @ matrix.T, rtol=1e-6, atol=1e-9)


def test_no_triangle_is_degenerate() -> None:
    flat = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    corners = triangle_corners(torch.zeros(3, 2), 1e-4 * flat)
    sides = corners[:, 1:] - corners[:, :1]
    assert bool((torch.linalg.det(sides) > 0).all())


@pytest.mark.parametrize("cut_out", [False, True])
def test_points_are_the_means_in_order(picture: MakePicture, cut_out: bool, tmp_path: Path) -> None:
    made = picture(cut_out=cut_out)
    write_points(tmp_path / "points.ply", plain_gaussians(made))
    read = trimesh.load(tmp_path / "points.ply", process=False)
    np.testing.assert_allclose(read.vertices[:, :2], made.gaussians.means.numpy(), atol=1e-7)
    assert (read.vertices[:, 2] == 0).all()
    drawn = made.at(made.gaussians.means)
    levels = (torch.cat([drawn.rgb.clamp(0, 1), drawn.alpha], dim=1) * 255).round()
    np.testing.assert_array_equal(read.colors, levels.numpy())
    others = open3d.t.io.read_point_cloud(str(tmp_path / "points.ply")).point
    np.testing.assert_array_equal(others["gaussian_id"].numpy()[:, 0], np.arange(len(made.gaussians)))
    np.testing.assert_array_equal(others["colors"].numpy(), levels[:, :3].numpy())


def test_triangles_are_a_soup_in_order(picture: MakePicture, tmp_path: Path) -> None:
    made = picture()
    gaussians, count = plain_gaussians(made), len(made.gaussians)
    write_triangles(tmp_path / "triangles.ply", gaussians)
    read = trimesh.load(tmp_path / "triangles.ply", process=False)
    np.testing.assert_array_equal(read.faces, np.arange(3 * count).reshape(-1, 3))
    corners = torch.from_numpy(read.vertices[:, :2].reshape(count, 3, 2))
    means, covariances = gaussians_of_triangles(corners)
    torch.testing.assert_close(means, gaussians.means.double(), rtol=0, atol=1e-7)
    torch.testing.assert_close(covariances, gaussians.covariances.double(), rtol=1e-3, atol=1e-9)
    ids = read.metadata["_ply_raw"]["vertex"]["data"]["gaussian_id"]
    np.testing.assert_array_equal(ids, np.repeat(np.arange(count), 3))
    other = open3d.io.read_triangle_mesh(str(tmp_path / "triangles.ply"))
    assert len(other.triangles) == count and other.has_vertex_colors()


def test_gaussians_beyond_the_frame_have_colours(picture: MakePicture) -> None:
    made = picture()
    gaussians = made.gaussians
    wide = made.with_gaussians(gaussians.transformed(1.5 * gaussians.means, 1.5 * torch.eye(2)[None]))
    torch.testing.assert_close(plain_gaussians(wide).colours, plain_gaussians(made).colours, rtol=0, atol=2e-3)


def test_an_edited_picture_is_where_it_has_gone(picture: MakePicture) -> None:
    """Turned by 90 degrees: each Gaussian is where that leads, shaped by it, and of the colour it had."""
    made, turn = picture(), torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    script = Script.model_validate({"edits": [{"rotate": {"degrees": 90}}, {"scale": {"factor": [2, 1]}}]})
    found, before = plain_gaussians(Stage(script, made).at(1.0)), plain_gaussians(made)
    stretched = torch.diag(torch.tensor([2.0, 1.0])) @ turn
    torch.testing.assert_close(found.means, before.means @ stretched.T, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.covariances, stretched @ before.covariances @ stretched.T, rtol=1e-3, atol=1e-9)
    torch.testing.assert_close(found.colours, before.colours, rtol=0, atol=2e-3)
    torch.testing.assert_close(found.alphas, before.alphas, rtol=0, atol=1e-3)


def test_a_part_of_a_picture_has_the_gaussians_that_show(picture: MakePicture, tmp_path: Path) -> None:
    made = picture()
    script = Script.model_validate(
        {"edits": [{"select": {"box": [4, 4, 12, 12]}, "move": {"by": [6, 0]}, "mode": "piece"}]}
    )
    moved = Stage(script, made).at(1.0)
    found = plain_gaussians(replace(moved, layers=moved.layers[1:]))
    inside = made.plane.pixel_from_plane(found.means).sub(torch.tensor([6.0, 0.0]))
    solid = found.alphas > 0.99
    assert 64 == int(solid.sum()) <= len(found.means) <= 100
    assert bool(((inside[solid] > 4) & (inside[solid] < 12)).all())
    nearest = torch.cdist(found.means[solid], made.gaussians.means + 6 * made.plane.pixel_size * torch.eye(2)[0])
    same = plain_gaussians(made).colours[nearest.argmin(dim=1)]
    torch.testing.assert_close(found.colours[solid], same, rtol=0, atol=2e-3)
    write_points(tmp_path / "points.ply", found)
    assert len(read_mesh(tmp_path / "points.ply").vertices) == len(found.means)


def test_several_layers_are_refused(picture: MakePicture) -> None:
    made = picture()
    with pytest.raises(GainerError, match="2 layers"):
        plain_gaussians(replace(made, layers=made.layers * 2))


def test_what_cannot_be_written_leaves_nothing(picture: MakePicture, tmp_path: Path) -> None:
    (tmp_path / "points.ply").mkdir()
    gaussians: PlainGaussians = plain_gaussians(picture())
    with pytest.raises(GainerError, match=r"points\.ply"):
        write_points(tmp_path / "points.ply", gaussians)
    assert [path.name for path in tmp_path.iterdir()] == ["points.ply"]
