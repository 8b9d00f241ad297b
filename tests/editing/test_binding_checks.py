"""Meshes in other units, axes and places than the picture's are not bound without a word."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gainer_ns.editing.binding import bind
from gainer_ns.errors import GainerError
from gainer_ns.exporting.cage import cage_over
from gainer_ns.exporting.gaussians import triangle_corners
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.io.mesh_frames import read_frames
from gainer_ns.io.meshes import MeshFile, write_ply

PLANE = ImagePlane(24, 16)
POINTS = lattice_means(PLANE, jitter=0.3).double()
Move = Callable[[Tensor], Tensor]


def cage() -> MeshFile:
    made = cage_over(PLANE, POINTS, 6)
    return MeshFile(Path("cage.obj"), torch.from_numpy(made.vertices), torch.from_numpy(made.faces))


def soup() -> MeshFile:
    corners = triangle_corners(POINTS, 1e-4 * torch.eye(2).expand(len(POINTS), 2, 2)).reshape(-1, 2)
    vertices = torch.cat([corners, torch.zeros(len(corners), 1)], dim=1)
    return MeshFile(Path("soup.ply"), vertices, torch.arange(len(corners)).view(-1, 3))


def cloud() -> MeshFile:
    vertices = torch.cat([POINTS, torch.zeros(len(POINTS), 1)], dim=1)
    return MeshFile(Path("points.ply"), vertices, torch.empty(0, 3, dtype=torch.int64), torch.arange(len(POINTS)))


def moved(mesh: MeshFile, move: Move) -> MeshFile:
    return replace(mesh, vertices=move(mesh.vertices))


def by(*factors: float) -> Move:
    return lambda vertices: vertices * torch.tensor(factors, dtype=torch.float64)


def to(*offset: float) -> Move:
    return lambda vertices: vertices + torch.tensor(offset, dtype=torch.float64)


KINDS = pytest.mark.parametrize("mesh", [cage(), soup(), cloud()], ids=lambda mesh: mesh.path.stem)


@KINDS
@pytest.mark.parametrize(
    "move",
    [
        pytest.param(by(100, 100, 100), id="centimetres"),
        pytest.param(by(10, 10, 10), id="millimetres of centimetres"),
        pytest.param(by(0.01, 0.01, 0.01), id="metres"),
        pytest.param(lambda vertices: PLANE.width * (vertices + 0.5), id="pixels"),
        pytest.param(to(5, 0, 0), id="beside"),
        pytest.param(to(0, -900, 0), id="far below"),
        pytest.param(lambda vertices: vertices[:, [0, 2, 1]], id="upright"),
    ],
)
def test_references_elsewhere_are_refused(mesh: MeshFile, move: Move) -> None:
    with pytest.raises(GainerError, match=rf"{mesh.path}: .*export") as caught:
        bind(moved(mesh, move), POINTS)
    assert "\n" not in str(caught.value)


@KINDS
def test_references_in_their_place_are_bound_without_a_word(mesh: MeshFile, caplog: pytest.LogCaptureFixture) -> None:
    bind(mesh, POINTS)
    list(read_frames([], mesh))
    assert not caplog.records


@pytest.mark.parametrize("factor", [0.4, 1.5, 5.0])
def test_meshes_of_other_sizes_may_be_meant(factor: float, caplog: pytest.LogCaptureFixture) -> None:
    bind(moved(cage(), by(factor, factor, 1)), POINTS)
    assert not caplog.records


@pytest.mark.parametrize(
    ("move", "says"),
    [
        pytest.param(by(1, -1, 1), "look away", id="y down"),
        pytest.param(lambda vertices: vertices[:, [1, 0, 2]], "look away", id="x and y swapped"),
        pytest.param(by(0.1, 0.1, 0.1), "holds only", id="small"),
        pytest.param(to(1.1, 0, 0), "holds only", id="slipped"),
    ],
)
def test_odd_references_get_one_line(move: Move, says: str, caplog: pytest.LogCaptureFixture) -> None:
    bind(moved(cage(), move), POINTS)
    (record,) = caplog.records
    assert record.getMessage().startswith("cage.obj: ") and says in record.getMessage()


def test_a_mesh_over_a_part_may_be_named_by_numbers() -> None:
    few = torch.tensor([5, 6, 30])
    part = replace(cloud(), vertices=cloud().vertices[few], ids=few)
    bind(part, POINTS)


@KINDS
@pytest.mark.parametrize(
    ("move", "says"),
    [
        pytest.param(by(1, 1, 1), "", id="as it was"),
        pytest.param(to(0.5, -0.9, 3), "", id="moved"),
        pytest.param(lambda vertices: vertices[:, [1, 0, 2]] * torch.tensor([-1, 1, 1]), "", id="turned"),
        pytest.param(by(100, 100, 100), "100 times as large", id="larger"),
        pytest.param(by(1e-3, 1e-3, 1e-3), "0.001 times as large", id="smaller"),
        pytest.param(to(7, 0, 0), "lies far away", id="far away"),
        pytest.param(by(1, -1, 1), "mirrored", id="y down"),
        pytest.param(lambda vertices: vertices[:, [1, 0, 2]], "mirrored", id="x and y swapped"),
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_first_frames_elsewhere_get_one_line(
    mesh: MeshFile, move: Move, says: str, number: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = []
    for frame in range(2):
        vertices = (move(mesh.vertices) if frame == number else mesh.vertices).numpy()
        columns = dict(zip("xyz", vertices.T, strict=True))
        if mesh.ids is not None:
            columns["gaussian_id"] = mesh.ids.numpy().astype("i4")
        files.append(tmp_path / f"{frame}.ply")
        write_ply(files[-1], columns, mesh.faces.numpy() if len(mesh.faces) else None)
    assert len(list(read_frames(files, mesh))) == 2, "it may be meant"
    messages = [record.getMessage() for record in caplog.records]
    if says and number == 0:
        assert len(messages) == 1 and messages[0].startswith(str(files[0])) and says in messages[0]
    else:
        assert not messages
