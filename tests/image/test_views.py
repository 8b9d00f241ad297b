"""What cameras show of a picture: read in rows and columns, or point by point, averaged where they shrink it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor

from gainer_ns.editing.script import Script
from gainer_ns.editing.stage import Stage
from gainer_ns.frames import looking_from
from gainer_ns.image.cameras import View, seen_by, views_of
from gainer_ns.image.loading import load_baked
from gainer_ns.motion.rest_map import PointRows
from gainer_ns.rendering.layer import PointColours
from gainer_ns.rendering.plane import BakedPicture

TILTED = looking_from(right=25, above=15)
MARGIN_PX = 4.0
"""So far from edges, in pixels of the picture, pixels of a camera do not see them."""
SUBPIXELS = 8
"""Samples along each side of a pixel that tell what it should show."""


@pytest.fixture(scope="module", params=["at rest", "moved", "feathered", "sheet"])
def shown(request: pytest.FixtureRequest, fitted_run: Path) -> BakedPicture:
    picture = load_baked(fitted_run, "cpu")
    if request.param == "at rest":
        return picture
    select = {"box": [20, 10, 60, 50], "feather": 12 if request.param == "feathered" else None}
    edit = {"select": select, "mode": "piece", "rotate": {"degrees": 10}, "move": {"by": [6.3, 4.7]}}
    if request.param == "sheet":
        edit = {"select": {**select, "feather": 30}, "rotate": {"degrees": 3}}
    return Stage(Script.model_validate({"edits": [edit]}), picture).at(1.0)


def camera(picture: BakedPicture, shrink: float, pose: Tensor | None = None) -> Cameras:
    """One that shows the middle of a picture, with so many of its pixels in each of its own."""
    plane = picture.plane
    focal = plane.focal_length / shrink
    width, height = round(0.8 * plane.width / shrink), round(0.8 * plane.height / shrink)
    pose = plane.camera_to_world() if pose is None else pose
    framed = Cameras(pose[None], focal, focal, width / 2, height / 2, width, height, camera_type=CameraType.PERSPECTIVE)
    return framed.flatten()


def over_white(parts: list[PointColours]) -> Tensor:
    rgb, alpha = (torch.cat(values) for values in zip(*parts, strict=True))
    return rgb.clamp(0, 1) * alpha + 1 - alpha


def seen(picture: BakedPicture, one: Cameras, *, is_draft: bool = False) -> Tensor:
    return over_white([view.drawn(picture, is_draft=is_draft) for view in views_of(one, picture.plane, 1000)])


def averaged(picture: BakedPicture, one: Cameras) -> Tensor:
    """What the pixels of a camera see, averaged over their areas, point by point."""
    width, height = int(one.width), int(one.height)
    part = (torch.arange(SUBPIXELS, dtype=torch.float64) + 0.5) / SUBPIXELS
    rows, columns = (torch.arange(side, dtype=torch.float64) for side in (height, width))
    y, x, down, across = torch.meshgrid(rows, columns, part, part, indexing="ij")
    points = seen_by(one, (x + across).flatten(), (y + down).flatten()).points
    return over_white([picture.at(points)]).view(-1, SUBPIXELS**2, 3).mean(dim=1)


@pytest.mark.parametrize("shrink", [0.25, 1.0, 2.5])
def test_rows_show_what_their_points_do(shown: BakedPicture, shrink: float, request: pytest.FixtureRequest) -> None:
    """Of what bends, rows are read within 0.004 pixels."""
    tolerance = 4e-3 if request.node.callspec.params["shown"] == "sheet" else 1e-3
    parts = list(views_of(camera(shown, shrink), shown.plane, 1000))
    assert len(parts) > 1 or shrink > 2
    for view in parts:
        assert isinstance(view.places, PointRows)
        for extent in (None, view.extent):
            found, wanted = shown.over(view.places, extent), shown.at(view.places.points, extent)
            torch.testing.assert_close(over_white([found]), over_white([wanted]), rtol=0, atol=tolerance)


def inside(picture: BakedPicture, one: Cameras) -> Tensor:
    """Which pixels of a camera see nothing of the frame's edge, nor of a piece's: both end within a pixel."""
    points = torch.cat([places_of(view) for view in views_of(one, picture.plane, 1000)])
    half = points.new_tensor(picture.plane.half_extent)
    margin = MARGIN_PX * picture.plane.pixel_size
    far = (half - points.abs()).amin(dim=1) > margin
    for layer in picture.layers if picture.is_edited else ():
        shifts = margin * torch.cartesian_prod(torch.arange(-2, 3), torch.arange(-2, 3)) / 2
        alphas = torch.stack([layer.at(points + shift).alpha[:, 0] for shift in shifts])
        far &= alphas.amax(dim=0) - alphas.amin(dim=0) < 0.2
    return far


def places_of(view: View) -> Tensor:
    return view.places.points if isinstance(view.places, PointRows) else view.places


@pytest.mark.parametrize("pose", [None, TILTED], ids=["straight", "tilted"])
def test_pixels_that_magnify_show_what_is_at_their_centres(shown: BakedPicture, pose: Tensor | None) -> None:
    one = camera(shown, 0.25, pose)
    where = inside(shown, one)
    assert float(where.float().mean()) > 0.2
    torch.testing.assert_close(seen(shown, one)[where], seen(shown, one, is_draft=True)[where], rtol=0, atol=1e-3)


@pytest.mark.parametrize("shrink", [1.5, 2.5, 4.0])
@pytest.mark.parametrize("pose", [None, TILTED], ids=["straight", "tilted"])
def test_pixels_that_shrink_show_what_they_cover(
    shown: BakedPicture, pose: Tensor | None, shrink: float, psnr: Callable[[Tensor, Tensor], float]
) -> None:
    one = camera(shown, shrink, pose)
    where = inside(shown, one)
    wanted = averaged(shown, one)[where]
    fine, draft = (psnr(seen(shown, one, is_draft=draft)[where], wanted) for draft in (False, True))
    assert len(wanted) > 50 and fine > 36 and fine > draft + 3
