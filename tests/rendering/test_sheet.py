"""Layers that something has posed, beside the same Gaussians moved one by one."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gainer_ns.editing import deformations
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.metrics import psnr
from gainer_ns.motion.rest_map import PointRows, RestMap
from gainer_ns.motion.sampling import sampled_grid
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.presence import Presence
from gainer_ns.rendering.sheet import Sheet

MakePicture = Callable[..., BakedPicture]
SIZE = (64, 48)
LINE = ((12.0, 24.0), (52.0, 24.0))
MOVES: dict[str, Callable[[Tensor], Tensor]] = {
    "turn": lambda points: deformations.rotate(points, 20, (32, 24)),
    "stretch": lambda points: deformations.stretch(points, 1.3, LINE),
    "squeeze": lambda points: deformations.scale(points, 0.8, (32, 24)),
    "bend": lambda points: deformations.bend(points, 35, LINE),
    "wave": lambda points: deformations.wave(points, 2, 40),
}


def smooth_colours(width: int, height: int) -> Tensor:
    """Colours that change over a few pixels: [h * w, 3]."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    waves = [(0.9 * x + 0.4 * y).sin(), (0.3 * x - 0.7 * y).sin(), (0.5 * x + 0.6 * y + 1).cos()]
    return 0.5 + 0.4 * torch.stack(waves, dim=-1).view(-1, 3)


def posed(source: BakedPicture, move: Callable[[Tensor], Tensor], presence: Presence | None = None) -> BakedPicture:
    plane = source.plane
    box = (-1.0, -1.0, plane.width + 1.0, plane.height + 1.0)
    grid, _ = sampled_grid(lambda points, key: move(points), plane, plane, box, (4.0, 2.0, 1.0))
    rest_map = RestMap(grid)
    return replace(source, layers=(Sheet(source.layers[0], plane, plane, rest_map, presence),))


def moved_one_by_one(source: BakedPicture, move: Callable[[Tensor], Tensor]) -> BakedPicture:
    """The reference: means and covariances move, and neighbours are found again."""
    plane = source.plane
    pixels, jacobians = deformations.with_jacobian(move, plane.pixel_from_plane(source.gaussians.means.double()))
    flip = jacobians.new_tensor([[1.0, -1.0], [-1.0, 1.0]])
    means = plane.plane_from_pixel(pixels).float()
    layer = replace(source.only_layer, half_extent=None)
    return replace(
        source, layers=(layer.with_gaussians(source.gaussians.transformed(means, (jacobians * flip).float())),)
    )


@pytest.fixture
def source(picture: MakePicture) -> BakedPicture:
    return picture(*SIZE, colours=smooth_colours(*SIZE), hidden_layers=0, num_neighbours=21)


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("neighbours", [16, 21])
def test_it_shows_what_gaussians_moved_one_by_one_show(name: str, neighbours: int, picture: MakePicture) -> None:
    """On a lattice, which is read by blocks, and through the general search."""
    source = picture(*SIZE, colours=smooth_colours(*SIZE), hidden_layers=0, num_neighbours=neighbours)
    sheet, reference = posed(source, MOVES[name]), moved_one_by_one(source, MOVES[name])
    (rgb, alpha), (expected, there) = sheet.raster(), reference.raster()
    inside = (alpha > 0.999) & (there > 0.999)
    inner = inside[2:-2, 2:-2] & (torch.nn.functional.avg_pool2d(inside.float()[..., 0][None], 5, 1) == 1)[0, ..., None]
    assert float(inner.float().mean()) > 0.3
    chosen = inner.expand(-1, -1, 3)
    assert psnr(rgb[2:-2, 2:-2][chosen].numpy(), expected[2:-2, 2:-2][chosen].numpy()) > 50


@pytest.mark.parametrize("scale", [1.0, 2.5, 0.5])
def test_points_in_rows_are_drawn_as_points_are(scale: float, source: BakedPicture) -> None:
    sheet = posed(source, MOVES["bend"])
    rgb, alpha = sheet.raster(scale)
    if scale >= 1:
        x = (torch.arange(alpha.shape[1]) + 0.5) / scale
        y = (torch.arange(alpha.shape[0]) + 0.5) / scale
        points = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).view(-1, 2)
        alone = sheet.at_pixels(points)
        solid = (alone.alpha[:, 0] == 1) & (alpha.view(-1) == 1)
        apart = (alone.rgb.clamp(0, 1) - rgb.view(-1, 3))[solid].abs()
        assert float(apart.quantile(0.99)) < 0.03, "but for what is averaged where the bend squeezes"
    assert float(alpha.min()) == 0 and float(alpha.max()) == 1


@pytest.mark.parametrize("shrink", [1.05, 1.2, 1.5, 2.0, 3.0])
def test_what_shrinks_is_averaged_over_each_pixel(shrink: float, source: BakedPicture) -> None:
    """Beside the average of many samples of the picture."""
    sheet = posed(source, lambda points: deformations.scale(points, 1 / shrink, (32, 24)))
    rgb, alpha = sheet.raster()
    many, _ = posed(source, lambda points: deformations.scale(points, 1 / shrink, (32, 24))).raster(8)
    expected = many.view(SIZE[1], 8, SIZE[0], 8, 3).mean(dim=(1, 3))
    inner = (slice(24 - int(20 / shrink), 24 + int(20 / shrink)), slice(32 - int(28 / shrink), 32 + int(28 / shrink)))
    assert psnr(rgb[inner].numpy(), expected[inner].numpy()) > 40
    assert float(alpha[inner].min()) == 1


def test_its_frame_is_as_sharp_as_what_is_drawn(source: BakedPicture) -> None:
    """Over a pixel, however far it is enlarged; and where it lies as it did, it is whole."""
    sheet = posed(source, lambda points: deformations.move(points, (5, 0)))
    for scale in (1.0, 4.0):
        alpha = sheet.raster(scale)[1][..., 0]
        row = alpha[len(alpha) // 2]
        assert bool((row[: int(5 * scale) - 1] == 0).all()) and bool((row[int(5 * scale) + 1 :] > 0.99).all())
    sheet = posed(source, lambda points: deformations.twirl(points, 40, (32, 24), 12))
    assert float(sheet.raster(4.0)[1].min()) > 0.99


def test_a_part_of_it(source: BakedPicture) -> None:
    field = torch.full((SIZE[1] + 2, SIZE[0] + 2), -3.0)
    field[11:31, 21:41] = 4.0
    field[10:32, 20:42] = field[10:32, 20:42].clamp(min=0.5)
    part = Presence(field, (-1, -1))
    sheet = posed(source, lambda points: deformations.move(points, (10, 8)), part)
    alpha = sheet.raster()[1][..., 0]
    assert bool((alpha[19:37, 31:49] == 1).all()) and float(alpha[:16].max()) == 0 == float(alpha[:, :28].max())
    gaussians = sheet.layers[0].gaussians
    assert 20 * 20 <= len(gaussians) <= 22 * 22 and gaussians.opacities is not None
    moved = source.plane.pixel_from_plane(gaussians.means)
    assert bool((moved > torch.tensor([28.0, 16.0])).all()) and bool((moved < torch.tensor([52.0, 40.0])).all())


def test_on_another_canvas(source: BakedPicture) -> None:
    canvas = ImagePlane(100, 120)
    grid, _ = sampled_grid(lambda points, key: 1.5 * points + 4, source.plane, canvas, (-1.0, -1.0, 65.0, 49.0))
    laid = BakedPicture(canvas, (Sheet(source.layers[0], source.plane, canvas, RestMap(grid)),))
    rgb, alpha = laid.raster(crop=(4.0, 4.0, 100.0, 76.0))
    expected, _ = source.raster(1.5)
    inner = (slice(3, -3), slice(3, -3))
    assert psnr(rgb[inner].numpy(), expected[inner].numpy()) > 60 and float(alpha[inner].min()) == 1


def test_the_bounds_hold_all_of_it(source: BakedPicture) -> None:
    for move in MOVES.values():
        sheet = posed(source, move).layers[0]
        low, high = sheet.bounds
        means = sheet.gaussians.means
        assert bool((means >= low).all()) and bool((means <= high).all())


@pytest.mark.parametrize("scale", [0.25, 0.125])
def test_the_edge_of_a_part_is_averaged_where_it_shrinks(scale: float, source: BakedPicture) -> None:
    """One sample a pixel, beside the mean of many."""
    y, x = torch.meshgrid(torch.arange(-1, SIZE[1] + 1) + 0.5, torch.arange(-1, SIZE[0] + 1) + 0.5, indexing="ij")
    disc = Presence(0.5 + 17.3 - torch.hypot(x - 31.2, y - 23.7), (-1, -1))
    sheet = posed(source, lambda points: deformations.rotate(points, 10, (32, 24)), disc).layers[0]
    pixel, step = source.plane.pixel_size, round(1 / scale)
    rows = PointRows(*(pixel * (torch.arange(count) - (count - 1) / 2) / scale for count in (64 // step, 48 // step)))
    drawn = sheet.over(rows, PixelExtent(pixel / scale, pixel)).alpha.view(len(rows.y), len(rows.x))
    fine = torch.nn.functional.avg_pool2d(replace(source, layers=(sheet,)).raster()[1][..., 0].flip(0)[None], step)[0]
    alone = sheet.over(rows).alpha.view_as(drawn)
    assert float((drawn - fine).abs().max()) < 0.25 < float((alone - fine).abs().max())
    assert float((drawn - fine).square().mean()) < 0.5 * float((alone - fine).square().mean())
