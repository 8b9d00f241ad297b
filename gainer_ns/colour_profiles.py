"""Say which colours the samples of a picture stand for, as its ICC profile does."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

from gainer_ns.errors import GainerError

logger = logging.getLogger(__name__)

MAX_PROFILE_BYTES = 4 << 20
"""The largest profile that is kept: every frame of a folder carries it."""
_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
"""What a profile says of the samples that it is for, by Pillow's modes."""
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC


@dataclass(frozen=True)
class ColourProfile:
    """The ICC profile of RGB samples. Where there is None, samples are sRGB.

    Attributes:
        icc: The profile's bytes.
    """

    icc: bytes

    @classmethod
    def checked(cls, icc: bytes, named: str) -> ColourProfile | None:
        """A profile that can be used, or None with a warning.

        Args:
            icc: The bytes, from a file that may hold anything.
            named: What the warning is about.
        """
        problem = profile_problem(icc, "RGB")
        if problem is not None:
            logger.warning("%s: its colour profile %s; its colours are taken for sRGB", named, problem)
        return None if problem is not None else cls(icc)

    @classmethod
    def from_tensor(cls, tensor: Tensor | None, named: str) -> ColourProfile | None:
        """A profile out of a checkpoint or a model file; None with a warning where it cannot be used."""
        if tensor is None:
            return None
        is_bytes = tensor.dtype == torch.uint8 and tensor.dim() == 1 and len(tensor) <= MAX_PROFILE_BYTES
        return cls.checked(tensor.cpu().numpy().tobytes() if is_bytes else b"", named)

    def to_tensor(self) -> Tensor:
        """The bytes as uint8 [n], for a checkpoint or a model file."""
        return torch.from_numpy(np.frombuffer(self.icc, np.uint8).copy())

    def to_srgb(self, colours: np.ndarray) -> np.ndarray:
        """Colours [h, w, 3] in [0, 1] as sRGB: relative colorimetric, to 8 bits."""
        return _converted(colours, self._to_srgb)

    def from_srgb(self, colours: np.ndarray) -> np.ndarray:
        """The other way round.

        Raises:
            GainerError: The profile tells what samples mean, but not which samples mean a colour.
        """
        try:
            transform = ImageCms.buildTransform(_srgb(), _opened(self.icc), "RGB", "RGB", _INTENT)
        except ImageCms.PyCMSError:
            raise GainerError(
                "the picture's colour profile leads out of its colours only, so nothing of other colours can be laid "
                "beside it; convert the picture to sRGB, and fit it again"
            ) from None
        return _converted(colours, transform)

    @cached_property
    def _to_srgb(self) -> ImageCms.ImageCmsTransform:
        return ImageCms.buildTransform(_opened(self.icc), _srgb(), "RGB", "RGB", _INTENT)


def converted(colours: np.ndarray, source: ColourProfile | None, target: ColourProfile | None) -> np.ndarray:
    """Colours [h, w, 3] in [0, 1] of one profile told in another; untouched where both are the same.

    Raises:
        GainerError: The target cannot be converted to.
    """
    if source == target:
        return colours
    colours = colours if source is None else source.to_srgb(colours)
    return colours if target is None else target.from_srgb(colours)


def profile_problem(icc: bytes, mode: str) -> str | None:
    """What keeps a profile from telling the colours of samples of one of Pillow's modes; None if nothing does."""
    if len(icc) > MAX_PROFILE_BYTES:
        return f"has {len(icc) >> 20} MB, and at most {MAX_PROFILE_BYTES >> 20} are read"
    try:
        profile = _opened(icc)
        space = profile.profile.xcolor_space
        if space != _SPACES[mode]:
            return f"is for {space.strip()} samples, not for {_SPACES[mode].strip()}"
        ImageCms.buildTransform(profile, _srgb(), mode, "RGB", _INTENT)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "is damaged or of a kind that is not known"
    return None


def to_srgb_transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    """What converts Pillow's pictures of a mode, whose profile has no problem, to sRGB."""
    return ImageCms.buildTransform(_opened(icc), _srgb(), mode, "RGB", _INTENT)


def _opened(icc: bytes) -> Any:
    return ImageCms.ImageCmsProfile(io.BytesIO(icc))


def _srgb() -> Any:
    return ImageCms.createProfile("sRGB")


def _converted(colours: np.ndarray, transform: ImageCms.ImageCmsTransform) -> np.ndarray:
    """Colours [h, w, 3] in [0, 1] through LittleCMS, which Pillow gives 8 bits a sample."""
    samples = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    image = ImageCms.applyTransform(Image.fromarray(samples), transform)
    assert image is not None
    return np.divide(np.asarray(image), 255, dtype=np.float32)
