"""What lies behind depth edges: the farther surface, made up where the nearer one hides it, so that no view has a hole.

The farther surface goes on from its last pixels, in depth (told in inverse depth, in which planes stay planar) and in
colour alike, as smoothly as can be, as far as another view may look behind the edge.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt, gaussian_filter, label
from torch import Tensor

from gainer_ns.lifting.harmonic import harmonic
from gainer_ns.lifting.matting import Matte
from gainer_ns.lifting.rgbd_layers import RgbdLayer
from gainer_ns.lifting.surface import DepthSurface, Rim
from gainer_ns.lifting.unknown_depth import of_far_side

HIDDEN_REACH_SHARE = 0.12
"""How far behind an edge it goes on, as a share of the photo's longer side: an orbit of 8 degrees looks 0.127 behind
what is twice as near."""
_BLUR_PX = 3.0
"""Standard deviation of the blur, in pixels, of what goes on: single pixels at an edge still show what is before it."""
_MIN_PIXELS = 16
"""Parts of fewer pixels, which one bad depth makes, are left out."""


def hidden_layer(layer: RgbdLayer, surface: DepthSurface, rim: Rim, edges: Matte) -> RgbdLayer | None:
    """Return what a layer hides of itself, with depths in the surface's units; None if it hides nothing.

    Args:
        layer: Of a photo.
        surface: Of its depth.
        rim: Of that surface.
        edges: Its colours, taken apart along the rim.
    """
    hidden = rim.hidden
    if not bool(hidden.any()):
        return None
    # The first pixels behind an edge: there the planes of the farther surface and its own colours still tell.
    pixel, source = rim.pixel[hidden], rim.source[hidden]
    values = torch.zeros(*layer.depth.shape, 4, dtype=torch.float64)
    values.view(-1, 4)[pixel, 0] = rim.inverse_depth[hidden]
    values.view(-1, 4)[pixel, 1:] = edges.colours.view(-1, 3)[source]
    gradient = torch.zeros_like(surface.gradient)
    gradient.view(-1, 2)[pixel] = rim.gradient[hidden]
    origin = torch.zeros(layer.depth.shape, dtype=torch.long)
    origin.view(-1)[pixel] = source
    known = of_far_side(torch.where(values[..., 0] > 0, values[..., 0], torch.inf))
    unknown, nearest = _behind(surface, values[..., 0], _smoothed(gradient, known), known)
    if bool(unknown.any()):
        smooth = torch.cat([values[..., :1], _smoothed(values[..., 1:], known)], dim=-1)
        values[unknown] = harmonic(smooth, unknown, known)
        origin[unknown] = origin.flatten()[nearest[unknown]]
    there = (known | unknown) & (values[..., 0] > 0) & (values[..., 0] < (1 - surface.edge / 2) * surface.inverse_depth)
    there = _large_parts(there)
    if not bool(there.any()):
        return None
    depth = torch.where(there, 1 / values[..., 0].clamp(min=1e-30), 0.0).to(layer.depth)
    colours = torch.where(there[..., None], values[..., 1:].clamp(0, 1), layer.colours.double()).to(layer.colours)
    return RgbdLayer(colours, depth, None, torch.zeros_like(there), origin)


def _smoothed(values: Float[Tensor, "h w c"], known: Bool[Tensor, "h w"]) -> Float[Tensor, "h w c"]:
    """Return values of known pixels, each averaged with those around it."""
    share = gaussian_filter(known.numpy().astype(np.float64), _BLUR_PX, mode="constant")
    blurred = gaussian_filter((values * known[..., None]).numpy(), (_BLUR_PX, _BLUR_PX, 0), mode="constant")
    return torch.from_numpy(blurred / np.maximum(share, 1e-12)[..., None])


def _behind(
    surface: DepthSurface,
    inverse_depth: Float[Tensor, "h w"],
    gradient: Float[Tensor, "h w 2"],
    known: Bool[Tensor, "h w"],
) -> tuple[Bool[Tensor, "h w"], Int[Tensor, "h w"]]:
    """Return which pixels hide what goes on from the nearest known one, and the index of that, row by row."""
    distance, (row, column) = cast(Any, distance_transform_edt(~known.numpy(), return_indices=True))
    height, width = known.shape
    nearest = torch.from_numpy(row.astype(np.int64) * width + column)
    # A floor that comes nearer is no obstacle to itself.
    down = torch.arange(height)[:, None] - torch.from_numpy(row)
    right = torch.arange(width)[None] - torch.from_numpy(column)
    slope = gradient.view(-1, 2)[nearest]
    ahead = inverse_depth.flatten()[nearest] + (slope[..., 0] * right + slope[..., 1] * down).clamp(min=0)
    reach = HIDDEN_REACH_SHARE * max(known.shape)
    before = surface.inverse_depth * (1 - surface.edge) > ahead
    unknown = before & surface.known & ~known & torch.from_numpy(distance <= reach)
    # What nothing known touches belongs to another edge.
    labels, count = cast(Any, label((unknown | known).numpy()))
    touched = np.bincount(labels[known.numpy()], minlength=count + 1) > 0
    return unknown & torch.from_numpy(touched[labels]), nearest


def _large_parts(there: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    labels, _ = cast(Any, label(there.numpy(), np.ones((3, 3))))
    return there & torch.from_numpy((np.bincount(labels.ravel()) >= _MIN_PIXELS)[labels])
