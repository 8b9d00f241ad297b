"""One layer of a picture as tensors in few bits, and back."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.knn_encoding import MAX_NEIGHBOURS
from gainer_ns.fitting.bands import PictureBands
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.levels import gaussians_of, levels_found, steps_of
from gainer_ns.gaussians.slopes import slopes_along, stacked, with_slopes_along
from gainer_ns.gaussians.small_matrices import singular_range
from gainer_ns.io.colour_profiles import ColourProfile, Conversion
from gainer_ns.io.packed_samples import packed_samples, unpacked_samples
from gainer_ns.io.samples import integer_samples
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.matte import Matte
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.checks import check_layer, whole_number
from gainer_ns.storage.covariances import shapes_from, shapes_tensors
from gainer_ns.storage.level_streams import LevelStreams, packed_levels, unpacked_levels
from gainer_ns.storage.means import Bits, means_along_curve, means_from, means_tensors
from gainer_ns.storage.quantisation import QuantisedFeatures, quantised, rounded

MATTE_TENSOR = "matte"
"""What files call the bytes of a layer's opacity, pixel by pixel."""
LEVELS_TENSOR = "level_streams"
"""What files call the bytes of Gaussians that are levels."""
PROFILE_TENSOR = "colour_profile"
"""What files call the colour profile of a picture, and of a layer whose own is another; without bytes it is sRGB."""
_MAX_GAUSSIANS_PER_BYTE = 64
"""That a file may hold: alike, they take next to nothing."""
_MAX_HALF_STRETCH = 50.0
"""Inverse Jacobians whose singular values lie between this and its inverse are stored as half floats."""
_MIN_SINGULAR_VALUE = 1e-6
"""Of an inverse Jacobian that is read: a stretch by a million."""

_logger = logging.getLogger(__name__)


def layer_tensors(
    layer: Layer, picture: BakedPicture, bits: Bits, decoder: Decoder
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Encode a layer of a picture: numbers for the header, and tensors.

    Means on a lattice are not stored, only which of its nodes they are; others are stored along a curve at 8 bits, in
    another order. At 8 bits the features are refitted, for the decoder as the file holds it, to the pixels that the
    layer shows, which only undeformed Gaussians can be: others keep 16. Gaussians that are levels already are stored as
    these, without loss, in another order, however many bits are wanted.

    Raises:
        GainerError: If so many bits cannot hold it.
    """
    gaussians, plane = layer.gaussians, picture.plane
    is_told_by_matte = gaussians.opacities is None or layer.matte is not None
    if is_told_by_matte and (found := levels_found(gaussians, plane)) is not None:
        return _whole_numbers(layer, *found, picture.bit_depth)
    lattice, tensors = means_tensors(gaussians.means, plane)
    pixels = torch.zeros(0)
    if bits == 8:
        pixels = pixels if gaussians.inverse_jacobians is not None else _shown_pixels(layer, picture)
        if len(pixels) == 0:
            _logger.warning("A layer that was deformed, or shows nothing, is stored in 16 bits a channel instead of 8")
            bits = 16
    if bits == 8 and lattice is None:
        tensors, order = means_along_curve(gaussians.means, plane)
        gaussians = gaussians[order]
        layer = replace(layer, gaussians=gaussians)
    whole, round_to = bits == 32, torch.float32 if bits == 32 else torch.float16
    try:
        tensors |= (of_shapes := shapes_tensors(gaussians.covariances, plane, bits))
        if gaussians.inverse_jacobians is not None:
            tensors["inverse_jacobians"] = _inverse_jacobians(gaussians.inverse_jacobians, exactly=whole)
    except ValueError as error:
        raise GainerError(f"the picture cannot be stored: {error}; undo the edit that made it") from error
    if bits == 8:
        means = means_from(lattice, tensors, plane, len(gaussians))
        rough = replace(gaussians, means=means, covariances=shapes_from(of_shapes, plane).to(gaussians.covariances))
        tensors |= _levels(layer, rough, plane, pixels, decoder)
    else:
        tensors["features"] = gaussians.features.to(round_to)
        if gaussians.slopes is not None:
            tensors["slope_features"] = slopes_along(gaussians).flatten(1).to(round_to)
    if layer.matte is not None:  # from which opacities of Gaussians are made again
        tensors[MATTE_TENSOR] = _matte_bytes(layer.matte, picture.bit_depth)
    elif gaussians.opacities is not None:
        tensors["opacities"] = gaussians.opacities.to(round_to)
    header = {
        "num_neighbours": layer.num_neighbours,
        "radius": gaussians.radius,
        "half_extent": layer.half_extent,
        "lattice": lattice,
        "bits": bits,
    }
    return header, tensors


def _whole_numbers(
    layer: Layer, exponents: list[int], levels: Int[Tensor, "n c"], bit_depth: int
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Encode a layer whose Gaussians are levels."""
    gaussians, streams = layer.gaussians, packed_levels(levels)
    header = {
        "num_neighbours": layer.num_neighbours,
        "radius": gaussians.radius,
        "half_extent": layer.half_extent,
        "count": len(gaussians),
        "channels": gaussians.features.shape[1],
        "exponents": exponents,
        "sizes": streams.sizes,
        "low": streams.low,
    }
    tensors = {LEVELS_TENSOR: streams.data}
    if layer.matte is not None:
        tensors[MATTE_TENSOR] = _matte_bytes(layer.matte, bit_depth)
    return header, tensors


def _from_whole_numbers(header: Mapping[str, Any], data: Tensor, plane: ImagePlane) -> GaussianSet:
    count = whole_number(header["count"], _MAX_GAUSSIANS_PER_BYTE * data.numel())
    levels = unpacked_levels(LevelStreams(header["sizes"], header["low"], data), count)
    exponents = [int(exponent) for exponent in header["exponents"]]
    return gaussians_of(levels * steps_of(exponents), float(header["radius"]), plane, int(header["channels"]))


def conversion_tensors(layer: Layer) -> dict[str, Tensor]:
    """Encode the colours of a layer that are not those of its picture."""
    if layer.conversion is None:
        return {}
    own = layer.conversion.source
    return {PROFILE_TENSOR: torch.zeros(0, dtype=torch.uint8) if own is None else own.to_tensor()}


def conversion_from(tensors: Mapping[str, Tensor], profile: ColourProfile | None) -> Conversion | None:
    """Decode the same in a picture of a profile."""
    if PROFILE_TENSOR not in tensors:
        return None
    own = tensors[PROFILE_TENSOR]
    return Conversion(ColourProfile.from_tensor(own, "a layer") if own.numel() else None, profile)


def layer_from(
    header: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    decoders: Sequence[Decoder],
    plane: ImagePlane,
) -> Layer:
    """Decode a layer; anything raised here means that the file's parts do not fit together."""
    matte = None if MATTE_TENSOR not in tensors else _matte(tensors[MATTE_TENSOR], plane)
    if LEVELS_TENSOR in tensors:
        gaussians = _from_whole_numbers(header, tensors[LEVELS_TENSOR], plane)
    else:
        gaussians = _gaussians(header, tensors, plane)
    if matte is not None:
        gaussians = replace(gaussians, opacities=matte.coefficients(gaussians.means))
    half = header["half_extent"]
    if half is not None:
        half = float(half[0]), float(half[1])
    decoder = decoders[whole_number(header["decoder"], len(decoders) - 1, least=0)]
    neighbours = whole_number(header["num_neighbours"], MAX_NEIGHBOURS)
    layer = Layer(gaussians, decoder, neighbours, half, matte=matte)
    check_layer(layer)
    return layer


def _gaussians(header: Mapping[str, Any], tensors: Mapping[str, Tensor], plane: ImagePlane) -> GaussianSet:
    """Decode Gaussians that are no levels."""
    bits = header["bits"]
    features = _features(bits, tensors)
    opacities, inverses = (tensors.get(name) for name in ("opacities", "inverse_jacobians"))
    gaussians = GaussianSet(
        means_from(header["lattice"], tensors, plane, len(features)),
        shapes_from(tensors, plane),
        features,
        float(header["radius"]),
        None if opacities is None else opacities.float(),
        None if inverses is None else _inverse_jacobians(inverses, exactly=True),
    )
    if "slope_levels" in tensors or "slope_features" in tensors:
        gaussians = _with_slopes(gaussians, _features(bits, tensors, "slope_"))
    return gaussians


def _levels(
    layer: Layer, rough: GaussianSet, plane: ImagePlane, pixels: Int[Tensor, " m"], decoder: Decoder
) -> dict[str, Tensor]:
    """Quantise slopes, and features that are refitted for all else as the file holds it.

    ``rough`` Gaussians and decoder.
    """
    exact, k = layer.gaussians, layer.num_neighbours
    target = PictureBands(plane, exact, k, pixels).decode(stacked(exact), layer.decoder)
    found, offset = {}, None
    if exact.slopes is not None:
        slopes = rounded(slopes_along(rough).flatten(1), bent=True)
        found = _level_tensors(slopes, "slope_")
        alone = _with_slopes(replace(rough, features=torch.zeros_like(exact.features)), slopes.features())
        offset = PictureBands(plane, alone, k, pixels).read(stacked(alone))
    bands = PictureBands(plane, replace(rough, slopes=None), k, pixels)
    return found | _level_tensors(quantised(bands, exact.features, decoder, target, offset=offset))


def _level_tensors(levels: QuantisedFeatures, of: str = "") -> dict[str, Tensor]:
    tensors = {"levels": levels.levels, "level_low": levels.low, "level_step": levels.step, "level_bend": levels.bend}
    return {of + name: value for name, value in tensors.items() if value is not None}


def _with_slopes(gaussians: GaussianSet, along: Float[Tensor, "n c"]) -> GaussianSet:
    """Return Gaussians with slopes of their first channels, told in the columns of a table along each axis in turn."""
    count, dimensions = gaussians.means.shape
    if along.shape[0] != count or along.shape[1] % dimensions or along.shape[1] < dimensions:
        raise ValueError("its slopes do not fit its features")
    return with_slopes_along(gaussians, along.view(count, -1, dimensions))


def _features(bits: int, tensors: Mapping[str, Tensor], of: str = "") -> Float[Tensor, "r f"]:
    """Decode a table of features, or of slopes."""
    if bits == 8:
        levels, low, step = (tensors[of + name] for name in ("levels", "level_low", "level_step"))
        bend = tensors.get(of + "level_bend")
        if levels.dtype != torch.uint8 or any(levels.shape[1:] != one.shape for one in (low, step)):
            raise ValueError("its levels do not fit together")
        if bend is not None and bend.shape != low.shape:
            raise ValueError("its levels do not fit together")
        features = QuantisedFeatures(levels, low, step, bend).features()
    elif bits in (16, 32):
        features = tensors[of + "features"].float()
    else:
        raise ValueError(f"{bits!r} bits are not known")
    if features.dim() != 2:
        raise ValueError("its features are no table")
    return features


def _shown_pixels(layer: Layer, picture: BakedPicture) -> Int[Tensor, " m"]:
    """Return the pixels that a layer shows something in."""
    plane = picture.plane
    pixels = torch.arange(plane.pixels, device=layer.gaussians.means.device)
    alone, least = replace(picture, layers=(layer,)), 0.5 / (2**picture.bit_depth - 1)
    shown = torch.cat([alone.at(plane.pixel_centres(some)).alpha[:, 0] > least for some in pixels.split(1 << 20)])
    return pixels[shown]


def _matte_bytes(matte: Matte, bit_depth: int) -> UInt8[Tensor, " b"]:
    alpha = integer_samples(matte.alpha.cpu().numpy()[..., None].repeat(3, axis=2), None, bit_depth)
    return torch.frombuffer(bytearray(packed_samples(alpha)), dtype=torch.uint8)


def _matte(data: UInt8[Tensor, " b"], plane: ImagePlane) -> Matte:
    if data.dtype != torch.uint8 or data.dim() != 1:
        raise ValueError("its matte is no bytes")
    alpha = unpacked_samples(data.numpy().tobytes(), plane.width, plane.height)[..., 0]
    return Matte(torch.from_numpy(alpha / np.float32(np.iinfo(alpha.dtype).max)), plane)


def _inverse_jacobians(matrices: Float[Tensor, "t 2 2"], *, exactly: bool) -> Float[Tensor, "t 2 2"]:
    """Return half floats where these take less room and change little of how points find their neighbours.

    Raises:
        ValueError: If one is not finite, or flat.
    """
    smallest, largest = singular_range(matrices.float())
    if not bool(matrices.isfinite().all() & (smallest > _MIN_SINGULAR_VALUE).all()):
        raise ValueError("a deformation of the picture is flat, or not finite")
    if exactly or len(matrices) == 1 or bool((torch.maximum(1 / smallest, largest) > _MAX_HALF_STRETCH).any()):
        return matrices.float()
    return matrices.half()
