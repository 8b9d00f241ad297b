"""What of a photo is lifted: what makes masks, and which masks are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from gainer_ns.errors import GainerError
from gainer_ns.io.masks import MaskLabel, UnclearMaskError, read_mask
from gainer_ns.preparation.config import PreparationError, SegmentationConfig
from gainer_ns.preparation.offers import Proposer
from gainer_ns.preparation.prompts import Prompt

if TYPE_CHECKING:
    import torch

    from gainer_ns.preparation.salient_object import OnnxSegmenter
    from gainer_ns.preparation.sam import SamSegmenter
    from gainer_ns.preparation.sam_transformers import TransformersSegmenter

# config.yml files of earlier versions name SegmentationConfig here.
__all__ = ["SegmentationConfig", "Segmenter", "check_mask", "load_segmenter", "read_fitting_mask"]

Segmenter = Callable[[Float[np.ndarray, "h w 3"], Prompt], Float[np.ndarray, "h w"]]
"""Makes a mask, float32 in [0, 1], of colours in [0, 1] as stored, not linear light, and what a person points at. The
mask may be empty or everything; see ``check_mask``."""


def load_segmenter(config: SegmentationConfig, device: torch.device | str = "cpu") -> Segmenter:
    """Load what makes masks, a network onto a device.

    Raises:
        GainerError: The model or its package is missing, or it is none that makes masks.
    """
    if config.model is None:
        from gainer_ns.preparation.grabcut import GrabCutSegmenter

        return GrabCutSegmenter()
    return _load_network(config, device)


def load_proposer(config: SegmentationConfig, device: torch.device | str = "cpu") -> Proposer:
    """Load what offers masks for a click, from small to large; see :func:`load_segmenter`."""
    if config.model is None:
        from gainer_ns.preparation.regions import RegionProposer

        return RegionProposer()
    return _load_network(config, device).offers


def _load_network(
    config: SegmentationConfig, device: torch.device | str
) -> OnnxSegmenter | SamSegmenter | TransformersSegmenter:
    assert config.model is not None
    path = Path(config.model)
    if config.finds_objects:
        from gainer_ns.preparation.salient_object import OnnxSegmenter

        return OnnxSegmenter(path, config.normalisation)
    if path.suffix.lower() == ".pth":
        from gainer_ns.preparation.sam import SamSegmenter

        return SamSegmenter(path, device=device)
    if path.is_file():
        raise GainerError(
            f"{path}: is no SAM model; give a .pth checkpoint, an .onnx file, or the folder of a transformers model"
        )
    from gainer_ns.preparation.sam_transformers import TransformersSegmenter

    return TransformersSegmenter(config.model, download=config.download, device=device)


def read_fitting_mask(path: Path, width: int, height: int, label: MaskLabel | None = None) -> Float[np.ndarray, "h w"]:
    """Read a mask that must be as large as its picture; see :func:`gainer_ns.io.masks.read_mask`.

    Raises:
        GainerError: The file is no picture, of another size, or what it means is not clear.
    """
    try:
        mask = read_mask(path, label)
    except UnclearMaskError as error:
        raise PreparationError(str(error), "mask-label") from error
    if mask.shape != (height, width):
        raise GainerError(
            f"{path}: is {mask.shape[1]}x{mask.shape[0]}, the picture {width}x{height}; save the mask in that size"
        )
    return mask


def check_mask(mask: Float[np.ndarray, "h w"], source: str) -> None:
    """Refuse a mask that chooses nothing, or everything. From 0.5 on a pixel is inside.

    Args:
        mask: In [0, 1].
        source: What messages name: the file of the mask, or the picture that it was made for.

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
