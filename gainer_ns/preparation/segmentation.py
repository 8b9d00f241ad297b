"""What of a photo is lifted: masks from clicks or a box, by SAM or GrabCut, and masks from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float

from gainer_ns.errors import GainerError
from gainer_ns.io.masks import Label, read_mask
from gainer_ns.preparation.prompts import Prompt

__all__ = ["Prompt", "SegmentationConfig", "Segmenter", "check_mask", "read_fitting_mask"]


class Segmenter(Protocol):
    """Makes masks of what a person points at."""

    def __call__(self, colours: Float[np.ndarray, "h w 3"], prompt: Prompt) -> Float[np.ndarray, "h w"]:
        """Makes a mask.

        Args:
            colours: A picture in [0, 1], not linear light: as stored.
            prompt: What to segment, in the picture's pixels.

        Returns:
            Float32 in [0, 1]: 1 on the object, 0 elsewhere. It may be empty or everything; see ``check_mask``.

        Raises:
            GainerError: The prompt points at nothing, or no mask comes out.
        """
        ...


@dataclass
class SegmentationConfig:
    """What makes a mask of clicks or a box."""

    model: str | None = None
    """Segment Anything model: a .pth checkpoint of Meta's segment-anything (ViT-B, -L, -H), or a folder or hub id of
    transformers' SAM, SAM 2 or SAM-HQ. None: OpenCV's GrabCut, which needs no model, and tells things by colour."""
    download: bool = False
    """Whether a model that is named by its hub id may be fetched when it is not on this machine."""

    def segmenter(self, device: torch.device | str = "cpu") -> Segmenter:
        """Loads what makes masks.

        Args:
            device: Where a network runs.

        Returns:
            The segmenter, which holds its model, and what it knows of the last picture that it saw.

        Raises:
            GainerError: The model or its package is missing, or it is none that makes masks.
        """
        if self.model is None:
            from gainer_ns.preparation.grabcut import GrabCutSegmenter

            return GrabCutSegmenter()
        path = Path(self.model)
        if path.suffix.lower() == ".pth":
            from gainer_ns.preparation.sam import SamSegmenter

            return SamSegmenter(path, device=device)
        if path.is_file():
            raise GainerError(f"{path}: is no SAM model; give a .pth checkpoint, or the folder of a transformers model")
        from gainer_ns.preparation.sam_transformers import TransformersSegmenter

        return TransformersSegmenter(self.model, download=self.download, device=device)


def read_fitting_mask(path: Path, width: int, height: int, label: Label | None = None) -> Float[np.ndarray, "h w"]:
    """Reads a mask from a picture file of any kind; see :func:`gainer_ns.io.masks.read_mask`.

    Args:
        path: The file.
        width: That it must have, in pixels.
        height: That it must have, in pixels.
        label: Which of several labels is meant, or ``luma`` or ``alpha``.

    Returns:
        Float32 in [0, 1].

    Raises:
        GainerError: The file is no picture, of another size, or what it means is not clear.
    """
    mask = read_mask(path, label, "--pipeline.datamanager.mask-label {}")
    if mask.shape != (height, width):
        raise GainerError(
            f"{path}: is {mask.shape[1]}x{mask.shape[0]}, the picture {width}x{height}; save the mask in that size"
        )
    return mask


def check_mask(mask: Float[np.ndarray, "h w"], source: str) -> None:
    """Refuses a mask that chooses nothing, or everything. From 0.5 on a pixel is inside.

    Args:
        mask: In [0, 1].
        source: What complaints name: the file of the mask, or the picture that it was made for.

    Raises:
        GainerError: Nothing is inside, or nothing outside.
    """
    inside = mask >= 0.5
    if not inside.any():
        raise GainerError(
            f"{source}: its mask is empty; give other clicks, a box, or a mask file that is white on the object"
        )
    if inside.all():
        raise GainerError(
            f"{source}: its mask is the whole picture; give other clicks or a box, or no mask at all to lift everything"
        )
