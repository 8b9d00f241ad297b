from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gainer_ns.exporting.gaussians import write_points
from gainer_ns.exporting.lifted import comments_on, lifted_gaussians
from gainer_ns.exporting.splat import principal_frames, splat_growth, write_splat
from gainer_ns.lifting.scene import LiftedScene

Make = Callable[..., LiftedScene]
BOX = (16, 12, 32, 24)


def vertices(path: Path) -> dict[str, np.ndarray]:
    data = trimesh.load(path, process=False).metadata["_ply_raw"]["vertex"]["data"]
    return {name: np.asarray(data[name], dtype=np.float64) for name in data.dtype.names}


def columns(data: dict[str, np.ndarray], *names: str) -> np.ndarray:
    return np.stack([data[name] for name in names], axis=1)


def covariances(data: dict[str, np.ndarray]) -> np.ndarray:
    scales = np.exp(columns(data, "scale_0", "scale_1", "scale_2"))
    turns = Rotation.from_quat(columns(data, "rot_1", "rot_2", "rot_3", "rot_0")).as_matrix()
    return turns @ (scales[:, :, None] ** 2 * turns.transpose(0, 2, 1))


def splatted(data: dict[str, np.ndarray], scene: LiftedScene) -> tuple[np.ndarray, np.ndarray]:
    """What a viewer of splats draws of the photo's own view: colours on black, and alpha (Zwicker et al., 2001)."""
    camera, means = scene.camera, columns(data, "x", "y", "z") - [0, 0, 1]
    focal, depth = camera.focal_length[0], -means[:, 2]
    u, v = camera.centre[0] + focal * means[:, 0] / depth, camera.centre[1] - focal * means[:, 1] / depth
    projection = np.zeros((len(means), 2, 3))
    projection[:, 0, 0], projection[:, 0, 2] = focal / depth, focal * means[:, 0] / depth**2
    projection[:, 1, 1], projection[:, 1, 2] = -focal / depth, -focal * means[:, 1] / depth**2
    precisions = np.linalg.inv(projection @ covariances(data) @ projection.transpose(0, 2, 1))
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    colours = columns(data, "f_dc_0", "f_dc_1", "f_dc_2") / (2 * np.sqrt(np.pi)) + 0.5
    opacities = 1 / (1 + np.exp(-data["opacity"]))
    image, through = np.zeros((camera.height, camera.width, 3)), np.ones((camera.height, camera.width))
    for i in np.argsort(depth):
        offset = np.stack([x - u[i], y - v[i]], axis=-1)
        alpha = opacities[i] * np.exp(-0.5 * np.einsum("hwi,ij,hwj->hw", offset, precisions[i], offset))
        image += (through * alpha)[..., None] * colours[i]
        through = through * (1 - alpha)
    return image, 1 - through


def test_a_viewer_shows_the_photo(lifted_scene: Make, tmp_path: Path) -> None:
    scene = lifted_scene((0.8, 1.2), BOX)
    growth = write_splat(tmp_path / "splat.ply", lifted_gaussians(scene))
    assert 0.7 < growth < 1.2
    image, alpha = splatted(vertices(tmp_path / "splat.ply"), scene)
    rgb = scene.raster()[0].numpy()
    inside = (slice(3, -3), slice(3, -3))
    assert alpha[inside].min() > 0.9
    assert -10 * np.log10(np.square(image - rgb)[inside].mean()) > 28


def test_splats_lie_as_the_discs_do(lifted_scene: Make, tmp_path: Path) -> None:
    scene = lifted_scene((1.0,), BOX)
    gaussians = lifted_gaussians(scene)
    growth = write_splat(tmp_path / "splat.ply", gaussians)
    data = vertices(tmp_path / "splat.ply")
    np.testing.assert_allclose(columns(data, "x", "y", "z"), gaussians.means, atol=1e-6)
    expected = gaussians.covariances.double().numpy().copy()
    expected[:, :2, :2] *= growth**2
    np.testing.assert_allclose(covariances(data), expected, rtol=1e-3, atol=1e-10)


def test_colours_and_opacities_are_what_rays_see(lifted_scene: Make) -> None:
    scene = lifted_scene((1.0,), BOX)
    gaussians = lifted_gaussians(scene)
    rgb, alpha = scene.raster()
    pixel, _ = scene.camera.project(gaussians.means - torch.tensor([0.0, 0, 1]))
    column, row = pixel.floor().long().unbind(dim=1)
    torch.testing.assert_close(gaussians.alphas, alpha[row, column, 0], atol=1e-2, rtol=0)
    torch.testing.assert_close(gaussians.colours, rgb[row, column], atol=2e-3, rtol=0)


def test_what_is_transparent_is_left_out_and_numbers_stay(lifted_scene: Make, tmp_path: Path) -> None:
    scene = lifted_scene((0.8, 1.2), BOX)
    gaussians = lifted_gaussians(scene)
    counts = [len(layer.gaussians) for layer in scene.layers]
    assert len(gaussians.means) < sum(counts) and float(gaussians.alphas.min()) > 0
    numbers = gaussians.numbers
    assert numbers is not None and bool((numbers.diff() > 0).all()) and int(numbers.max()) == sum(counts) - 1
    means = torch.cat([layer.gaussians.means for layer in scene.layers])
    assert torch.equal(means[numbers], gaussians.means)
    write_points(tmp_path / "points.ply", gaussians, comments_on(scene))
    data = vertices(tmp_path / "points.ply")
    assert list(data) == ["x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "alpha", "gaussian_id"]
    assert np.array_equal(data["gaussian_id"], numbers.numpy())
    np.testing.assert_allclose(columns(data, "nx", "ny", "nz"), [[0, 0, 1]] * len(numbers), atol=1e-5)
    np.testing.assert_allclose(columns(data, "red", "green", "blue") / 255, gaussians.colours, atol=3e-3)


@pytest.mark.parametrize(("metric", "said"), [(True, "A unit is 2.5 metres"), (False, "true lengths are not known")])
def test_a_file_says_how_long_a_unit_is(metric: bool, said: str, lifted_scene: Make, tmp_path: Path) -> None:
    made = lifted_scene((1.0,), BOX)
    scene = LiftedScene(made.camera, made.layers, 2.5, metric)
    write_splat(tmp_path / "splat.ply", lifted_gaussians(scene), comments_on(scene))
    header = (tmp_path / "splat.ply").read_bytes().split(b"end_header")[0].decode("ascii")
    assert said in header and "taken from 0 0 1" in header
    assert max(map(len, header.splitlines())) < 100


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.tuples(*[st.floats(0.01, 1)] * 3))
def test_principal_frames_make_the_covariance_again(
    turn: tuple[float, float, float], sizes: tuple[float, float, float]
) -> None:
    axes = torch.from_numpy(Rotation.from_rotvec(turn).as_matrix())
    covariance = axes @ torch.diag(torch.tensor(sizes, dtype=torch.float64) ** 2) @ axes.T
    found, deviations = principal_frames(covariance[None])
    assert float(torch.linalg.det(found)) == pytest.approx(1)
    assert bool((deviations.diff() <= 0).all())
    torch.testing.assert_close(found[0] @ torch.diag(deviations[0] ** 2) @ found[0].T, covariance)


def test_the_size_does_not_depend_on_where_and_how_a_surface_lies(lifted_scene: Make) -> None:
    gaussians = lifted_gaussians(lifted_scene((1.0,), BOX))
    turn = torch.from_numpy(Rotation.from_euler("xyz", [70, 20, 40], degrees=True).as_matrix()).float()
    turned = gaussians._replace(
        means=3 * gaussians.means @ turn.T, covariances=9 * turn @ gaussians.covariances @ turn.T
    )
    assert splat_growth(turned) == pytest.approx(splat_growth(gaussians), rel=0.051)
