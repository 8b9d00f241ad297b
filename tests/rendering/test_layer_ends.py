"""Where a layer ends, to the last digits."""

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


def test_a_picture_is_framed_where_all_its_layers_are(picture: Callable[..., BakedPicture]) -> None:
    source = picture(12, 9)
    free = replace(source.only_layer, half_extent=None)
    assert source.framed and not replace(source, layers=(source.only_layer, free)).framed
