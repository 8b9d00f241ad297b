"""Layers: how one is read, and how several lie over one another."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.point_colours import PointColours

MakePicture = Callable[..., BakedPicture]
RED, BLUE = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]])


def box(left: int, top: int, right: int, bottom: int, *, alpha: float = 1.0) -> Tensor:
    """The opacity [18, 24] of a box."""
    opacity = torch.zeros(18, 24)
    opacity[top:bottom, left:right] = alpha
    return opacity


def stacked(*pictures: BakedPicture) -> BakedPicture:
    """One picture of the layers of several, from back to front."""
    return replace(pictures[0], layers=tuple(picture.only_layer for picture in pictures))


def over(parts: list[PointColours]) -> tuple[Tensor, Tensor]:
    """Colours times alpha, and alpha, of layers from back to front: the operator of Porter and Duff (1984)."""
    rgb, alpha = torch.zeros_like(parts[0].rgb), torch.zeros_like(parts[0].alpha)
    for part in parts:
        rgb = part.rgb * part.alpha + rgb * (1 - part.alpha)
        alpha = part.alpha + alpha * (1 - part.alpha)
    return rgb, alpha


def test_layers_lie_over_one_another(picture: MakePicture) -> None:
    """Each is drawn as if it were alone, and then put over what is behind it."""
    ramp = torch.linspace(0, 1, 24).expand(18, 24)
    parts = [picture(24, 18), picture(24, 18, opacity=ramp), picture(24, 18, opacity=box(4, 4, 16, 12, alpha=0.6))]
    parts.append(picture(24, 18, opacity=box(10, 2, 20, 9), jitter=0.2))
    points = (torch.rand(2000, 2) - 0.5) * torch.tensor([1.2, 0.9])
    for layers in (parts, parts[1:], parts[::-1], parts[:1]):
        rgb, alpha = over([part.at(points) for part in layers])
        drawn = stacked(*layers).at(points)
        torch.testing.assert_close(drawn.alpha, alpha, rtol=0, atol=1e-5)
        torch.testing.assert_close(drawn.rgb * drawn.alpha, rgb, rtol=0, atol=1e-5)
        assert bool(drawn.rgb.isfinite().all()) and not drawn.rgb[drawn.alpha[:, 0] == 0].any()


def test_what_lies_in_front_hides(picture: MakePicture) -> None:
    """At its full opacity only its own colour is seen, never a mean of features of both."""
    back = picture(24, 18, colours=BLUE, hidden_layers=0)
    front = picture(24, 18, opacity=box(6, 5, 18, 13), colours=RED, hidden_layers=0)
    rgb, alpha = stacked(back, front).raster(4.0)
    assert bool((alpha == 1).all())
    torch.testing.assert_close(rgb[24:48, 28:68], RED.expand(24, 40, 3), rtol=0, atol=1e-4)
    torch.testing.assert_close(rgb[:, :18], BLUE.expand(72, 18, 3), rtol=0, atol=1e-4)
    mixed = rgb.view(-1, 3)
    torch.testing.assert_close(mixed[:, 0] + mixed[:, 2], torch.ones(len(mixed)), rtol=0, atol=1e-4)
    behind, _ = stacked(front, back).raster(4.0)
    torch.testing.assert_close(behind, BLUE.expand_as(behind), rtol=0, atol=1e-4)


def test_what_is_hidden_is_not_read(picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[Layer, Tensor]] = []
    draw = Layer.at

    def record(layer: Layer, points: Tensor, extent: PixelExtent | None = None) -> PointColours:
        read.append((layer, points))
        return draw(layer, points, extent)

    back, front = picture(24, 18), picture(24, 18)
    cut_out = picture(24, 18, opacity=box(0, 0, 14, 18))
    both = stacked(back, front)
    monkeypatch.setattr(Layer, "at", record)
    both.raster()
    assert [layer is both.layers[1] for layer, _ in read] == [True], "an opaque layer hides all behind it"
    read.clear()
    both = stacked(back, cut_out)
    both.raster()
    assert [layer is both.layers[1] for layer, _ in read] == [True, False]
    behind = read[1][1]
    assert 170 <= len(behind) <= 215 and bool((behind[:, 0] > 0.03).all()), "only where the front lets it through"


def test_soft_alpha_lets_through_its_share(picture: MakePicture) -> None:
    opacity = torch.full((18, 24), 0.25)
    back = picture(24, 18, colours=BLUE, hidden_layers=0)
    front = picture(24, 18, opacity=opacity, colours=RED, hidden_layers=0)
    rgb, alpha = stacked(back, front).raster()
    assert bool((alpha == 1).all())
    torch.testing.assert_close(rgb, torch.tensor([0.25, 0.0, 0.75]).expand_as(rgb), rtol=0, atol=2e-3)


@pytest.mark.parametrize("order", [1, -1])
def test_an_empty_layer_changes_nothing(order: int, picture: MakePicture) -> None:
    full = picture(24, 18, opacity=box(4, 4, 20, 12))
    for opacities in (None, torch.empty(0)):
        nothing = GaussianSet(torch.empty(0, 2), torch.eye(2)[None], torch.empty(0, 8), 0.1, opacities)
        for half_extent in (None, full.plane.half_extent):
            empty = replace(full.only_layer, gaussians=nothing, half_extent=half_extent)
            both = replace(full, layers=(full.only_layer, empty)[::order])
            for found, expected in zip(both.raster(2.0), full.raster(2.0), strict=True):
                torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
            alone = replace(full, layers=(empty,)).raster()
            assert not alone[0].any() and not alone[1].any()


def test_a_layer_without_a_frame_ends_with_its_gaussians(picture: MakePicture) -> None:
    framed = picture(24, 18, opacity=box(4, 4, 20, 12))
    free = replace(framed.only_layer, half_extent=None)
    moved = free.with_gaussians(
        free.gaussians.transformed(free.gaussians.means + torch.tensor([2.0, 1.0]), torch.eye(2)[None])
    )
    points = (torch.rand(500, 2) - 0.5) * torch.tensor([1.0, 0.75])
    here, there = free.at(points), moved.at(points + torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(there.alpha, here.alpha, rtol=0, atol=1e-3)
    torch.testing.assert_close(there.rgb * there.alpha, here.rgb * here.alpha, rtol=0, atol=2e-3)
    assert bool(here.alpha.any()) and not moved.at(points).alpha.any()


def test_points_outside(picture: MakePicture) -> None:
    odd = torch.tensor([[9.0, 0.0], [0.0, -9.0], [torch.inf, 0.0], [torch.nan, 0.0], [3e38, -3e38], [0.0, 0.0]])
    opaque = replace(picture(24, 18).only_layer, half_extent=None)
    for layer in (picture(24, 18).only_layer, opaque, picture(24, 18, opacity=box(2, 2, 22, 16)).only_layer):
        for drawn in (layer.at(odd), BakedPicture(picture(24, 18).plane, (layer, layer)).at(odd)):
            assert not drawn.rgb[:5].any() and not drawn.alpha[:5].any()
            assert float(drawn.alpha[5]) == 1 and bool(drawn.rgb[5].isfinite().all())


def test_averaged() -> None:
    rgb, alpha = torch.rand(12 * 4, 3), (torch.rand(12 * 4, 1) < 0.6).float()
    alpha[:4] = 0
    found = PointColours(rgb, alpha).averaged(4)
    premultiplied = (rgb * alpha).view(12, 4, 3).mean(dim=1)
    torch.testing.assert_close(found.alpha, alpha.view(12, 4, 1).mean(dim=1))
    torch.testing.assert_close(found.rgb * found.alpha, premultiplied, rtol=0, atol=1e-6)
    assert not found.rgb[0].any() and bool(found.rgb.isfinite().all())
    same = PointColours(rgb, alpha)
    assert same.averaged(1) is same


def test_what_a_picture_of_one_layer_has(picture: MakePicture) -> None:
    single = picture(24, 18)
    double = stacked(single, single)
    assert single.only_layer is single.layers[0] and single.gaussians is single.layers[0].gaussians
    assert single.device == double.device == torch.device("cpu")
    for ask in (lambda: double.only_layer, lambda: double.gaussians, lambda: double.with_gaussians(single.gaussians)):
        with pytest.raises(ValueError, match="too many values"):
            ask()
    cut_out = picture(24, 18, opacity=box(2, 2, 8, 8))
    assert not stacked(single, cut_out).has_alpha and stacked(cut_out, cut_out).has_alpha
