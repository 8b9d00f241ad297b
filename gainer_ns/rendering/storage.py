"""Baked pictures as safetensors files, and back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gainer_ns.encodings.knn_encoding import MAX_NEIGHBOURS
from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.files import whole_file
from gainer_ns.fitting.bands import PictureBands
from gainer_ns.fitting.quantisation import QuantisedFeatures, quantised
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.placement import lattice, lattice_size
from gainer_ns.rendering.plane import BakedPicture

FORMAT = "gainer-picture"
VERSION = 1
Bits = Literal[32, 16, 8]
MAX_FEATURES = 1024
"""The longest feature that is read: a kernel is compiled for every length."""


def picture_bytes(picture: BakedPicture, bits: Bits = 32) -> bytes:
    """A baked picture as the bytes of a safetensors file.

    Args:
        picture: What to store.
        bits: Of a feature channel. 32 is exact, 16 stores half floats, 8 stores levels that are refitted, so that the
            channels together keep more than 8 bits a colour (see :mod:`gainer_ns.fitting.quantisation`).

    Raises:
        GainerError: If half floats cannot hold it.
    """
    gaussians, plane, decoder = picture.gaussians, picture.plane, picture.decoder
    tensors: dict[str, Tensor] = {f"decoder.{name}": value for name, value in decoder.state_dict().items()}
    if bits == 32:
        tensors["covariances"] = _relative(gaussians.covariances, plane)
        tensors["features"] = gaussians.features
    else:
        try:
            tensors["covariance_factors"] = _factors(_relative(gaussians.covariances, plane)).half()
        except ValueError as error:
            raise GainerError(f"{error}; store it in 32 bits, or undo the edit that made it") from error
    if bits == 16:
        tensors["features"] = gaussians.features.half()
    if bits == 8:
        levels = quantised(_bands(picture), gaussians.features, decoder)
        tensors |= {"levels": levels.levels, "level_low": levels.low, "level_step": levels.step}
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise GainerError(f"the picture holds numbers that {bits} bits cannot; store it in 32 bits")
    density = len(gaussians) / plane.pixels
    on_lattice = _is_lattice(gaussians.means, plane, density)
    if not on_lattice:
        tensors["means"] = gaussians.means
    header = {
        "format": FORMAT,
        "version": VERSION,
        "width": plane.width,
        "height": plane.height,
        "bit_depth": picture.bit_depth,
        "num_neighbours": picture.num_neighbours,
        "radius": gaussians.radius,
        "coverage": picture.coverage if math.isfinite(picture.coverage) else None,
        "hidden_layers": decoder.hidden_layers,
        "hidden_dim": decoder.hidden_dim,
        "lattice_density": density if on_lattice else None,
        "bits": bits,
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return save(tensors, {"header": json.dumps(header)})  # of several entries, safetensors would shuffle the order


def save_picture(picture: BakedPicture, path: Path, bits: Bits = 32) -> None:
    """Writes a baked picture to a file, whole or not at all.

    Raises:
        GainerError: If the file cannot be written.
    """
    with whole_file(path) as file:  # first of all, so that a path that cannot be written costs no time
        file.write(picture_bytes(picture, bits))


def load_picture(path: Path) -> BakedPicture:
    """Reads a baked picture.

    Raises:
        GainerError: If the file is missing, damaged, of another format or version, or does not fit together.
    """
    remedy = "write it again with 'gainer export --format safetensors'"
    if not path.is_file():
        raise GainerError(f"{path}: there is no such file; check the path")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("header", "null"))
            if not (isinstance(header, dict) and header.get("format") == FORMAT):
                raise GainerError(f"{path}: not a picture of gainer; {remedy}")
            if header.get("version") != VERSION:
                raise GainerError(
                    f"{path}: written in version {header.get('version')!r} of the format, this program reads "
                    f"version {VERSION}; {remedy}"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return _assembled(header, tensors)
    except GainerError:
        raise
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise GainerError(f"{path}: damaged or cut short ({_first_line(error)}); {remedy}") from error


def _assembled(header: dict[str, Any], tensors: dict[str, Tensor]) -> BakedPicture:
    """The picture that a file's header and tensors describe; anything raised here means that they do not fit."""
    plane = ImagePlane(_whole(header["width"], 2**31), _whole(header["height"], 2**31))
    features = _features(header["bits"], tensors)
    if header["lattice_density"] is not None:
        density = float(header["lattice_density"])
        if not (density > 0 and math.prod(lattice_size(plane, density)) == len(features)):
            raise ValueError("the header does not fit the features")
        means = lattice(plane, density)
    else:
        means = tensors["means"].float()
    whole = header["bits"] == 32
    relative = tensors["covariances"].float() if whole else _from_factors(tensors["covariance_factors"])
    _factors(relative)  # refuses what is no covariance
    covariances = _relative(relative, plane, inverse=True)
    gaussians = GaussianSet(means, covariances, features, float(header["radius"]))
    decoder = _decoder(header, tensors, features.shape[1])
    coverage = math.inf if header["coverage"] is None else float(header["coverage"])
    if gaussians.dimensions != 2:
        raise ValueError("its Gaussians do not lie on a plane")
    if not (gaussians.radius > 0 and coverage > 0 and header["bit_depth"] in (8, 16)):
        raise ValueError("its radius, coverage or bit depth makes no sense")
    parts = means, covariances, features, gaussians.precisions, *decoder.state_dict().values()
    if not all(bool(part.isfinite().all()) for part in parts):
        raise ValueError("it holds numbers that are not finite")
    neighbours = _whole(header["num_neighbours"], MAX_NEIGHBOURS)
    return BakedPicture(plane, gaussians, decoder, neighbours, coverage, int(header["bit_depth"]))


def _features(bits: int, tensors: dict[str, Tensor]) -> Float[Tensor, "n f"]:
    if bits == 8:
        stored = QuantisedFeatures(tensors["levels"], tensors["level_low"], tensors["level_step"])
        if stored.levels.dtype != torch.uint8 or not stored.levels.shape[1:] == stored.low.shape == stored.step.shape:
            raise ValueError("its levels do not fit together")
        features = stored.features()
    elif bits in (16, 32):
        features = tensors["features"].float()
    else:
        raise ValueError(f"{bits!r} bits are not known")
    if features.dim() != 2:
        raise ValueError("its features are no table")
    return features


def _decoder(header: dict[str, Any], tensors: dict[str, Tensor], feature_dim: int) -> Decoder:
    """The decoder; nothing is allocated for it but what the file really holds."""
    weights = {name.removeprefix("decoder."): value for name, value in tensors.items() if name.startswith("decoder.")}
    hidden_layers, hidden_dim = int(header["hidden_layers"]), int(header["hidden_dim"])
    if not (hidden_layers <= len(weights) and _whole(feature_dim, MAX_FEATURES)):
        raise ValueError("the decoder does not fit the features")
    with torch.device("meta"):
        decoder = Decoder(feature_dim, hidden_layers=hidden_layers, hidden_dim=hidden_dim)
    decoder.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
    return decoder.eval()


def _whole(value: Any, largest: int) -> int:
    """A whole number from 1 to the largest."""
    if not 1 <= int(value) <= largest:
        raise ValueError(f"{value} is not between 1 and {largest}")
    return int(value)


def _relative(covariances: Float[Tensor, "s d d"], plane: ImagePlane, *, inverse: bool = False) -> Tensor:
    """Covariances in square pixels, which half floats can hold, or back."""
    square_pixel = plane.pixel_size**2
    return covariances * square_pixel if inverse else covariances / square_pixel


def _factors(covariances: Float[Tensor, "s 2 2"]) -> Float[Tensor, "s 3"]:
    """Cholesky factors of covariances: rounded to half floats, they still are factors of covariances.

    Raises:
        ValueError: If one is not positive definite.
    """
    lower, failed = torch.linalg.cholesky_ex(covariances.double())
    if bool(failed.any()):
        raise ValueError("a covariance of the picture is not positive definite, or not finite")
    rows, columns = torch.tril_indices(2, 2)
    return lower[:, rows, columns].float()


def _from_factors(factors: Float[Tensor, "s 3"]) -> Float[Tensor, "s 2 2"]:
    lower = torch.zeros(len(factors), 2, 2, dtype=torch.float64)
    rows, columns = torch.tril_indices(2, 2)
    lower[:, rows, columns] = factors.double()
    return (lower @ lower.mT).float()


def _is_lattice(means: Float[Tensor, "n 2"], plane: ImagePlane, density: float) -> bool:
    expected = lattice(plane, density)
    return means.shape == expected.shape and torch.equal(means.cpu(), expected)


def _bands(picture: BakedPicture) -> PictureBands:
    """The pixels that the picture covers."""
    gaussians = picture.gaussians
    pixels = torch.arange(picture.plane.pixels, device=gaussians.means.device)
    if math.isfinite(picture.coverage):
        nearest = picture.index.query(picture.plane.pixel_centres(pixels), 1).squared_distances[:, 0]
        pixels = pixels[nearest <= picture.coverage**2]
    return PictureBands(picture.plane, gaussians, picture.num_neighbours, pixels)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
