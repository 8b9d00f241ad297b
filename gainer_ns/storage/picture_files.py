"""Store baked pictures as safetensors files, and load them."""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.recipe import PictureRecipe
from gainer_ns.frames import ImagePlane
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.io.files import whole_file
from gainer_ns.memory import check_free
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.checks import are_finite, check_layer, checked_bit_depth, checked_plane
from gainer_ns.storage.deflated import deflated, inflated
from gainer_ns.storage.layers import (
    LEVELS_TENSOR,
    MATTE_TENSOR,
    PROFILE_TENSOR,
    conversion_from,
    conversion_tensors,
    layer_from,
    layer_tensors,
)
from gainer_ns.storage.means import CURVE_TENSOR, Bits
from gainer_ns.storage.pixels import PIXELS_TENSOR, fitted_pixels_tensors, layer_from_pixels, pixels_tensors
from gainer_ns.storage.sheets import OnPlane, PictureParts, Reference, posed_layers, sheet_tensors
from gainer_ns.storage.tensor_files import file_parts

_FORMAT = "gainer-picture"
_MEMORY_PER_FILE_BYTE = 8
"""Bytes of memory for a byte of a file, about: 8 bits become floats, and covariances their inverses too."""
_VERSION, _VERSION_WITH_PROFILE, _VERSION_WITH_PIXELS, _VERSION_OF_FEW, _VERSION_OF_LEVELS = 3, 4, 6, 7, 8
"""What is written; higher ones where there is a colour profile, which older programs would drop, pixels, an
edit, few Gaussians that are coded or have a matte, or such that are levels."""
_VERSION_WITH_SHEETS = 5
"""The first that could hold edits."""
_VERSIONS_READ = 2, 3, 4, 5, 6, 7, 8
"""The second had no slopes, and no means in 16 bits."""
_OLD_EDITS = ".reaches", ".opacity_slopes"
"""Tensors by which versions before the fifth said where the moved parts of an edited picture end."""
CODED = CURVE_TENSOR, "shape_levels", "levels", "slope_levels"
"""What is deflated of a layer whose means are stored along a curve."""
_DAMAGES = (
    SafetensorError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
)
"""What reading raises where a file is not what it says."""
_REMEDY = "write it again with 'gainer export --format safetensors'"


def picture_bytes(picture: BakedPicture, bits: Bits = 32) -> bytes:
    """Encode a baked picture as the bytes of a safetensors file.

    Layers that are fits of pixels in closed form are stored as these pixels, without loss (``0.pixels``, see
    :mod:`gainer_ns.storage.pixels`). Of others, tensors are named by the layer they belong to, from back to front:
    ``0.features``. A decoder that several share is stored once: ``decoder.0.linear.weight``. Of an edited picture,
    layers are stored as they were before, each once, and sheets say where they have gone: ``sheet.0.nodes`` (see
    :mod:`gainer_ns.storage.sheets`). ``bits`` are those of a feature channel: 32 is exact, 16 stores half floats, 8
    stores levels that are refitted (see :mod:`gainer_ns.storage.quantisation`), and decoders as half floats. Layers
    whose own Gaussians were moved have 16 where 8 are wanted.

    Raises:
        GainerError: If so many bits cannot hold it.
    """
    return b"".join(_picture_parts(picture, bits))


def _picture_parts(
    picture: BakedPicture, bits: Bits, run: Mapping[str, Any] | None = None
) -> Iterator[bytes | memoryview]:
    """Yield the same bytes, part by part, without a copy of what is large, and of which run of ns-train they are."""
    parts = PictureParts.of(picture)
    layers, decoders, tensors = _layers_tensors(parts, picture, bits)
    sheets: list[dict[str, Any]] = []
    of_sheets: dict[str, Tensor] = {}
    for number, (sheet, rest) in enumerate(parts.sheets):
        header, found = sheet_tensors(sheet, rest, bits)
        sheets.append(header)
        of_sheets |= _prefixed(f"sheet.{number}.", {name: value.detach().cpu() for name, value in found.items()})
    if not are_finite(*tensors.values(), *of_sheets.values()):
        remedy = "undo the edit that made them" if bits == 32 else "store it in 32 bits"
        raise GainerError(f"the picture holds numbers that {bits} bits cannot; {remedy}")
    if picture.profile is not None:
        tensors[PROFILE_TENSOR] = picture.profile.to_tensor()
    version = _version(tensors, is_edited=parts.shown is not None)
    header = _header(version, picture.plane, picture.bit_depth) | {"decoders": decoders, "layers": layers}
    curves = [name.removesuffix(CURVE_TENSOR) for name in tensors if name.endswith(f".{CURVE_TENSOR}")]
    coded = {of + name: tensors.pop(of + name).cpu() for of in curves for name in CODED if of + name in tensors}
    if of_sheets or coded:
        header["deflated"], packed = deflated(of_sheets | coded)
        tensors |= packed
    if version >= _VERSION_WITH_SHEETS:
        header |= {"sheets": sheets, "shown": _all_shown(layers) if parts.shown is None else parts.shown}
    header |= {} if run is None else {"run": run}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    yield from file_parts(
        tensors, {"header": json.dumps(header)}
    )  # of several entries, safetensors would shuffle the order


def _header(version: int, plane: ImagePlane, bit_depth: int) -> dict[str, Any]:
    """Return what every file says first."""
    return {
        "format": _FORMAT,
        "version": version,
        "width": plane.width,
        "height": plane.height,
        "bit_depth": bit_depth,
    }


def _layers_tensors(
    parts: PictureParts, picture: BakedPicture, bits: Bits
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Tensor]]:
    """Encode the layers at rest: numbers of each for the header, those of their decoders, and tensors."""
    packed = [
        pixels_tensors(layer, plane, picture.bit_depth, exactly=bits == 32)
        for layer, plane in zip(parts.layers, parts.planes, strict=True)
    ]
    learned = [layer for layer, pixels in zip(parts.layers, packed, strict=True) if pixels is None]
    decoders = list({id(layer.decoder): layer.decoder for layer in learned}.values())
    exact = {id(layer.decoder) for layer in learned if layer.gaussians.inverse_jacobians is not None}
    halved = [bits == 8 and id(decoder) not in exact for decoder in decoders]
    stored = [_halved(one) if half else one for one, half in zip(decoders, halved, strict=True)]
    tensors: dict[str, Tensor] = {}
    for number, (decoder, half) in enumerate(zip(stored, halved, strict=True)):
        values = {name: value.half() if half else value for name, value in decoder.state_dict().items()}
        tensors |= _prefixed(f"decoder.{number}.", values)
    headers = []
    for number, (layer, plane, pixels) in enumerate(zip(parts.layers, parts.planes, packed, strict=True)):
        if pixels is None:
            own = next(i for i, one in enumerate(decoders) if one is layer.decoder)
            header, found = layer_tensors(layer, replace(picture, plane=plane, layers=(layer,)), bits, stored[own])
            header |= {"decoder": own}
        else:
            header, found = pixels
        headers.append(header | ({} if plane == picture.plane else {"size": [plane.width, plane.height]}))
        tensors |= _prefixed(f"{number}.", found | conversion_tensors(layer))
    for layer in learned:  # what is written can be read
        try:
            check_layer(layer)
        except ValueError as error:
            raise GainerError(f"the picture cannot be stored: {error}; undo the edit that made it") from error
    return headers, [{"hidden_layers": one.hidden_layers, "hidden_dim": one.hidden_dim} for one in decoders], tensors


def _all_shown(layers: Sequence[object]) -> list[Reference]:
    """Return where the layers of a picture stand that nobody has edited."""
    return [{"layer": number} for number in range(len(layers))]


def _version(tensors: Mapping[str, Tensor], *, is_edited: bool) -> int:
    """Return the lowest version whose programs read all of a file."""
    if any(name.endswith(f".{LEVELS_TENSOR}") for name in tensors):
        return _VERSION_OF_LEVELS
    if any(name.endswith((f".{MATTE_TENSOR}", f".{CURVE_TENSOR}")) for name in tensors):
        return _VERSION_OF_FEW
    if is_edited or any(name.endswith(f".{PIXELS_TENSOR}") for name in tensors):
        return _VERSION_WITH_PIXELS
    return _VERSION_WITH_PROFILE if any(name.endswith(PROFILE_TENSOR) for name in tensors) else _VERSION


def save_picture(picture: BakedPicture, path: Path, bits: Bits = 32, *, run: Mapping[str, Any] | None = None) -> None:
    """Write a baked picture to a file, whole or not at all; see :func:`picture_bytes`.

    ``run`` says of which run of ns-train it is, as :mod:`gainer_ns.storage.run_pictures` puts it; None of none.

    Raises:
        GainerError: If the file cannot be written.
    """
    with whole_file(path) as file:  # first of all, so that a path that cannot be written costs no time
        for part in _picture_parts(picture, bits, run):
            file.write(part)


def save_fitted_pixels(path: Path, samples: np.ndarray, profile: ColourProfile | None, recipe: PictureRecipe) -> None:
    """Write the picture that is the fit of samples [h, w, 3] in closed form, as :func:`save_picture` does.

    Raises:
        GainerError: If the file cannot be written.
    """
    with whole_file(path) as file:
        layer, packed = fitted_pixels_tensors(samples, recipe)
        tensors = _prefixed("0.", packed) | ({} if profile is None else {PROFILE_TENSOR: profile.to_tensor()})
        plane = ImagePlane(samples.shape[1], samples.shape[0])
        header = _header(_VERSION_WITH_PIXELS, plane, 8 * samples.dtype.itemsize)
        header |= {"decoders": [], "layers": [layer], "sheets": [], "shown": _all_shown([layer])}
        for part in file_parts(tensors, {"header": json.dumps(header)}):
            file.write(part)


def load_picture(path: Path) -> BakedPicture:
    """Read a baked picture.

    Raises:
        GainerError: If the file is missing, damaged, of another format or version, or does not fit together.
    """
    with _opened(path) as file:
        header = _checked_header(file, path)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return _assembled(header, tensors)


def picture_header(path: Path) -> dict[str, Any]:
    """Read what a file says of its picture: sizes, layers, decoders, and the run that it is of.

    Raises:
        GainerError: If the file is missing, damaged, or of another format or version.
    """
    with _opened(path) as file:
        return _checked_header(file, path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file, and say in one line what is wrong with it."""
    if not path.is_file():
        raise GainerError(f"{path}: there is no such file; check the path")
    check_free(_MEMORY_PER_FILE_BYTE * path.stat().st_size, f"{path}:", "close other programs")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except GainerError:
        raise
    except _DAMAGES as error:
        raise GainerError(f"{path}: damaged or cut short ({_first_line(error)}); {_REMEDY}") from error


def _checked_header(file: Any, path: Path) -> dict[str, Any]:
    header = json.loads((file.metadata() or {}).get("header", "null"))
    if not (isinstance(header, dict) and header.get("format") == _FORMAT):
        raise GainerError(f"{path}: not a picture of gainer; {_REMEDY}")
    if header.get("version") not in _VERSIONS_READ:
        raise GainerError(
            f"{path}: written in version {header.get('version')!r} of the format, this program reads "
            f"versions {_VERSIONS_READ[0]} to {_VERSIONS_READ[-1]}; {_REMEDY}"
        )
    if any(name.endswith(_OLD_EDITS) for name in file.keys()):  # noqa: SIM118 (not a mapping)
        raise GainerError(
            f"{path}: holds an edited picture of an older version, which said in another way where its parts end; edit "
            "the fitted picture again"
        )
    return header


def _assembled(header: dict[str, Any], tensors: dict[str, Tensor]) -> BakedPicture:
    """Decode a file's header and tensors; anything raised here means that they do not fit."""
    tensors = tensors | inflated(header.get("deflated", {}), tensors)
    plane = checked_plane(header["width"], header["height"])
    checked_bit_depth(header["bit_depth"])
    if not (isinstance(header["layers"], list) and isinstance(header["decoders"], list) and header["layers"]):
        raise ValueError("it has no layers")
    decoders = [_decoder(one, _below(f"decoder.{number}.", tensors)) for number, one in enumerate(header["decoders"])]
    profile = ColourProfile.from_tensor(tensors.get(PROFILE_TENSOR), "the file")
    layers = []
    for number, one in enumerate(header["layers"]):
        own = plane if "size" not in one else checked_plane(*one["size"])
        parts = _below(f"{number}.", tensors)
        pixels = parts.get(PIXELS_TENSOR)
        layer = layer_from(one, parts, decoders, own) if pixels is None else layer_from_pixels(one, pixels, own)
        layers.append(OnPlane(replace(layer, conversion=conversion_from(parts, profile)), own))
    if header["version"] < _VERSION_WITH_SHEETS:
        header = header | {"sheets": [], "shown": _all_shown(layers)}
    of_sheets = [_below(f"sheet.{number}.", tensors) for number in range(len(header["sheets"]))]
    return BakedPicture(plane, posed_layers(header, of_sheets, layers, plane), header["bit_depth"], profile)


def _decoder(header: Mapping[str, Any], weights: dict[str, Tensor]) -> Decoder:
    layers, width = int(header["hidden_layers"]), int(header["hidden_dim"])
    return Decoder.restored(weights, hidden_layers=layers, hidden_dim=width)


def _halved(decoder: Decoder) -> Decoder:
    """Return a decoder whose numbers are those of half floats."""
    other = deepcopy(decoder)
    other.load_state_dict({name: value.half().float() for name, value in decoder.state_dict().items()})
    return other


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in tensors.items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
