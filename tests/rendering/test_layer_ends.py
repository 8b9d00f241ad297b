"""Where a layer ends, to the last digits, and what a part of its Gaussians keeps."""

from collections.abc import Callable
from dataclasses import replace

import torch

from gainer_ns.rendering.plane import BakedPicture


def test_a_frame_ends_at_its_own_side(picture: Callable[..., BakedPicture]) -> None:
    """What rounding puts beyond it is still within; a hundredth of a pixel beyond, nothing is."""
    source = picture(12, 9)
    half, beyond = torch.tensor(source.plane.half_extent), 0.01 * source.plane.pixel_size
    sides = torch.tensor([[1.0, 0.3], [-1.0, 0.3], [0.3, 1.0], [0.3, -1.0], [1.0, 1.0]])
    assert bool((source.at(sides * half).alpha == 1).all())
    assert not bool(source.at(sides * (half + beyond)).alpha.any())


def test_a_part_keeps_the_support_radii_of_its_own(picture: Callable[..., BakedPicture]) -> None:
    layer = picture(12, 9).only_layer
    support_radii = torch.arange(len(layer.gaussians)).float()
    marked = replace(layer.gaussians, features=support_radii[:, None].expand(-1, 8).contiguous())
    coarse = replace(layer, gaussians=marked, support_radii=support_radii).coarse(0.3)
    assert coarse.support_radii is not None and len(coarse.support_radii) == round(0.3 * len(support_radii))
    assert torch.equal(coarse.support_radii, coarse.gaussians.features[:, 0])
    assert not torch.equal(coarse.support_radii, support_radii[: len(coarse.support_radii)]), "spread over the picture"


def test_a_picture_is_framed_where_all_its_layers_are(picture: Callable[..., BakedPicture]) -> None:
    source = picture(12, 9)
    free = replace(source.only_layer, half_extent=None)
    assert source.framed and not replace(source, layers=(source.only_layer, free)).framed
