"""Masks as files: how much of each pixel one selects."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps, PngImagePlugin

from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import SourceImage, read_picture, strict_pillow
from gainer_ns.memory import check_free

MaskLabel = int | Literal["luma", "alpha"]
"""What of a mask is meant: a label's number, the brightness, or the opacity."""

VOID_COLOUR = (224, 224, 192)
"""The palette's colour of label 255 in Pascal VOC and what follows it: the rim of an object, which is no object."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""How bright red, green and blue are: the luma of ITU-R BT.601."""
_MAX_LABELS = 16
"""A soft mask has more grays than this, a label map hardly."""
_MAX_PAINTED_LABELS = 64
_BYTES_PER_PIXEL = 24
"""Memory for a pixel of a picture that is read, while what it means as a mask is found out."""
_OWN_NOTE = "gainer", "soft mask"
"""What a mask of our own says of itself in the file, so that no few grays in it are taken for labels."""
_MAX_NAMED_LABELS = 8
"""How many labels a message names."""


class UnclearMaskError(GainerError):
    """A mask of which only a :data:`MaskLabel` can say what is meant."""


class _Stored(NamedTuple):
    """What the file says of its samples, which the decoded picture does not.

    Attributes:
        indices: Upright numbers of the palette's colours, [height, width]; None without a palette.
        palette: The palette, uint8 [n, 3].
        step: What a stored 1 has become in the decoded picture: 17 in gray of 4 bits, 255 in one of 1 bit, else 1.
        is_lossy: Whether the kind of file blurs values.
        is_own: Whether ``mask_bytes`` made it.
    """

    indices: np.ndarray | None
    palette: np.ndarray
    step: int
    is_lossy: bool
    is_own: bool


def read_mask(path: Path, label: MaskLabel | None = None) -> Float[np.ndarray, "h w"]:
    """Read a mask from a picture file of any kind.

    In this order, unless ``label`` says otherwise:

    - Opacity, where it differs by more than dither: the mask.
    - A palette of colours: its indices are labels, 0 is the background.
    - Black with one other gray of the very darkest, such as 0 and 1: a label, and selected wholly.
    - Gray, or colours of which there are many: the brightness, soft where it is gray.
    - Black with one other colour: that is selected wholly.

    Args:
        path: The file.
        label: Of several labels, the one that is meant; or ``luma`` or ``alpha``, where the file could be either.

    Returns:
        Float32 in [0, 1], 1 where it is selected.

    Raises:
        GainerError: The file is no picture, or it has no such label.
        UnclearMaskError: What it means is not clear.
    """
    picture = read_picture(path, is_mask=True)
    check_free(picture.width * picture.height * _BYTES_PER_PIXEL, f"{path}: reading it as a mask", "shrink it first")
    if label == "alpha":
        if picture.alpha is None:
            raise GainerError(f"{path}: has no alpha; leave out label: alpha")
        return picture.opacity()
    if label == "luma":
        return _luma(picture)
    stored = _stored(path)
    if stored.is_own and label is None:
        return _luma(picture)
    return _Reader(path, picture, stored).read(label)


def mask_bytes(mask: Float[np.ndarray, "h w"]) -> bytes:
    """Encode a mask in [0, 1] as a gray PNG of 8 bits, or of 16 if 8 cannot hold its values; it is read as it is."""
    fits = np.allclose(np.rint(mask * 255) / 255, mask, atol=1e-6)
    samples = np.rint(mask * 255).astype(np.uint8) if fits else np.rint(mask * 65535).astype(np.uint16)
    note = PngImagePlugin.PngInfo()
    note.add_text(*_OWN_NOTE)
    file = io.BytesIO()
    Image.fromarray(samples).save(file, format="PNG", pnginfo=note)
    return file.getvalue()


class _Reader:
    """Finds out what one file means; see ``read_mask``."""

    def __init__(self, path: Path, picture: SourceImage, stored: _Stored) -> None:
        self._path, self._picture, self._stored = path, picture, stored
        self._is_gray = bool((picture.rgb[..., :1] == picture.rgb[..., 1:]).all())

    def read(self, label: int | None) -> np.ndarray:
        indices = self._indices()
        if label is not None:
            return self._labelled(self._numbers() if indices is None else indices, label)
        alpha = self._alpha()
        if alpha is not None:
            return alpha
        if indices is not None:
            return self._only_label(indices, self._void())
        return self._gray() if self._is_gray else self._coloured()

    def _indices(self) -> np.ndarray | None:
        """Return the palette's indices where they are labels: not where the palette is only a list of grays."""
        indices, palette = self._stored.indices, self._stored.palette
        if indices is None or (palette == palette[:, :1]).all():
            return None
        used = palette[_values(indices)]
        return None if np.isin(used, (0, 255)).all() and (used == used[:, :1]).all() else indices

    def _void(self) -> int | None:
        palette = self._stored.palette
        return 255 if len(palette) > 255 and tuple(palette[255]) == VOID_COLOUR else None

    def _numbers(self) -> np.ndarray:
        """Return gray samples as they are in the file."""
        if not self._is_gray:
            raise self._unclear(
                "its colours have no numbers; save its labels as gray or with a palette, "
                "or write label: luma for its brightness"
            )
        return self._picture.rgb[..., 0] // self._stored.step

    def _labelled(self, numbers: np.ndarray, label: int) -> np.ndarray:
        if not (numbers == label).any():
            raise GainerError(f"{self._path}: holds no label {label}, but {_listed(_values(numbers))}; choose one")
        return (numbers == label).astype(np.float32)

    def _alpha(self) -> np.ndarray | None:
        """Return opacity, if it says anything: dither around one value does not."""
        alpha, white = self._picture.alpha, self._picture.max_value
        if alpha is None:
            return None
        least, most = int(alpha.min()), int(alpha.max())
        if (least, most) == (0, 1):
            return alpha.astype(np.float32)
        if most - least <= white // 64:
            return None
        opacity = self._picture.opacity()
        self._check_one_shape(opacity)
        return opacity

    def _check_one_shape(self, opacity: np.ndarray) -> None:
        """Refuse black and white that shows one shape under the opacity of another."""
        gray, visible = self._picture.rgb[..., 0], opacity >= 0.5
        white = self._picture.max_value
        if not self._is_gray or not np.isin(_values(gray[visible]), (0, white)).all():
            return
        if len(_values(gray[visible])) == 2:
            raise self._unclear("is black and white, and transparent in part; write label: luma or label: alpha")

    def _only_label(self, numbers: np.ndarray, void: int | None = None) -> np.ndarray:
        """Return the one label that there is beside the background."""
        labels = [int(number) for number in _values(numbers) if number not in (0, void)]
        if len(labels) > 1:
            raise self._unclear(f"holds labels {_listed(labels)}; choose one, such as label: {labels[0]}")
        return (numbers == labels[0] if labels else np.zeros(numbers.shape)).astype(np.float32)

    def _gray(self) -> np.ndarray:
        numbers = self._numbers()
        white = self._picture.max_value // self._stored.step
        values = [int(value) for value in _values(numbers) if value]
        darkest = 255 if white > 255 else max(1, white // 8)
        most = max(values, default=0)
        if most <= darkest and not self._stored.is_lossy:
            return self._only_label(numbers)
        is_bright = most >= 0.96 * white
        between = [value for value in values if value < white]
        rim = is_bright and bool(between) and max(between) <= darkest and not self._stored.is_lossy
        flat = not is_bright and len(values) <= _MAX_LABELS and (len(values) > 1 or most < white / 4)
        if rim or flat:
            raise self._unclear(
                f"holds the grays {_listed(values)}, which may be labels or brightness; write label: {values[0]}, or "
                "label: luma"
            )
        return _luma(self._picture)

    def _coloured(self) -> np.ndarray:
        """Return colours: a label map that was painted, or a picture whose brightness is meant."""
        rgb = self._picture.rgb
        packed = (rgb[..., 0].astype(np.int64) << 32) | (rgb[..., 1].astype(np.int64) << 16) | rgb[..., 2]
        step = max(1, packed.size >> 20)
        if len(np.unique(packed.ravel()[::step])) > _MAX_PAINTED_LABELS:
            return _luma(self._picture)
        colours = np.unique(packed)
        if len(colours) == 2 and colours[0] == 0:
            return (packed == colours[1]).astype(np.float32)
        if len(colours) > _MAX_PAINTED_LABELS:
            return _luma(self._picture)
        raise self._unclear(
            f"is painted in {len(colours)} colours, and which is meant is not clear; save it as white on black, or "
            "write label: luma for its brightness"
        )

    def _unclear(self, problem: str) -> UnclearMaskError:
        return UnclearMaskError(f"{self._path}: {problem}")


def _luma(picture: SourceImage) -> np.ndarray:
    """Return brightness in [0, 1], float32 [height, width]."""
    return (picture.colours() @ _LUMA).clip(0.0, 1.0)


def _stored(path: Path) -> _Stored:
    """Return what Pillow says of the file, which ``read_picture`` has read before."""
    with strict_pillow(), path.open("rb") as file, Image.open(file) as image:
        packing = str(image.tile[0][3]) if getattr(image, "tile", None) else ""
        step = next((step for bits, step in (("L;2", 85), ("L;4", 17)) if bits in packing), 1)
        step = 255 if image.mode == "1" else step
        is_own = image.info.get(_OWN_NOTE[0]) == _OWN_NOTE[1]
        is_lossy = image.format in ("JPEG", "MPO", "WEBP", "JPEG2000", "AVIF", "HEIF")
        if image.mode not in ("P", "PA"):
            return _Stored(None, np.zeros((0, 3), np.uint8), step, is_lossy, is_own)
        image.load()
        palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        upright = ImageOps.exif_transpose(image)
        indices = np.asarray(upright if upright.mode == "P" else upright.getchannel(0))
    used = int(indices.max()) + 1
    palette = np.pad(palette, ((0, max(0, used - len(palette))), (0, 0)))  # Pillow leaves out black ones at the end.
    return _Stored(indices, palette, 1, is_lossy, is_own)


def _values(samples: np.ndarray) -> np.ndarray:
    """Return the numbers that occur, ascending."""
    return np.flatnonzero(np.bincount(samples.ravel()))


def _listed(values: list[int] | np.ndarray) -> str:
    """Return numbers in a message."""
    named = [str(value) for value in values[:_MAX_NAMED_LABELS]]
    if len(values) > _MAX_NAMED_LABELS:
        return f"{', '.join(named)} and {len(values) - _MAX_NAMED_LABELS} more"
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
