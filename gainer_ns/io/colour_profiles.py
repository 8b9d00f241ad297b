"""Convert colours between ICC profiles."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageCms
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.io.matrix_profiles import SRGB_CURVE, SRGB_PRIMARIES, MatrixProfile, packed_profile
from gainer_ns.io.samples import rounded_samples

_logger = logging.getLogger(__name__)

MAX_PROFILE_BYTES = 4 << 20
"""The largest profile that is kept: every frame of a folder carries it."""
_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
"""Colour spaces of profiles, by the modes of Pillow's that they are for."""
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC


@dataclass(frozen=True)
class ColourProfile:
    """The ICC profile of RGB samples. Where there is None, samples are sRGB."""

    icc: bytes

    @classmethod
    def checked(cls, icc: bytes, named: str) -> ColourProfile | None:
        """Return a profile that can be used, or None with a warning about ``named``."""
        problem = profile_problem(icc, "RGB")
        if problem is not None:
            _logger.warning("%s: its colour profile %s; its colours are taken for sRGB", named, problem)
        return None if problem is not None else cls(icc)

    @classmethod
    def from_tensor(cls, tensor: Tensor | None, named: str) -> ColourProfile | None:
        """Return a profile out of a checkpoint or a model file; None with a warning where it cannot be used."""
        if tensor is None:
            return None
        is_bytes = tensor.dtype == torch.uint8 and tensor.dim() == 1 and len(tensor) <= MAX_PROFILE_BYTES
        return cls.checked(tensor.cpu().numpy().tobytes() if is_bytes else b"", named)

    def to_tensor(self) -> Tensor:
        """Return the bytes as uint8 [n], for a checkpoint or a model file."""
        return torch.from_numpy(np.frombuffer(self.icc, np.uint8).copy())

    @cached_property
    def arithmetic(self) -> MatrixProfile | None:
        """Its curves and matrix; None where only LittleCMS can compute with it, to 8 bits."""
        return MatrixProfile.read(self.icc)


SRGB = ColourProfile(packed_profile(SRGB_PRIMARIES, SRGB_CURVE, "sRGB"))
"""The profile of samples without one."""


def converted(colours: np.ndarray, source: ColourProfile | None, target: ColourProfile | None) -> np.ndarray:
    """Convert colours [h, w, 3] in [0, 1] from one profile to another; untouched where both are the same.

    Relative colorimetric; straight colours, not multiplied by an opacity.

    Raises:
        GainerError: The target cannot be converted to.
    """
    if source == target:
        return colours
    source, target = source or SRGB, target or SRGB
    if source.arithmetic is not None and target.arithmetic is not None:
        return source.arithmetic.converted_to(target.arithmetic, colours)
    samples = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    image = ImageCms.applyTransform(Image.fromarray(samples), _transform(source, target))
    assert image is not None
    return np.divide(np.asarray(image), 255, dtype=np.float32)


@dataclass(frozen=True)
class Conversion:
    """A conversion from the profile ``source`` to ``target``; None is sRGB.

    Raises:
        GainerError: The target cannot be converted to.
    """

    source: ColourProfile | None
    target: ColourProfile | None

    def __post_init__(self) -> None:
        converted(np.zeros((1, 1, 3), np.float32), self.source, self.target)

    def __call__(self, colours: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
        """Convert colours, on their device; clamp them to the target's gamut."""
        found = converted(colours.cpu().numpy()[None], self.source, self.target)[0]
        return torch.from_numpy(found).to(colours)


@lru_cache(8)
def _transform(source: ColourProfile, target: ColourProfile) -> ImageCms.ImageCmsTransform:
    try:
        return ImageCms.buildTransform(_opened(source.icc), _opened(target.icc), "RGB", "RGB", _INTENT)
    except ImageCms.PyCMSError:
        raise GainerError(
            "the picture's colour profile leads out of its colours only, so nothing of other colours can be laid "
            "beside it; convert the picture to sRGB, and fit it again"
        ) from None


def profile_problem(icc: bytes, mode: str) -> str | None:
    """Say what keeps a profile from telling the colours of one of Pillow's modes; None if nothing does."""
    if len(icc) > MAX_PROFILE_BYTES:
        return f"has {len(icc) >> 20} MB, and at most {MAX_PROFILE_BYTES >> 20} are read"
    try:
        profile = _opened(icc)
        space = profile.profile.xcolor_space
        if space != _SPACES[mode]:
            return f"is for {space.strip()} samples, not for {_SPACES[mode].strip()}"
        ImageCms.buildTransform(profile, _opened(SRGB.icc), mode, "RGB", _INTENT)
        if mode == "L" and MatrixProfile.read(icc) is None:
            return "is of a kind that is not known of gray samples"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "is damaged or of a kind that is not known"
    return None


def cmyk_to_srgb(icc: bytes) -> ImageCms.ImageCmsTransform:
    """Return the conversion of Pillow's CMYK pictures, whose profile has no problem, to sRGB."""
    return ImageCms.buildTransform(_opened(icc), _opened(SRGB.icc), "CMYK", "RGB", _INTENT)


def gray_as_srgb(icc: bytes, samples: np.ndarray) -> np.ndarray:
    """Convert repeated gray samples (uint8 or uint16 [..., 3]), whose profile has no problem, to sRGB."""
    own, srgb = MatrixProfile.read(icc), SRGB.arithmetic
    assert own is not None and srgb is not None
    white = np.iinfo(samples.dtype).max
    levels = own.converted_to(srgb, np.repeat(np.arange(white + 1)[:, None] / white, 3, axis=1))[:, 0]
    return rounded_samples(levels * white, white)[samples]


def _opened(icc: bytes) -> Any:
    return ImageCms.ImageCmsProfile(io.BytesIO(icc))
