import functools
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.editing.binding import MeshBinding, PointBinding, bind, nearest_triangles
from gainer_ns.errors import GainerError
from gainer_ns.exporting.cage import cage_over
from gainer_ns.exporting.gaussians import PlainGaussians, gaussians_of_triangles, triangle_corners, write_triangles
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.io.meshes import MeshFile, read_mesh

PLANE = ImagePlane(48, 32)
EYE = torch.eye(2, dtype=torch.float64)
numbers = st.floats(-2, 2)
affine = st.tuples(numbers, numbers, numbers, numbers, numbers, numbers)


def means() -> Tensor:
    return lattice_means(PLANE, jitter=0.3).double()


def cage(cells: int = 6) -> MeshFile:
    made = cage_over(PLANE, means(), cells)
    return MeshFile(Path("cage.obj"), torch.from_numpy(made.vertices), torch.from_numpy(made.faces))


def soup(points: Tensor) -> MeshFile:
    sizes = 1e-4 * (1 + torch.rand(len(points), 1, 1, dtype=torch.float64)) * EYE
    corners = triangle_corners(points, sizes).reshape(-1, 2)
    vertices = torch.cat([corners, torch.zeros(len(corners), 1)], dim=1)
    return MeshFile(Path("soup.ply"), vertices, torch.arange(len(corners)).view(-1, 3))


def cloud(points: Tensor) -> MeshFile:
    vertices = torch.cat([points, torch.zeros(len(points), 1)], dim=1)
    order = torch.randperm(len(points))
    return MeshFile(Path("points.ply"), vertices[order], torch.empty(0, 3, dtype=torch.int64), order)


@functools.cache  # nothing changes them
def bindings() -> list[tuple[MeshFile, MeshBinding | PointBinding]]:
    points = means()
    references = [cage(), soup(points), cloud(points)]
    return [(mesh, bind(mesh, points)) for mesh in references]


def mapped(vertices: Tensor, numbers: tuple[float, ...]) -> tuple[Tensor, Tensor, Tensor]:
    matrix, offset = torch.tensor(numbers[:4]).double().view(2, 2), torch.tensor(numbers[4:]).double()
    flat = vertices[:, :2] @ matrix.T + offset
    return torch.cat([flat, torch.randn(len(flat), 1)], dim=1), matrix, offset


def test_an_unmoved_reference_changes_nothing() -> None:
    for mesh, binding in bindings():
        places, jacobians = binding.at(mesh.vertices)
        torch.testing.assert_close(places, means(), rtol=0, atol=1e-12)
        torch.testing.assert_close(jacobians, EYE.expand_as(jacobians), rtol=0, atol=1e-9)


@given(affine)
def test_an_affine_map_of_the_reference_is_that_of_the_points(numbers: tuple[float, ...]) -> None:
    for mesh, binding in bindings():
        vertices, matrix, offset = mapped(mesh.vertices, numbers)
        places, jacobians = binding.at(vertices)
        torch.testing.assert_close(places, means() @ matrix.T + offset, rtol=0, atol=1e-9)
        torch.testing.assert_close(jacobians, matrix.expand_as(jacobians), rtol=0, atol=1e-7)


def test_results_are_as_the_points_are() -> None:
    for mesh in (cage(), cloud(means())):
        places, jacobians = bind(mesh, means().float()).at(mesh.vertices)
        assert places.dtype == jacobians.dtype == torch.float32


def test_triangles_move_gaussians_as_they_move_themselves(tmp_path: Path) -> None:
    points = means()
    factors = 0.01 * torch.randn(len(points), 2, 2, dtype=torch.float64)
    covariances = factors @ factors.mT + 1e-4 * EYE
    colours = torch.rand(len(points), 4)
    write_triangles(tmp_path / "soup.ply", PlainGaussians(points, covariances, colours[:, :3], colours[:, 3]))
    mesh = read_mesh(tmp_path / "soup.ply")
    vertices = mesh.vertices + 0.002 * torch.randn_like(mesh.vertices)
    places, jacobians = bind(mesh, points).at(vertices)
    moved = GaussianSet(points, covariances, torch.zeros(len(points), 1), 1.0).transformed(places, jacobians)
    expected = gaussians_of_triangles(vertices[:, :2].view(-1, 3, 2))
    torch.testing.assert_close((moved.means, moved.covariances), expected, rtol=1e-3, atol=1e-6)


def test_a_soup_in_another_order_is_known_by_its_numbers() -> None:
    points = means()
    plain = soup(points)
    order = torch.randperm(len(points))
    vertices = plain.vertices.view(-1, 3, 3)[order].reshape(-1, 3)
    shuffled = MeshFile(plain.path, vertices, plain.faces, order.repeat_interleave(3))
    moved = vertices.clone()
    moved[:, 0] += 0.1 * order.repeat_interleave(3)
    places, _ = bind(shuffled, points).at(moved)
    torch.testing.assert_close(places[:, 0], points[:, 0] + 0.1 * torch.arange(len(points)))


def wave(points: Tensor) -> Tensor:
    x, y = points[:, 0], points[:, 1]
    return torch.stack([x + 0.03 * torch.sin(4 * y), y + 0.04 * torch.cos(5 * x)], dim=1)


@pytest.mark.parametrize("kind", ["cage", "points"])
def test_a_smooth_map_is_followed(kind: str) -> None:
    points = means()
    mesh = cage(48) if kind == "cage" else cloud(points)
    places, jacobians = bind(mesh, points).at(wave(mesh.vertices))
    exact = torch.func.vmap(torch.func.jacfwd(lambda point: wave(point[None])[0]))(points)
    assert float((places - wave(points)).abs().max()) < 2e-4
    assert float((jacobians - exact).abs().max()) < (0.06 if kind == "cage" else 0.02)  # of a triangle, as a whole


def test_height_plays_no_part() -> None:
    mesh = cage()
    binding = bind(mesh, means())
    lifted = mesh.vertices + torch.tensor([0.0, 0.0, 3.0])
    torch.testing.assert_close(binding.at(lifted), binding.at(mesh.vertices))


def test_what_becomes_flat_stays_finite() -> None:
    for mesh, binding in bindings():
        places, jacobians = binding.at(mesh.vertices * torch.tensor([1.0, 0.0, 1.0]))
        assert bool(places.isfinite().all()) and bool(jacobians.isfinite().all())
        assert float(torch.linalg.det(jacobians).abs().max()) < 1e-9


def test_points_beside_the_mesh_follow_the_nearest_triangle() -> None:
    square = torch.tensor([[-0.1, -0.1, 0], [0.1, -0.1, 0], [0.1, 0.1, 0], [-0.1, 0.1, 0]], dtype=torch.float64)
    mesh = MeshFile(Path("part.obj"), square, torch.tensor([[0, 1, 2], [0, 2, 3]]))
    places, jacobians = bind(mesh, means()).at(square + torch.tensor([0.2, 0.0, 0.0]))
    torch.testing.assert_close(places, means() + torch.tensor([0.2, 0.0]))
    torch.testing.assert_close(jacobians, EYE.expand_as(jacobians))


def test_the_nearest_triangle_is_found_as_by_trying_all() -> None:
    torch.manual_seed(3)
    corners = torch.rand(300, 1, 2).double() + torch.rand(300, 3, 2).double() * torch.rand(300, 1, 1) ** 4
    points = 4 * torch.rand(400, 2).double() - 1
    owners, distances = nearest_triangles(points, corners)
    triangles = torch.nn.functional.pad(corners, (0, 1)).numpy()
    for point, owner, distance in zip(points, owners, distances, strict=True):
        place = np.array([[*point.tolist(), 0.0]])
        closest = trimesh.triangles.closest_point(triangles, place.repeat(len(triangles), axis=0))
        apart = np.linalg.norm(closest - place, axis=1)
        assert abs(apart.min() - float(distance)) < 1e-9 and abs(apart[owner] - float(distance)) < 1e-9


def test_degenerate_reference_triangles_hold_nothing() -> None:
    mesh = cage()
    sliver = torch.tensor([[0, 1, 2], [5, 5, 6]])  # three corners of one row, and an edge
    faces = torch.cat([sliver, mesh.faces])
    vertices, matrix, offset = mapped(mesh.vertices, (1.0, 0.5, -0.2, 2.0, 0.1, 0.2))
    places, jacobians = bind(MeshFile(mesh.path, mesh.vertices, faces), means()).at(vertices)
    torch.testing.assert_close(places, means() @ matrix.T + offset)
    torch.testing.assert_close(jacobians, matrix.expand_as(jacobians))


def test_some_points_carry_the_rest() -> None:
    points = means()
    chosen = torch.randperm(len(points))[: len(points) // 4]
    mesh = cloud(points)
    kept = torch.isin(mesh.ids, chosen)  # type: ignore[arg-type]
    part = MeshFile(mesh.path, mesh.vertices[kept], mesh.faces, mesh.ids[kept])  # type: ignore[index]
    vertices, matrix, offset = mapped(part.vertices, (1.0, 0.5, -0.2, 2.0, 0.1, 0.2))
    places, jacobians = bind(part, points).at(vertices)
    torch.testing.assert_close(places, points @ matrix.T + offset, rtol=0, atol=1e-6)
    torch.testing.assert_close(jacobians, matrix.expand_as(jacobians), rtol=0, atol=1e-6)


def test_points_in_a_line_do_not_turn_the_others() -> None:
    line = torch.stack([torch.linspace(-0.4, 0.4, 48), torch.zeros(48)], dim=1).double()
    ids = torch.arange(48)
    mesh = MeshFile(Path("line.ply"), torch.nn.functional.pad(line, (0, 1)), cloud(line).faces, ids)
    places, jacobians = bind(mesh, line).at(mesh.vertices + torch.tensor([0.1, 0.2, 0.0]))
    torch.testing.assert_close(places, line + torch.tensor([0.1, 0.2]))
    torch.testing.assert_close(jacobians, EYE.expand_as(jacobians))


def refused(mesh: MeshFile) -> str:
    with pytest.raises(GainerError) as error:
        bind(mesh, means())
    assert str(error.value).startswith(str(mesh.path)) and "\n" not in str(error.value)
    return str(error.value)


def test_references_that_do_not_fit_are_refused() -> None:
    mesh, points = cage(), cloud(means())
    assert "beside the picture" in refused(MeshFile(mesh.path, mesh.vertices + 5.0, mesh.faces))
    assert "no area" in refused(MeshFile(mesh.path, mesh.vertices[:, [0, 2, 1]], mesh.faces))
    assert "not the Gaussians" in refused(soup(means() + 0.5))
    assert "no gaussian_id" in refused(MeshFile(points.path, points.vertices, points.faces))
    assert points.ids is not None
    assert "not of this picture" in refused(MeshFile(points.path, points.vertices, points.faces, points.ids + 1))
    doubled = points.ids.clone()
    doubled[0] = doubled[1]
    assert "twice" in refused(MeshFile(points.path, points.vertices, points.faces, doubled))
    assert "not the Gaussians" in refused(MeshFile(points.path, points.vertices.flip(0), points.faces, points.ids))
    assert "at least three" in refused(MeshFile(points.path, points.vertices[:2], points.faces, points.ids[:2]))


def test_moved_vertices_that_do_not_fit_are_refused() -> None:
    for mesh, binding in bindings():
        with pytest.raises(GainerError, match="keeping all"):
            binding.at(mesh.vertices[1:])
        with pytest.raises(GainerError, match="no numbers"):
            binding.at(mesh.vertices.index_fill(0, torch.tensor([3]), torch.nan))
