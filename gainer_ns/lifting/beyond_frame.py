"""What lies beyond a photo's frame, made up: its surface and colours go on a little, as smoothly as they can."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting.harmonic import harmonic
from gainer_ns.lifting.matting import Matte
from gainer_ns.lifting.rgbd_layers import RgbdLayer
from gainer_ns.lifting.surface import DepthSurface

FRAME_REACH_SHARE = 0.12
"""How far it goes on, as a share of the photo's longer side."""
_OVERLAP_PX = 3
"""How far it reaches into the frame, so that no seam shows."""
_BORDER_SHARE, _MIN_BORDER_PX = 0.01, 3
"""How wide a border not of the scene may be, as scans have: a share of the photo's longer side, and in pixels."""
_BEHIND = 1.002
"""By how much farther it lies, so that it hides nothing of the photo there."""


def frame_layer(
    layer: RgbdLayer, surface: DepthSurface, edges: Matte, camera: PinholeCamera
) -> tuple[RgbdLayer, PinholeCamera] | None:
    """Return what goes on beyond a photo's frame, with depths in the surface's units, and a camera that sees it.

    Args:
        layer: Of the photo.
        surface: Of its depth.
        edges: Its colours, taken apart along the surface's rim.
        camera: Of the photo.

    Returns:
        A layer of the larger camera, whose ``origin`` are pixels of the photo; None where the photo ends by itself.
    """
    if layer.opacity is not None or not bool(surface.known.all()):
        return None
    margin = max(1, round(FRAME_REACH_SHARE * max(camera.width, camera.height)))
    around = (margin,) * 4
    inside = torch.nn.functional.pad(surface.known, around)
    values = torch.cat([surface.inverse_depth[..., None] / _BEHIND, _without_border(edges.colours)], dim=-1)
    values = torch.nn.functional.pad(values, (0, 0, *around))
    values[~inside] = harmonic(values, ~inside, inside)
    there = torch.ones_like(inside)
    rim = margin + _OVERLAP_PX
    there[rim:-rim, rim:-rim] = False
    row, column = (
        (torch.arange(side + 2 * margin) - margin).clamp(0, side - 1) for side in (camera.height, camera.width)
    )
    origin = row[:, None] * camera.width + column
    depth = torch.where(there, 1 / values[..., 0], 0.0).to(layer.depth)
    colours = values[..., 1:].clamp(0, 1).to(layer.colours)
    larger = replace(
        camera,
        width=camera.width + 2 * margin,
        height=camera.height + 2 * margin,
        centre=(camera.centre[0] + margin, camera.centre[1] + margin),
    )
    return RgbdLayer(colours, depth, None, torch.zeros_like(there), origin), larger


def _without_border(colours: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w 3"]:
    """Return colours that are, near the frame, the median of those from it inwards: a border of one colour is not."""
    border = max(_MIN_BORDER_PX, round(_BORDER_SHARE * max(colours.shape[:2])))
    inner = colours.clone()
    for axis in (1, 0):
        width = min(border, (colours.shape[axis] - 1) // 4)
        for first, outer in ((0, 0), (colours.shape[axis] - 2 * width - 1, colours.shape[axis] - width)):
            median = inner.narrow(axis, first, 2 * width + 1).median(dim=axis, keepdim=True).values
            inner.narrow(axis, outer, width).copy_(median.expand_as(inner.narrow(axis, outer, width)))
    return inner
