"""Masks by Meta's segment-anything (Kirillov et al., Segment Anything, 2023), from one of its checkpoints."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.io.samples import integer_samples
from gainer_ns.preparation.networks import SEGMENTATION
from gainer_ns.preparation.offers import Offers, by_size
from gainer_ns.preparation.prompts import Prompt


class PromptedSegmenter(ABC):
    """Makes masks with a network that answers a prompt with several; see ``Segmenter``.

    A picture is encoded once, however often it is prompted.

    Args:
        name: What messages call the network.
        device: Where it runs.
    """

    def __init__(self, name: str, device: torch.device | str) -> None:
        self._name, self._device = name, torch.device(device)
        self._seen: UInt8[np.ndarray, "h w 3"] | None = None

    def __call__(self, colours: Float[np.ndarray, "h w 3"], prompt: Prompt) -> Float[np.ndarray, "h w"]:
        """Make a mask, of those that the network offers that of the highest predicted IoU; see ``Segmenter``."""
        masks, scores = self._predicted(colours, prompt)
        return masks[best(scores)].astype(np.float32)

    def offers(self, colours: Float[np.ndarray, "h w 3"], click: tuple[float, float]) -> Offers:
        """Return all that the network offers for a click; see ``Proposer``."""
        masks, scores = self._predicted(colours, Prompt((click,)))
        return by_size(masks, best(scores))

    def _predicted(self, colours: Float[np.ndarray, "h w 3"], prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
        prompt.check(colours.shape[1], colours.shape[0])
        samples = integer_samples(np.nan_to_num(colours), None, 8)
        with SEGMENTATION.one_line(self._name):
            if self._seen is None or not np.array_equal(samples, self._seen):
                self._seen = None
                announce(self._name, self._device)
                self._encode(samples)
                self._seen = samples
            return self._answer(samples, prompt)

    @abstractmethod
    def _encode(self, samples: UInt8[np.ndarray, "h w 3"]) -> None:
        """Look at a picture, before any prompt."""

    @abstractmethod
    def _answer(self, samples: UInt8[np.ndarray, "h w 3"], prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
        """Return masks [n, h, w] of the picture that was encoded, and their predicted IoU."""


class SamSegmenter(PromptedSegmenter):
    """Segments with ``SamPredictor``.

    Args:
        path: A checkpoint such as sam_vit_b_01ec64.pth; the network's size is read from its tensors.
        device: Where the network runs.

    Raises:
        GainerError: segment-anything is not installed, or the file is no checkpoint of it.
    """

    def __init__(self, path: Path, *, device: torch.device | str = "cpu") -> None:
        super().__init__(str(path), device)
        if not path.is_file():
            raise GainerError(f"{path}: does not exist; check the spelling, or fetch a checkpoint of segment-anything")
        try:
            from segment_anything import SamPredictor  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise SEGMENTATION.error(
                'mask: segment-anything is not installed; run `pip install "gainer-ns[sam]"`'
            ) from error
        weights = _read_weights(path)
        with SEGMENTATION.one_line(self._name):
            self._predictor: Any = SamPredictor(_build(path, weights).to(self._device))

    def _encode(self, samples: UInt8[np.ndarray, "h w 3"]) -> None:
        self._predictor.set_image(samples)

    def _answer(self, samples: UInt8[np.ndarray, "h w 3"], prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
        points, labels, box = as_pixel_indices(prompt)
        if not len(points):
            points = labels = None
        masks, scores, _ = self._predictor.predict(points, labels, box, multimask_output=True)
        return masks, scores


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read the tensors of a checkpoint by their names."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # Other files, cut ones, and pickled code: each raises its own.
        raise SEGMENTATION.error(f"{path}: is no SAM checkpoint, or damaged; fetch it again") from error
    is_named = isinstance(weights, Mapping) and all(isinstance(value, Tensor) for value in weights.values())
    if not is_named or "image_encoder.pos_embed" not in weights:
        raise GainerError(
            f"{path}: is no checkpoint of SAM; give one such as sam_vit_b_01ec64.pth,"
            " or for its kin the folder of a transformers model"
        )
    return weights


def _build(path: Path, weights: Mapping[str, Tensor]) -> Any:
    """Build the network of the size that a checkpoint's tensors have, with them in it.

    A head is as wide as its relative positions are, and a block attends to all of the picture, not to a window, where
    these reach across all of it.
    """
    from segment_anything.build_sam import _build_sam  # pyright: ignore[reportMissingImports]

    try:
        width = weights["image_encoder.patch_embed.proj.weight"].shape[0]
        across = weights["image_encoder.pos_embed"].shape[1]
        pattern = re.compile(r"image_encoder\.blocks\.(\d+)\.attn\.rel_pos_h")
        positions = {
            int(found[1]): value.shape for name, value in weights.items() if (found := pattern.fullmatch(name))
        }
        heads = width // positions[0][1]
        everywhere = [block for block, shape in positions.items() if shape[0] == 2 * across - 1]
        network = _build_sam(width, len(positions), heads, everywhere)
        network.load_state_dict(weights)
    except (KeyError, IndexError, RuntimeError, ValueError, AssertionError, ZeroDivisionError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise GainerError(f"{path}: is a checkpoint of another network than SAM ({reason}); give SAM's own") from error
    return network.eval()


def as_pixel_indices(
    prompt: Prompt,
) -> tuple[Float[np.ndarray, "n 2"], np.ndarray, Float[np.ndarray, "4"] | None]:
    """Return a prompt as SAM takes it, which counts from the centre of the first pixel.

    Returns:
        Points (x, y), their labels (1 on the object, 0 not on it), and the box or None.
    """
    points = np.array([*prompt.clicks, *prompt.negative_clicks], np.float64).reshape(-1, 2) - 0.5
    labels = np.array([1] * len(prompt.clicks) + [0] * len(prompt.negative_clicks), np.int64)
    return points, labels, None if prompt.box is None else np.array(prompt.box, np.float64) - 0.5


def best(scores: np.ndarray) -> int:
    """Return which mask has the highest predicted IoU; where a broken network predicts none, the first."""
    return int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))


def announce(name: str, device: torch.device) -> None:
    """Say that a picture is being encoded, which may take a while."""
    from nerfstudio.utils.rich_utils import CONSOLE

    slowly = " (this may take a minute)" if device.type == "cpu" else ""
    CONSOLE.log(f"Looking at the picture with {name} on {device}{slowly}", markup=False)
