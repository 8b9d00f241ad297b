"""Pictures that follow a cage, triangles or points."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.editing.bound_picture import BoundPicture
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.exporting.cage import cage_over
from gainer_ns.exporting.gaussians import triangle_corners
from gainer_ns.io.meshes import MeshFile
from gainer_ns.rendering.plane import BakedPicture

KINDS = ("cage", "triangles", "points")

Draw = Callable[..., Any]
Compare = Callable[[Any, Any], float]


def reference(picture: BakedPicture, kind: str) -> MeshFile:
    gaussians = picture.gaussians
    means, ids = gaussians.means.double(), torch.arange(len(gaussians))
    if kind == "cage":
        cage = cage_over(picture.plane, means, 12)
        return MeshFile(Path("cage.obj"), torch.from_numpy(cage.vertices), torch.from_numpy(cage.faces))
    if kind == "triangles":
        corners = triangle_corners(means, gaussians.covariances.expand(len(means), 2, 2)).view(-1, 2)
        faces = torch.arange(len(corners)).view(-1, 3)
        return MeshFile(Path("triangles.ply"), flat(corners), faces, ids.repeat_interleave(3))
    return MeshFile(Path("points.ply"), flat(means), torch.empty(0, 3, dtype=torch.int64), ids)


def flat(places: Tensor) -> Tensor:
    return torch.cat([places, torch.zeros(len(places), 1, dtype=places.dtype)], dim=1)


def turned(vertices: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    return flat(vertices[:, :2] @ matrix.T + offset)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["landscape", "cutout"])
def test_unmoved_it_is_the_picture_at_any_scale(
    name: str, kind: str, request: pytest.FixtureRequest, seen: Draw, psnr: Compare
) -> None:
    picture = request.getfixturevalue(name)
    mesh = reference(picture, kind)
    rounded = torch.round(mesh.vertices * 1e6) / 1e6  # as OBJ files of other programs hold them
    bound = BoundPicture(picture, mesh)
    for vertices, least in ((mesh.vertices, 90), (rounded, 60)):
        for scale in (0.5, 1, 2):
            assert psnr(seen(bound.at(vertices), scale), seen(picture, scale)) > least


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "edit", [{"move": {"by": [5.5, -3.25]}}, {"rotate": {"degrees": 30}}, {"scale": {"factor": [1.6, 0.7]}}], ids=str
)
@pytest.mark.parametrize("name", ["landscape", "cutout"])
def test_it_moves_as_an_edit_does(
    name: str, edit: dict[str, Any], kind: str, request: pytest.FixtureRequest, staged: Draw, seen: Draw, psnr: Compare
) -> None:
    picture: BakedPicture = request.getfixturevalue(name)
    mesh, plane = reference(picture, kind), picture.plane
    stage: Stage = staged(picture, edit)
    (step,) = stage.script.edits[0].operations
    box = (0.0, 0.0, float(plane.width), float(plane.height))
    pixels = step.map(plane.pixel_from_plane(mesh.vertices[:, :2]), amount=1.0, box=box)
    moved = BoundPicture(picture, mesh).at(flat(plane.plane_from_pixel(pixels)))
    crop = (-20.0, -20.0, plane.width + 20.0, plane.height + 20.0)
    assert psnr(seen(moved, 1, crop), seen(stage.at(1.0), 1, crop)) > 55
    assert psnr(seen(moved, 1, crop), seen(picture, 1, crop)) < 30


@settings(max_examples=12)
@given(numbers=st.tuples(*[st.floats(-0.5, 0.5)] * 4), kind=st.sampled_from(KINDS))
def test_any_affine_map_moves_what_is_seen(numbers: tuple[float, ...], kind: str, landscape: BakedPicture) -> None:
    """What is at a place after the map is what was where the map took it from."""
    matrix = torch.eye(2, dtype=torch.float64) + torch.tensor(numbers, dtype=torch.float64).view(2, 2)
    assume(float(torch.linalg.det(matrix)) > 0.3)
    mesh, offset = reference(landscape, kind), torch.tensor([0.1, -0.2], dtype=torch.float64)
    after = BoundPicture(landscape, mesh).at(turned(mesh.vertices, matrix, offset))
    before = (torch.rand(500, 2, dtype=torch.float64) - 0.5) * torch.tensor([0.85, 0.6])  # away from the frame
    drawn, expected = after.at((before @ matrix.T + offset).float()), landscape.at(before.float())
    torch.testing.assert_close(drawn.rgb, expected.rgb, rtol=0, atol=2e-3)
    torch.testing.assert_close(drawn.alpha, expected.alpha, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_its_frame_moves_along(kind: str, landscape: BakedPicture, seen: Draw) -> None:
    mesh, plane = reference(landscape, kind), landscape.plane
    step = torch.tensor([10 * plane.pixel_size, 0.0, 0.0], dtype=torch.float64)
    after = seen(BoundPicture(landscape, mesh).at(mesh.vertices + step), 1, (-10.0, 0.0, 84.0, 48.0))
    assert not after.alpha[:, :19].any() and not after.alpha[:, 85:].any()
    assert after.alpha[:, 21:83].min() > 0.99


def test_frames_do_not_depend_on_one_another(landscape: BakedPicture, seen: Draw, psnr: Compare) -> None:
    mesh = reference(landscape, "cage")
    bound = BoundPicture(landscape, mesh)
    vertices = [mesh.vertices + 0.01 * torch.randn_like(mesh.vertices) for _ in range(2)]
    first = seen(bound.at(vertices[0]))
    bound.at(vertices[1])
    assert psnr(seen(bound.at(vertices[0])), first) == 120
    assert psnr(seen(bound.at(mesh.vertices)), seen(landscape)) > 90


def test_a_frame_that_stands_stays_sharp_around_what_moves(landscape: BakedPicture, seen: Draw, psnr: Compare) -> None:
    mesh = reference(landscape, "cage")
    vertices = mesh.vertices.clone()
    vertices[int(vertices.norm(dim=1).argmin())] += 0.03  # one in the middle
    moved, before = seen(BoundPicture(landscape, mesh).at(vertices), 4), seen(landscape, 4)
    assert psnr(moved[:24], before[:24]) > 60 and moved.alpha.min() == 1
    assert psnr(moved, before) < 45


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_place_is_refused(kind: str, landscape: BakedPicture) -> None:
    mesh = reference(landscape, kind)
    bound = BoundPicture(landscape, mesh)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(GainerError, match="no numbers"):
            bound.at(mesh.vertices.index_fill(0, torch.tensor([7]), bad))
    with pytest.raises(GainerError, match="vertices"):
        bound.at(mesh.vertices[:-1])


def test_what_was_edited_is_refused(landscape: BakedPicture, staged: Draw) -> None:
    mesh = reference(landscape, "cage")
    layered = staged(landscape, {"select": {"box": [5, 5, 20, 20]}, "mode": "piece", "move": {"by": [20, 0]}}).at(1.0)
    bent = staged(landscape, {"wave": {"amplitude": 3, "period": 20}}).at(1.0)
    assert len(layered.layers) == 2 and len(bent.layers) == 1
    for picture in (layered, bent, replace(landscape, layers=2 * landscape.layers)):
        with pytest.raises(GainerError, match="edited"):
            BoundPicture(picture, mesh)


@pytest.mark.parametrize("name", ["landscape", "cutout"])
def test_a_cage_folded_by_half_a_turn_shows_its_front_alone_where_that_is(
    name: str, request: pytest.FixtureRequest
) -> None:
    """What is turned over lies behind, and shows only where the front is clear; nothing is mixed."""
    picture: BakedPicture = request.getfixturevalue(name)
    mesh = reference(picture, "cage")
    folded = mesh.vertices.clone()
    line = float(folded[:, 0].unique()[5])  # along sides of triangles
    folded[:, 0] = line - (folded[:, 0] - line).abs()
    after = BoundPicture(picture, mesh).at(folded)
    places = torch.rand(3000, 2, generator=torch.Generator().manual_seed(0)) - torch.tensor([1.0, 0.5])
    points = places * torch.tensor([0.25, 0.6]) + torch.tensor([line - 0.1, 0.0])
    front, back = picture.at(points), picture.at(torch.tensor([2 * line, 0.0]) + points * torch.tensor([-1.0, 1.0]))
    assert name == "landscape" or int(((front.alpha < 0.1) & (back.alpha > 0.9)).sum()) > 50
    drawn, expected = after.at(points), front.over(back)
    torch.testing.assert_close(drawn.alpha, expected.alpha, rtol=0, atol=2e-3)
    torch.testing.assert_close(drawn.rgb * drawn.alpha, expected.rgb * expected.alpha, rtol=0, atol=4e-3)
