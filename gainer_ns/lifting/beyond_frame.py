"""What lies beyond a photo's frame, made up: its surface and colours go on a little, as smoothly as they can."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting.harmonic import harmonic
from gainer_ns.lifting.rgbd_layers import RgbdLayer

FRAME_REACH_SHARE = 0.12
"""How far it goes on, as a share of the photo's longer side."""
_OVERLAP_PX = 2
"""How far it reaches into the frame, so that no seam shows."""


def frame_layer(layer: RgbdLayer, camera: PinholeCamera) -> tuple[RgbdLayer, PinholeCamera] | None:
    """Return what goes on beyond a photo's frame, and a camera that sees it.

    Args:
        layer: Of the photo.
        camera: Of the photo.

    Returns:
        A layer of the larger camera, whose ``origin`` are pixels of the photo; None where the photo ends in nothing.
    """
    margin = max(1, round(FRAME_REACH_SHARE * max(camera.width, camera.height)))
    around = (margin,) * 4
    known = torch.nn.functional.pad(layer.depth > 0, around)
    inside = torch.nn.functional.pad(torch.ones_like(layer.depth, dtype=torch.bool), around)
    if layer.opacity is not None or not bool(known.any()):
        return None  # a cut-out ends by itself
    inverse = torch.where(layer.depth > 0, 1 / layer.depth.double().clamp(min=1e-30), 0.0)
    values = torch.cat([inverse[..., None], layer.colours.double()], dim=-1)
    values = torch.nn.functional.pad(values, (0, 0, *around))
    beyond = ~inside
    values[beyond] = harmonic(values, beyond, known)
    core = torch.zeros_like(inside)
    rim = margin + _OVERLAP_PX
    core[rim:-rim, rim:-rim] = True
    nearest = cast(Any, distance_transform_edt(~known.numpy(), return_distances=False, return_indices=True))
    row, column = torch.from_numpy(nearest.astype(np.int64) - margin)
    origin = row * camera.width + column
    at_frame = torch.minimum(
        torch.minimum(row, camera.height - 1 - row), torch.minimum(column, camera.width - 1 - column)
    )
    there = ~core & (known | (beyond & (at_frame < _OVERLAP_PX))) & (values[..., 0] > 0)
    depth = torch.where(there, 1 / values[..., 0].clamp(min=1e-30), 0.0).to(layer.depth)
    colours = values[..., 1:].clamp(0, 1).to(layer.colours)
    larger = replace(
        camera,
        width=camera.width + 2 * margin,
        height=camera.height + 2 * margin,
        centre=(camera.centre[0] + margin, camera.centre[1] + margin),
    )
    return RgbdLayer(colours, depth, None, torch.zeros_like(there), origin), larger
