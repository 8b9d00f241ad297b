"""A picture as 3D Gaussian splats, which standard viewers open (Kerbl et al., arXiv:2308.04079)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.exporting.gaussians import PlainGaussians, check_written
from gainer_ns.exporting.splat_files import SH_DEGREE_0, write_splats
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.small_matrices import inverse

MIN_ALPHA = 1 / 255
"""Fainter splats are left out, as viewers leave them out."""
MAX_ALPHA = 0.99
"""Viewers cut opacities here, since an opaque splat would stop their sums."""
CLOSED_OPACITY = 0.95
"""The opacity that the picture has in a viewer at nearly all places where it is opaque."""
CLOSED_SHARES = {2: 0.995, 3: 0.95}
"""How many nearly all are in a plane, and in space, where no size closes what lies between discs turned apart."""
SPLAT_THICKNESS = 0.02
"""Relative to the shorter axis."""
GROWTHS = [0.5 * 1.05**step for step in range(40)]
BYTES_PER_SPLAT = 700
"""Memory for a Gaussian until it is in a file."""

_NEIGHBOURS = 16
_SEARCH_RADIUS = 6.0  # standard deviations, in which neighbours of lifted Gaussians are looked for
_MAX_PROBES = 50_000


def splat_growth(gaussians: PlainGaussians) -> float:
    """Return the factor of the Gaussians' sizes by which a viewer shows a closed picture, and a sharp one.

    Here a point's colour is a mean over Gaussians, normalised by their weights, so any size gives one. A viewer lays
    them over one another, ``1 - prod(1 - alpha_i w_i)``, and sees through what they leave. The factor is the smallest
    of ``GROWTHS`` by which a share ``CLOSED_SHARES`` of some points between opaque Gaussians get ``CLOSED_OPACITY``.
    """
    means, alphas = gaussians.means.float(), gaussians.alphas.clamp(max=MAX_ALPHA)
    solid = (gaussians.alphas > MAX_ALPHA).nonzero()[:, 0]
    if len(solid) < _NEIGHBOURS:
        return 1.0
    precisions, index = _flat_precisions(gaussians.covariances), _index(gaussians)
    solid = solid[:: max(1, len(solid) // _MAX_PROBES)]
    nearest = index.query(means[solid], 6)
    # Between a Gaussian and its fifth neighbour, where that is opaque too: in a lattice, the middle of a cell.
    other = nearest.indices[:, 5].long()
    between = (other >= 0) & (gaussians.alphas[other] > MAX_ALPHA)
    points = 0.5 * (means[solid] + means[other])[between]
    if len(points) == 0:
        return 1.0
    neighbours = index.query(points, _NEIGHBOURS)
    chosen = neighbours.indices.long().clamp(min=0)
    offsets = points[:, None] - means[chosen]
    exponents = 0.5 * torch.einsum("mki,mkij,mkj->mk", offsets, precisions[chosen], offsets)
    opacities = alphas[chosen] * neighbours.valid
    for growth in GROWTHS:
        seen = 1 - (1 - opacities * torch.exp(-exponents / growth**2)).prod(dim=1)
        if float((seen >= CLOSED_OPACITY).float().mean()) >= CLOSED_SHARES[means.shape[1]]:
            return growth
    return GROWTHS[-1]


def splat_properties(gaussians: PlainGaussians, growth: float) -> dict[str, np.ndarray]:
    """Return the properties of splats: flat discs with colours of degree 0; those of a picture lie at z = 0.

    Args:
        gaussians: What to write; the fainter ones than ``MIN_ALPHA`` are left out.
        growth: Factor of the sizes, see :func:`splat_growth`.

    Raises:
        GainerError: If nothing is left.
    """
    kept = gaussians.alphas >= MIN_ALPHA
    if not bool(kept.any()):
        raise GainerError("the picture is transparent everywhere, and splats would show nothing; fit another one")
    means, covariances, colours, alphas = (part[kept].double() for part in gaussians[:4] if part is not None)
    if means.shape[1] == 2:
        angles, deviations = principal_axes(covariances)
        zero = torch.zeros_like(angles)
        scales = torch.cat([deviations, SPLAT_THICKNESS * deviations[:, 1:]], dim=1) * growth
        quaternions = [(angles / 2).cos(), zero, zero, (angles / 2).sin()]
    else:
        axes, scales = principal_frames(covariances)
        scales = scales * scales.new_tensor([growth, growth, 1.0])  # only along the disc: it is to stay thin
        x, y, z, w = torch.from_numpy(Rotation.from_matrix(axes.numpy()).as_quat()).unbind(dim=1)
        quaternions = [w, x, y, z]
    opacities = torch.logit(alphas.clamp(MIN_ALPHA, MAX_ALPHA))
    columns = {
        **dict(zip("xyz", torch.nn.functional.pad(means, (0, 3 - means.shape[1])).T, strict=True)),
        **{name: torch.zeros_like(opacities) for name in ("nx", "ny", "nz")},
        **{f"f_dc_{i}": column for i, column in enumerate(((colours - 0.5) / SH_DEGREE_0).T)},
        "opacity": opacities,
        **{f"scale_{i}": column for i, column in enumerate(scales.log().T)},
        **{f"rot_{i}": column for i, column in enumerate(quaternions)},
    }
    return {name: column.float().numpy() for name, column in columns.items()}


def principal_axes(
    covariances: Float[Tensor, "n 2 2"],
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 2"]]:
    """Return the directions of the longer axes, in radians from x towards y, and the deviations along both axes."""
    a, b, c = covariances[:, 0, 0], covariances[:, 0, 1], covariances[:, 1, 1]
    middle, half = 0.5 * (a + c), torch.hypot(0.5 * (a - c), b)
    variances = torch.stack([middle + half, middle - half], dim=1)
    smallest = math.ulp(1.0) * variances[:, :1]  # rounding can leave nothing, and the file holds logarithms
    return 0.5 * torch.atan2(2 * b, a - c), torch.maximum(variances, smallest).sqrt()


def principal_frames(
    covariances: Float[Tensor, "n 3 3"],
) -> tuple[Float[Tensor, "n 3 3"], Float[Tensor, "n 3"]]:
    """Return right-handed principal axes, as columns, and the standard deviations along them, the longest first."""
    variances, axes = torch.linalg.eigh(covariances)
    variances, axes = variances.flip(1), axes.flip(2)
    axes = axes * torch.linalg.det(axes)[:, None, None].sign()
    smallest = math.ulp(1.0) * variances[:, :1]
    return axes, torch.maximum(variances, smallest).sqrt()


def _flat_precisions(covariances: Float[Tensor, "n d d"]) -> Float[Tensor, "n d d"]:
    """Return inverse covariances along discs; across lifted ones nothing counts, as viewers face them."""
    if covariances.shape[1] == 2:
        return inverse(covariances.float())
    axes, deviations = principal_frames(covariances.double())
    along = axes[:, :, :2] / deviations[:, None, :2]
    return (along @ along.mT).float()


def _index(gaussians: PlainGaussians) -> NeighbourIndex:
    """Find the Gaussians near to points, in space by lengths of their own axes."""
    means, covariances = gaussians.means.float(), gaussians.covariances
    if means.shape[1] == 2:
        return NeighbourIndex(means, 8 * float((covariances[:, 0, 0] + covariances[:, 1, 1]).max().sqrt()))
    axes, deviations = principal_frames(covariances.double())
    return NeighbourIndex(means, _SEARCH_RADIUS, (axes / deviations[:, None, :]).mT.float())


def write_splat(path: Path, gaussians: PlainGaussians, comments: Sequence[str] = ()) -> float:
    """Write the Gaussians as splats, in a file of the kind that its name says, and return the factor of their sizes.

    Raises:
        GainerError: If there is nothing to write, or the file cannot be written.
    """
    check_written(len(gaussians.means), BYTES_PER_SPLAT)
    growth = splat_growth(gaussians)
    write_splats(path, splat_properties(gaussians, growth), comments)
    return growth
