"""Covariances as tensors of a file: as they are, as Cholesky factors, or as levels of 8 bits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.storage.means import Bits
from gainer_ns.storage.quantisation import QuantisedFeatures, rounded


def shapes_tensors(covariances: Float[Tensor, "s 2 2"], plane: ImagePlane, bits: Bits) -> dict[str, Tensor]:
    """Encode covariances, given in plane units, in square pixels, which half floats can hold.

    ``bits`` are those of a feature channel.

    Raises:
        ValueError: If one is not positive definite, or not finite.
    """
    in_pixels = covariances / plane.pixel_size**2
    factors = _factors(in_pixels)
    if bits == 32:
        return {"covariances": in_pixels}
    if bits == 16 or len(factors) == 1:
        return {"covariance_factors": factors.float().half()}
    first, below, second = factors.unbind(-1)
    # Relative to their own size all Gaussians are stored equally well, the thin and the turned ones too.
    bent = torch.stack([first.log(), (below / second).asinh(), second.log()], dim=1)
    levels = rounded(bent.float())
    return {"shape_levels": levels.levels, "shape_low": levels.low, "shape_step": levels.step}


def shapes_from(tensors: Mapping[str, Tensor], plane: ImagePlane) -> Float[Tensor, "s 2 2"]:
    """Decode covariances to plane units; anything raised here means that the file's parts do not fit."""
    if "covariances" in tensors:
        in_pixels = tensors["covariances"].float()
    else:
        factors = _rounded_factors(tensors).double()
        lower = torch.zeros(len(factors), 2, 2, dtype=torch.float64)
        rows, columns = torch.tril_indices(2, 2)
        lower[:, rows, columns] = factors
        in_pixels = (lower @ lower.mT).float()
    _factors(in_pixels)  # refuses what is no covariance
    return in_pixels * plane.pixel_size**2


def _rounded_factors(tensors: Mapping[str, Tensor]) -> Float[Tensor, "s 3"]:
    if "covariance_factors" in tensors:
        return tensors["covariance_factors"]
    levels, low, step = (tensors[name] for name in ("shape_levels", "shape_low", "shape_step"))
    if levels.dtype != torch.uint8 or not levels.shape[1:] == low.shape == step.shape == (3,):
        raise ValueError("its shapes do not fit together")
    first, below, second = QuantisedFeatures(levels, low, step).features().double().unbind(-1)
    return torch.stack([first.exp(), below.sinh() * second.exp(), second.exp()], dim=1)


def _factors(covariances: Float[Tensor, "s 2 2"]) -> Float[Tensor, "s 3"]:
    """Return Cholesky factors of covariances: rounded, they still are factors of covariances.

    Raises:
        ValueError: If one is not positive definite.
    """
    lower, failed = torch.linalg.cholesky_ex(covariances.double())
    if bool(failed.any()):
        raise ValueError("a covariance of the picture is not positive definite, or not finite")
    rows, columns = torch.tril_indices(2, 2)
    return lower[:, rows, columns]
