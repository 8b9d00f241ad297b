"""What of a photo is lifted: one layer of coloured depth, or the object before a background that goes on behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor

from gainer_ns.lifting.harmonic import harmonic
from gainer_ns.lifting.unknown_depth import with_unknown_depth
from gainer_ns.preparation.inpainting import InpaintMethod, inpainter_for
from gainer_ns.preparation.prepared import Prepared

BackgroundFill = Literal["none", "inpaint"]
MAX_DEPTH_RATIO = 100.0
"""Where everything beyond is lifted to, in distances of the scene's middle: a sky, from there on, stands still."""

_HOLE_MARGIN_PX = 4
"""How far around the object, in pixels, neither colour nor depth are continued behind it: its shadow and its blurred
edge are there."""


@dataclass(frozen=True)
class RgbdLayer:
    """Pixels with colours and depth, all of one layer.

    Attributes:
        colours: [h, w, 3] in [0, 1].
        depth: [h, w], along the camera's axis; 0 where nothing is lifted.
        opacity: [h, w] in [0, 1]; None where everything that is lifted is opaque.
        seen: [h, w], which pixels the photo itself shows; the others were made up.
        origin: [h, w], row-major indices of the pixels whose surface each continues, and with which it is edited; None
            where each is its own.
    """

    colours: Float[Tensor, "h w 3"]
    depth: Float[Tensor, "h w"]
    opacity: Float[Tensor, "h w"] | None
    seen: Bool[Tensor, "h w"]
    origin: Int[Tensor, "h w"] | None = None


def split_into_layers(
    colours: Float[Tensor, "h w 3"],
    prepared: Prepared,
    *,
    background: BackgroundFill = "none",
    inpaint: str = "telea",
    device: torch.device | str = "cpu",
) -> tuple[RgbdLayer, ...]:
    """Split a photo into what is lifted, the object first.

    Args:
        colours: Of the photo, in [0, 1].
        prepared: Its depth and mask.
        background: Whether the background is lifted too, made up where the object hides it; without a mask there is
            but one layer.
        inpaint: What makes up its colours: telea, navier-stokes, a LaMa network's .pt file, or a model of diffusers.
        device: Where that network runs.
    """
    depth = torch.from_numpy(prepared.depth)
    if prepared.mask is None:
        depth = with_unknown_depth(depth)
        return (RgbdLayer(colours, depth, None, depth > 0),)
    mask = torch.from_numpy(prepared.mask).float()
    inside = mask > 0
    depth = with_unknown_depth(with_unknown_depth(depth, inside), ~inside)
    of_object = torch.where(inside, depth, 0.0)
    # Where only a trace of the object is left, the depth is already that of what is behind it.
    of_object = _continued_inwards(of_object, mask)
    front = RgbdLayer(colours, of_object, mask, of_object > 0)
    if background == "none" or bool(inside.all()):
        return (front,)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _HOLE_MARGIN_PX + 1,) * 2)
    hole = torch.from_numpy(cv2.dilate(inside.numpy().astype(np.uint8), kernel) > 0)
    outside = ~hole & (depth > 0)
    if not bool(outside.any()):
        return (front,)
    fill = inpainter_for(_spec(inpaint), device=device)
    # Around the object the photo still shows the background, but is no guide to what goes on behind it.
    shown = torch.where(inside[..., None], fill(colours, hole), colours)
    behind = RgbdLayer(shown, _filled(depth, hole, outside), None, ~inside & (depth > 0))
    return front, behind


def middle_of(prepared: Prepared) -> float:
    """Return how far away the middle of what is lifted is: the harmonic mean, on which a sky has little influence."""
    lifted = prepared.depth > 0 if prepared.mask is None else (prepared.depth > 0) & (prepared.mask > 0)
    return float(1 / (1 / prepared.depth[lifted].astype(np.float64)).mean())


def _spec(inpaint: str) -> str | dict[str, str]:
    """Return what an option says, as edit scripts say it."""
    if inpaint in get_args(InpaintMethod):
        return inpaint
    return {"lama" if inpaint.endswith(".pt") else "diffusers": inpaint}


def _continued_inwards(depth: Float[Tensor, "h w"], mask: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Return the depth of what is solid, continued to the soft edge around it."""
    solid = (mask >= 0.5) & (depth > 0)
    soft = (mask > 0) & (mask < 0.5)
    if not bool(soft.any()) or not bool(solid.any()):
        return depth
    nearest = ndimage.distance_transform_edt(~solid.numpy(), return_distances=False, return_indices=True)
    row, column = torch.from_numpy(np.asarray(nearest, np.int64))
    return torch.where(soft, depth[row, column], depth)


def _filled(
    depth: Float[Tensor, "h w"], hole: Bool[Tensor, "h w"], outside: Bool[Tensor, "h w"]
) -> Float[Tensor, "h w"]:
    """Return depth continued into a hole as smoothly as can be: its inverse is harmonic, which keeps planes planar.

    Unknown depths outside of the hole stay unknown.
    """
    inverse = torch.where(outside, 1 / depth.double().clamp(min=1e-30), 0.0)
    result = depth.clone()
    result[hole] = (1 / harmonic(inverse[..., None], hole, outside)[:, 0]).to(depth)
    return result
