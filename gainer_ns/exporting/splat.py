"""A picture as a file of 3D Gaussian splats, which standard viewers open (Kerbl et al., arXiv:2308.04079)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.exporting.gaussians import PlainGaussians
from gainer_ns.exporting.ply import write_ply
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.small_matrices import inverse

SH_DEGREE_0 = 0.28209479177387814
"""The constant spherical harmonic, 1 / (2 sqrt(pi))."""
LEAST_ALPHA = 1 / 255
"""Fainter splats are left out, as viewers leave them out."""
MOST_ALPHA = 0.99
"""Viewers cut opacities here, since an opaque splat would stop their sums."""
CLOSED = 0.95
"""The opacity that the picture has in a viewer at nearly all places where it is opaque."""
NEARLY_ALL = 0.995
THICKNESS = 0.02
"""Thickness of a splat, relative to its shorter axis."""
GROWTHS = [0.5 * 1.05**step for step in range(40)]
NEIGHBOURS = 16
PROBES = 50_000


def splat_growth(gaussians: PlainGaussians) -> float:
    """By what factor the Gaussians' sizes are multiplied, so that a viewer shows a closed picture, and a sharp one.

    Here a point's colour is a mean over Gaussians, normalised by their weights, so any size gives one. A viewer lays
    them over one another, ``1 - prod(1 - alpha_i w_i)``, and sees through what they leave. The factor is the smallest
    of ``GROWTHS`` by which ``NEARLY_ALL`` of some points between opaque Gaussians become ``CLOSED``.
    """
    means, alphas = gaussians.means.float(), gaussians.alphas.clamp(max=MOST_ALPHA)
    solid = (gaussians.alphas > MOST_ALPHA).nonzero()[:, 0]
    if len(solid) < NEIGHBOURS:
        return 1.0
    precisions = inverse(gaussians.covariances.float())
    spread = float((gaussians.covariances[:, 0, 0] + gaussians.covariances[:, 1, 1]).max().sqrt())
    index = NeighbourIndex(means, 8 * spread)
    solid = solid[:: max(1, len(solid) // PROBES)]
    nearest = index.query(means[solid], 6)
    # Between a Gaussian and its fifth neighbour, where that is opaque too: in a lattice, the middle of a cell.
    other = nearest.indices[:, 5].long()
    between = (other >= 0) & (gaussians.alphas[other] > MOST_ALPHA)
    points = 0.5 * (means[solid] + means[other])[between]
    if len(points) == 0:
        return 1.0
    neighbours = index.query(points, NEIGHBOURS)
    chosen = neighbours.indices.long().clamp(min=0)
    offsets = points[:, None] - means[chosen]
    exponents = 0.5 * torch.einsum("mki,mkij,mkj->mk", offsets, precisions[chosen], offsets)
    opacities = alphas[chosen] * neighbours.valid
    for growth in GROWTHS:
        seen = 1 - (1 - opacities * torch.exp(-exponents / growth**2)).prod(dim=1)
        if float((seen >= CLOSED).float().mean()) >= NEARLY_ALL:
            return growth
    return GROWTHS[-1]


def splat_properties(gaussians: PlainGaussians, growth: float) -> dict[str, np.ndarray]:
    """What a splat file says of each Gaussian: flat discs at z = 0, with colours of degree 0.

    Args:
        gaussians: What to write; the fainter ones than ``LEAST_ALPHA`` are left out.
        growth: Factor of the sizes, see :func:`splat_growth`.

    Raises:
        GainerError: If nothing is left.
    """
    kept = gaussians.alphas >= LEAST_ALPHA
    if not bool(kept.any()):
        raise GainerError("the picture is transparent everywhere, and splats would show nothing; fit another one")
    means, covariances, colours, alphas = (part[kept].double() for part in gaussians)
    angles, deviations = principal_axes(covariances)
    scales = torch.cat([deviations, THICKNESS * deviations[:, 1:]], dim=1) * growth
    opacities = torch.logit(alphas.clamp(LEAST_ALPHA, MOST_ALPHA))
    zero = torch.zeros_like(angles)
    columns = {
        **dict(zip("xyz", [*means.T, zero], strict=True)),
        **{name: zero for name in ("nx", "ny", "nz")},
        **{f"f_dc_{i}": column for i, column in enumerate(((colours - 0.5) / SH_DEGREE_0).T)},
        "opacity": opacities,
        **{f"scale_{i}": column for i, column in enumerate(scales.log().T)},
        **dict(zip((f"rot_{i}" for i in range(4)), [(angles / 2).cos(), zero, zero, (angles / 2).sin()], strict=True)),
    }
    return {name: column.float().numpy() for name, column in columns.items()}


def principal_axes(
    covariances: Float[Tensor, "n 2 2"],
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 2"]]:
    """Directions of the longer axes, in radians from x towards y, and standard deviations along both axes."""
    a, b, c = covariances[:, 0, 0], covariances[:, 0, 1], covariances[:, 1, 1]
    middle, half = 0.5 * (a + c), torch.hypot(0.5 * (a - c), b)
    variances = torch.stack([middle + half, middle - half], dim=1)
    smallest = math.ulp(1.0) * variances[:, :1]  # rounding can leave nothing, and the file holds logarithms
    return 0.5 * torch.atan2(2 * b, a - c), torch.maximum(variances, smallest).sqrt()


def write_splat(path: Path, gaussians: PlainGaussians) -> float:
    """Writes the Gaussians as splats (PLY).

    Returns:
        By what factor their sizes were multiplied.

    Raises:
        GainerError: If there is nothing to write, or the file cannot be written.
    """
    growth = splat_growth(gaussians)
    write_ply(path, splat_properties(gaussians, growth))
    return growth
