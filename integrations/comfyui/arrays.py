"""Pictures as ComfyUI passes them on, and as gainer_ns takes them.

An ``IMAGE`` is a float tensor [batch, height, width, 3] in [0, 1]. A ``MASK`` is [batch, height, width], 1 where the
picture is clear, as *Load Image* makes it and *Join Image with Alpha* takes it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

import gainer_ns as gn


def picture_array(image: Tensor, mask: Tensor | None = None) -> np.ndarray:
    """Return the one picture of a batch for :func:`gainer_ns.fit`.

    Args:
        image: IMAGE.
        mask: MASK; one without a clear pixel says nothing, whatever its size.

    Returns:
        uint8 [h, w, 3 or 4] where the values are those of 8 bits, else float32.

    Raises:
        GainerError: The batch has several pictures, or the mask another size.
    """
    if len(image) != 1:
        raise gn.GainerError(f"{len(image)} pictures: give one, by Get Image from Batch")
    values = image[0, ..., :3].cpu().numpy().astype(np.float32).clip(0, 1)
    if mask is not None and bool(mask.any()):
        if mask.shape[-2:] != values.shape[:2]:
            sizes = [f"{shape[1]} x {shape[0]}" for shape in (mask.shape[-2:], values.shape)]
            raise gn.GainerError(f"the mask has {sizes[0]} pixels and the picture {sizes[1]}; scale one of them")
        opacity = 1 - mask.reshape(-1, *mask.shape[-2:])[0].cpu().numpy().astype(np.float32).clip(0, 1)
        values = np.concatenate([values, opacity[..., None]], axis=2)
    steps = np.rint(values * 255)
    return steps.astype(np.uint8) if np.allclose(values * 255, steps, rtol=0, atol=1e-3) else values


def depth_array(image: Tensor) -> np.ndarray:
    """Return the first channel of the one picture of a batch, float32 [h, w]: depth as ComfyUI's nodes draw it.

    Raises:
        GainerError: The batch has several pictures.
    """
    if len(image) != 1:
        raise gn.GainerError(f"{len(image)} depth maps: give one, by Get Image from Batch")
    return image[0, ..., 0].cpu().numpy().astype(np.float32)


def image_and_mask(frames: Iterable[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Return frames [h, w, 3 or 4], uint8 or float32 in [0, 1], as IMAGE and MASK."""
    colours, clear = [], []
    for frame in frames:
        values = frame / np.float32(255) if frame.dtype == np.uint8 else frame
        colours.append(torch.from_numpy(np.ascontiguousarray(values[..., :3])))
        is_opaque = values.shape[2] == 3
        clear.append(torch.from_numpy(np.zeros_like(values[..., 0]) if is_opaque else 1 - values[..., 3]))
    return torch.stack(colours), torch.stack(clear)
