"""Read any picture a person has into exact samples.

Pillow opens every file, because it knows the most kinds and the most oddities. It keeps only 8 bits of a 16-bit colour
picture, so the samples of those come from OpenCV. Samples are as stored, and the colour profile of RGB ones is kept
beside them; gray and CMYK with a profile become sRGB.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFile, PngImagePlugin, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION, TiffImageFile

from gainer_ns.errors import GainerError
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.io.inputs import check_picture_file, complaint, is_heic
from gainer_ns.io.samples import rounded_samples
from gainer_ns.io.stored_colours import StoredColours, stored_colours
from gainer_ns.memory import check_free

_logger = logging.getLogger(__name__)

MAX_PIXELS = 2**29
"""The largest picture that is read: 536 megapixels, which fill 1.6 GB as 8-bit samples."""

_BYTES_PER_PIXEL, _BYTES_PER_16_BIT_PIXEL = 8, 20
"""Memory for a pixel while a picture of 8 or 16 bits is decoded; a small file can say that it has very many."""

_MAX_PNG_CHUNK = 64 << 20
"""Bytes up to which a PNG's profile is unpacked: a large one is no reason to refuse the picture."""

_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda samples: samples[:, ::-1],
    3: lambda samples: samples[::-1, ::-1],
    4: lambda samples: samples[::-1],
    5: lambda samples: samples.swapaxes(0, 1),
    6: lambda samples: np.rot90(samples, -1),
    7: lambda samples: samples.swapaxes(0, 1)[::-1, ::-1],
    8: lambda samples: np.rot90(samples),
}
"""Turns of stored rows and columns, for each value of the EXIF orientation (1 is upright already)."""

_PILLOW_SWITCHES = threading.Lock()


@dataclass(frozen=True, eq=False)
class SourceImage:
    """A decoded picture, upright, its samples as stored in the file.

    Attributes:
        rgb: uint8 or uint16 [height, width, 3]. Gray is repeated, a palette looked up, CMYK converted.
        alpha: Same type, [height, width], not multiplied into the colours; None where the file declares none.
        path: The file that was read.
        profile: What the colours mean; None for sRGB. Alpha has no part in it.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None
    path: Path
    profile: ColourProfile | None = None

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.rgb.shape[1]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.rgb.shape[0]

    @property
    def bit_depth(self) -> int:
        """Bits a sample: 8 or 16."""
        return 8 * self.rgb.dtype.itemsize

    @property
    def max_value(self) -> int:
        """The sample that means white, or opaque: 255 or 65535."""
        return 2**self.bit_depth - 1

    def colours(self) -> np.ndarray:
        """Return colours as float32 [height, width, 3] in [0, 1]."""
        return np.divide(self.rgb, self.max_value, dtype=np.float32)

    def opacity(self) -> np.ndarray:
        """Return opacity as float32 [height, width] in [0, 1]; 1 everywhere in a picture without transparency."""
        if self.alpha is None:
            return np.ones((self.height, self.width), np.float32)
        return np.divide(self.alpha, self.max_value, dtype=np.float32)


def read_picture(path: Path, *, downscale_factor: int = 1, is_mask: bool = False) -> SourceImage:
    """Read the first frame of any file that Pillow opens, turned upright.

    PNG, TIFF and PNM keep 16 bits a sample; every other depth comes out as 8. ``downscale_factor`` divides width and
    height (rounded down, at least one pixel), by Pillow's antialiased bicubic. The samples of a mask are plain numbers,
    whatever colours the file says that they stand for.

    Raises:
        GainerError: The path holds no picture, only part of one, or one that has no exact 8- or 16-bit RGB samples.
    """
    path = Path(path)
    with _opened(path) as image:
        packing = str([tile[3] for tile in image.tile[:1]])  # How samples lie in the file: "RGB;16B", "L;4" ...
        is_deep = ";16" in packing or (image.format == "PPM" and "65535" in packing)
        size = _BYTES_PER_16_BIT_PIXEL if is_deep or image.mode.startswith("I") else _BYTES_PER_PIXEL
        check_free(image.width * image.height * size, f"{path}: reading it", "crop or shrink it first")
        rgb, alpha, profile = _decode(image, packing, is_deep, path, is_mask)
    picture = SourceImage(rgb, alpha, path, profile)
    return picture if downscale_factor == 1 else downscaled(picture, downscale_factor)


def check_opens(path: Path) -> int:
    """Refuse what Pillow does not know by its beginning; whether the rest is whole is not looked at.

    Returns:
        How many pixels it has.

    Raises:
        GainerError: As :func:`read_picture` says it.
    """
    with _opened(Path(path)) as image:
        return image.width * image.height


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open a picture with Pillow, and say in one line what is wrong with it while it is decoded."""
    check_picture_file(path)
    if is_heic(path):
        _read_heic_too()
    try:
        # Given a path, Pillow may map the file into memory, and then garbles some turned TIFF pictures.
        with strict_pillow(), path.open("rb") as file, Image.open(file) as image:
            yield image
    except GainerError:
        raise
    except PermissionError:
        raise GainerError(f"{path}: may not be read; give yourself permission (chmod u+r) or copy it") from None
    except UnidentifiedImageError:
        raise GainerError(complaint(path)) from None
    except (Image.DecompressionBombError, MemoryError):
        limit = f"{MAX_PIXELS // 10**6} megapixels, or than memory holds"
        raise GainerError(f"{path}: has more than {limit}; crop or shrink it in an image editor first") from None
    except Exception as error:  # Damage makes the decoders of some forty formats raise almost anything.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise GainerError(f"{path}: is cut short or damaged ({reason}); fetch or save it again") from error


def _read_heic_too() -> None:
    """Teach Pillow to open HEIC, 8 bits a sample, where the package for it is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif  # pyright: ignore[reportMissingImports]

        pillow_heif.register_heif_opener()


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Give Pillow room for large pictures and no mercy for cut ones; put its global switches back afterwards."""
    with _PILLOW_SWITCHES, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # On large pictures and on broken metadata: neither harms the samples.
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow warns above this, and refuses above its double.
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        PngImagePlugin.MAX_TEXT_CHUNK = _MAX_PNG_CHUNK
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK = before


def _decode(
    image: ImageFile.ImageFile, packing: str, is_deep: bool, path: Path, is_mask: bool
) -> tuple[np.ndarray, np.ndarray | None, ColourProfile | None]:
    """Decode an opened picture into upright samples, [height, width, 3] and [height, width] or None, and a profile."""
    if getattr(image, "is_animated", False):
        _logger.warning("%s: holds several frames; only the first is used", path)
    _check_samples(image, packing, path)
    for shallow, step in (("L;2", 85), ("L;4", 17)):
        if shallow in packing and "transparency" in image.info:
            image.info["transparency"] *= step  # Pillow widens these samples to 8 bits, but not the transparent one.
    image.load()
    # A TIFF is turned by now, by Pillow and by OpenCV alike, and has no orientation left.
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    mode = "LA" if "LA;" in packing else image.mode
    colours = StoredColours() if is_mask else stored_colours(image, mode, path)
    if image.mode.startswith("I"):
        rgb, alpha = _deep_gray(image)
    elif is_deep and image.mode in ("LA", "RGB", "RGBA"):
        rgb, alpha = _deep_colours(image, packing, path)
    else:
        rgb, alpha = _shallow_samples(image, colours.cmyk)
    if colours.gray is not None:
        rgb = colours.gray(rgb)
    image.close()  # Frees Pillow's copy of the samples before another is made.
    if orientation in _UPRIGHT:
        turn = _UPRIGHT[orientation]
        rgb, alpha = np.ascontiguousarray(turn(rgb)), None if alpha is None else np.ascontiguousarray(turn(alpha))
    return rgb, alpha, colours.profile


def _check_samples(image: ImageFile.ImageFile, packing: str, path: Path) -> None:
    """Refuse samples without an agreed white, and those that neither decoder gets right."""
    strange = image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM"))
    if isinstance(image, TiffImageFile):
        depths = image.tag_v2.get(BITSPERSAMPLE, (1,))
        planes_apart = len(depths) > 1 and image.tag_v2.get(PLANAR_CONFIGURATION) == 2
        strange |= max(depths) > 8 and (";16" not in packing or planes_apart)
    if strange:
        raise GainerError(f"{path}: its samples are not plain 8- or 16-bit ({packing}); save it as a 16-bit PNG")


def _shallow_samples(
    image: ImageFile.ImageFile, cmyk_to_srgb: ImageCms.ImageCmsTransform | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Convert any mode of Pillow's to 8-bit samples, some rows at a time: at once it would hold them once more."""
    mode = "RGBA" if image.has_transparency_data else "RGB"
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    alpha = np.empty(rgb.shape[:2], np.uint8) if mode == "RGBA" else None
    step = max(1, 2**20 // image.width)
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        band = image.crop((0, top, image.width, bottom))
        rows = np.asarray(band.convert(mode))
        rgb[top:bottom] = rows[..., :3]
        if cmyk_to_srgb is not None:
            rgb[top:bottom] = np.asarray(ImageCms.applyTransform(band, cmyk_to_srgb))
        if alpha is not None:
            alpha[top:bottom] = rows[..., 3]
    return rgb, alpha


def _deep_gray(image: ImageFile.ImageFile) -> tuple[np.ndarray, np.ndarray | None]:
    """Return 16-bit gray samples, which Pillow keeps whole; alpha is 0 where they equal a PNG's transparent one."""
    gray = np.array(image, np.uint16)
    key = image.info.get("transparency")
    alpha = None if key is None else np.multiply(gray != key, 65535, dtype=np.uint16)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0:
        gray = 65535 - gray  # 0 is white here, which Pillow heeds in 8 bits only.
    return np.repeat(gray[..., None], 3, axis=2), alpha


def _deep_colours(image: ImageFile.ImageFile, packing: str, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return 16-bit colour samples, which only OpenCV keeps whole (blue first)."""
    decoded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise OSError("OpenCV cannot decode its 16-bit samples")
    rgb = np.ascontiguousarray(decoded[..., 2::-1])
    if not image.has_transparency_data:
        return rgb, None
    alpha = np.ascontiguousarray(decoded[..., 3])
    if "RGBa" in packing:  # A TIFF may store colours already multiplied by alpha.
        opacity = np.divide(alpha, 65535, dtype=np.float32)
        rgb = np.stack([_unmultiply(rgb[..., channel], opacity, 65535) for channel in range(3)], axis=2)
    return rgb, alpha


def _unmultiply(channel: np.ndarray, opacity: np.ndarray, max_value: int) -> np.ndarray:
    """Divide samples [height, width] of a channel by the opacity (float) they were multiplied by; 0 where that is 0."""
    visible = opacity * max_value >= 0.5
    values = np.divide(channel, opacity, out=np.zeros(channel.shape, np.float32), where=visible)
    return rounded_samples(values, max_value)


def downscaled(picture: SourceImage, factor: int) -> SourceImage:
    """Shrink a picture. Colours count by their opacity, so that nothing hidden bleeds into what shows."""
    if factor < 1 or factor != int(factor):
        raise GainerError(f"{picture.path}: cannot be downscaled by {factor}; give a whole number from 1 up")
    size = max(1, picture.width // factor), max(1, picture.height // factor)
    if picture.alpha is None and picture.bit_depth == 8:
        return replace(picture, rgb=np.array(Image.fromarray(picture.rgb).resize(size, Image.Resampling.BICUBIC)))

    def shrink(channel: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BICUBIC))

    white = picture.max_value
    opacity = picture.opacity()
    small = shrink(opacity)
    channels = [_unmultiply(shrink(picture.rgb[..., i] * opacity), small, white) for i in range(3)]
    alpha = None if picture.alpha is None else rounded_samples(small * white, white)
    return replace(picture, rgb=np.stack(channels, axis=2), alpha=alpha)
