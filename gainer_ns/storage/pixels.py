"""Layers that are fits in closed form, stored as their pixels, losslessly.

Such a layer is a function of its pixels, which are a sixth of its numbers: it is fitted again when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.fields.knn_encoding import MAX_NEIGHBOURS
from gainer_ns.fitting.recipe import PictureRecipe
from gainer_ns.fitting.trainer import fit_layer
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.prefilter import NodeAverages
from gainer_ns.io.image_io import SourceImage
from gainer_ns.io.packed_samples import packed_samples, unpacked_samples
from gainer_ns.io.samples import integer_samples, rounded_samples
from gainer_ns.recipes import GAINER
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.checks import whole_number
from gainer_ns.storage.means import means_tensors

PIXELS_TENSOR = "pixels"
"""What files call the bytes of the pixels."""
_TOLERANCE = 1e-5
"""Of numbers that are the same, since another processor rounds otherwise: a 400th of a level of 8 bits."""


def pixels_tensors(
    layer: Layer, plane: ImagePlane, bit_depth: int, *, exactly: bool
) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Encode a layer as its pixels: numbers for the header, and a tensor of bytes.

    Args:
        layer: Of a picture.
        plane: The picture's.
        bit_depth: Bits of a sample, 8 or 16.
        exactly: Whether the fit of the pixels must be the layer itself: it was fitted to so many bits. Otherwise the
            values at its pixels are what is kept.

    Returns:
        None where the layer is no fit in closed form, or not of these pixels.
    """
    if not _may_be_fitted(layer, plane):
        return None
    header = _header(_sigma(layer, plane), layer.num_neighbours)
    try:
        recipe = _recipe(header, plane)
        samples = (_pixels_of_cut_out if layer.has_alpha else _pixels_of_whole)(
            layer, plane, bit_depth, recipe, exactly=exactly
        )
    except (GainerError, ValueError):  # nothing shows, memory is short, no closed form: numbers are stored instead
        return None
    return None if samples is None else (header, _packed(samples))


def fitted_pixels_tensors(samples: np.ndarray, recipe: PictureRecipe) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Encode the fit of samples [h, w, 3] in closed form as :func:`pixels_tensors` does, without its Gaussians."""
    return _header(recipe.encoding.sigma, recipe.encoding.num_neighbours), _packed(samples)


def _header(sigma: float, num_neighbours: int) -> dict[str, Any]:
    return {"sigma": round(sigma, 6), "num_neighbours": num_neighbours}


def _packed(samples: np.ndarray) -> dict[str, Tensor]:
    return {PIXELS_TENSOR: torch.frombuffer(bytearray(packed_samples(samples)), dtype=torch.uint8)}


def is_of_pixels(header: Mapping[str, Any]) -> bool:
    """Tell whether the header of a layer is one of :func:`pixels_tensors`."""
    return "sigma" in header


def layer_from_pixels(header: Mapping[str, Any], pixels: UInt8[Tensor, " b"], plane: ImagePlane) -> Layer:
    """Decode a layer, and fit it; anything raised here means that the file's parts do not fit together."""
    if pixels.dtype != torch.uint8 or pixels.dim() != 1:
        raise ValueError("its pixels are no bytes")
    recipe = _recipe(header, plane)
    samples = unpacked_samples(pixels.numpy().tobytes(), plane.width, plane.height)
    if samples.ndim != 3 or samples.shape[2] not in (3, 4):
        raise ValueError("its pixels are no colours")
    return _fitted(samples, recipe)


def _may_be_fitted(layer: Layer, plane: ImagePlane) -> bool:
    """Tell by a glance whether a layer can be a fit in closed form."""
    gaussians, decoder = layer.gaussians, layer.decoder
    return (
        gaussians.slopes is None
        and gaussians.inverse_jacobians is None
        and len(gaussians.covariances) == 1
        and (layer.has_alpha or len(gaussians) == plane.pixels)
        and decoder.mlp is None
        and torch.equal(decoder.linear.weight.cpu(), torch.eye(3))
    )


def _sigma(layer: Layer, plane: ImagePlane) -> float:
    """Return the standard deviation of its Gaussians, in pixels."""
    return float(layer.gaussians.covariances[0, 0, 0].double().sqrt()) / plane.pixel_size


def _recipe(header: Mapping[str, Any], plane: ImagePlane) -> PictureRecipe:
    sigma, neighbours = float(header["sigma"]), whole_number(header["num_neighbours"], MAX_NEIGHBOURS)
    encoding = replace(GAINER.picture.encoding, sigma=sigma, num_neighbours=neighbours)
    recipe = replace(GAINER.picture, encoding=encoding)
    if not recipe.has_closed_form(plane.pixels):
        raise ValueError("its numbers are those of no fit in closed form")
    return recipe


def _pixels_of_whole(
    layer: Layer, plane: ImagePlane, bit_depth: int, recipe: PictureRecipe, *, exactly: bool
) -> np.ndarray | None:
    """Return samples [h, w, 3] whose fit a layer without alpha is; None if it is another. By strips, to save memory."""
    row = ImagePlane(max(plane.width, plane.height), 1)  # whose pixels are as large
    on_lattice, _ = means_tensors(layer.gaussians.means, plane)
    if on_lattice != (plane.width, plane.height) or not _are_alike(layer, recipe.begin(row, None).layer(plane)):
        return None
    averages = NodeAverages(plane.height, plane.width, recipe.encoding.sigma)
    table = layer.gaussians.features.view(plane.height, plane.width, 3)
    bias = layer.decoder.linear.bias.detach().cpu()
    largest = 2**bit_depth - 1
    samples = np.empty(table.shape, np.uint8 if bit_depth == 8 else np.uint16)
    errors = torch.zeros(2, plane.height)  # of samples, which cannot tell what is brighter than white, and of values

    def values(rows: slice) -> Float[Tensor, "c r w"]:
        return _channels_first(table[rows].cpu() + bias)

    def round_strip(first: int, last: int) -> None:
        read = averages.of_rows(values, first, last)
        samples[first:last] = rounded_samples(read.permute(1, 2, 0).numpy() * np.float32(largest), largest)
        errors[0, first] = (read - _channels_first(_unit(samples[first:last]))).abs().max()

    def compare_strip(first: int, last: int) -> None:
        found = averages.undone_rows(lambda rows: _channels_first(_unit(samples[rows])), first, last)
        errors[1, first] = (found - values(slice(first, last))).abs().max()

    averages.each_strip(round_strip)
    if float(errors[0].max()) > 0.5 / largest + _TOLERANCE:
        return None
    if exactly:
        averages.each_strip(compare_strip)
    return samples if float(errors[1].max()) <= _TOLERANCE else None


def _channels_first(values: Float[Tensor, "h w c"]) -> Float[Tensor, "c h w"]:
    return values.permute(2, 0, 1).contiguous()


def _unit(samples: np.ndarray) -> Tensor:
    """Return samples as floats from 0 to 1."""
    return torch.from_numpy(samples / np.float32(np.iinfo(samples.dtype).max))


def _pixels_of_cut_out(
    layer: Layer, plane: ImagePlane, bit_depth: int, recipe: PictureRecipe, *, exactly: bool
) -> np.ndarray | None:
    """Return samples [h, w, 4] whose fit a layer with alpha is; None if it is another."""
    drawn = BakedPicture(plane, (replace(layer, conversion=None, sampling=None),), bit_depth)
    colours, alpha = drawn.raster()
    samples = integer_samples(colours.cpu().numpy(), alpha[..., 0].cpu().numpy(), bit_depth)
    samples[samples[..., 3] == 0] = 0  # what nobody sees takes no room
    other = _fitted(samples, recipe)
    if not _are_alike(layer, other):
        return None
    one, two = layer.gaussians, other.gaussians
    pairs = (one.means, two.means), (one.opacities, two.opacities), (one.features, two.features)
    return samples if not exactly or all(_are_near(*pair) for pair in pairs) else None


def _fitted(samples: np.ndarray, recipe: PictureRecipe) -> Layer:
    """Fit samples [h, w, 3 or 4] in closed form."""
    read = SourceImage(samples[..., :3], samples[..., 3] if samples.shape[2] == 4 else None, Path())
    opacity = None if read.alpha is None else torch.from_numpy(read.opacity())
    colours = torch.from_numpy(read.colours())
    return fit_layer(colours, opacity, recipe, GAINER.adam, bit_depth=read.bit_depth)[0]


def _are_alike(layer: Layer, other: Layer) -> bool:
    """Tell whether points read two layers in the same way."""
    one, two = layer.gaussians, other.gaussians
    size = float(two.covariances.abs().max())
    return (
        layer.half_extent == other.half_extent
        and abs(one.radius - two.radius) <= _TOLERANCE
        and _are_near(one.covariances / size, two.covariances / size)
        and _are_near(layer.decoder.linear.bias, other.decoder.linear.bias)
    )


def _are_near(one: Tensor | None, two: Tensor | None) -> bool:
    """Tell whether two tensors are one, up to what another processor rounds otherwise."""
    if one is None or two is None:
        return one is two
    return one.shape == two.shape and float((one.detach().cpu() - two.detach().cpu()).abs().max()) <= _TOLERANCE
