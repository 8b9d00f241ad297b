"""A picture as a file of 3D Gaussian splats, which standard viewers open (Kerbl et al., arXiv:2308.04079)."""

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
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.small_matrices import inverse
from gainer_ns.io.meshes import write_ply

SH_DEGREE_0 = 0.28209479177387814
"""The constant spherical harmonic, 1 / (2 sqrt(pi))."""
LEAST_ALPHA = 1 / 255
"""Fainter splats are left out, as viewers leave them out."""
MOST_ALPHA = 0.99
"""Viewers cut opacities here, since an opaque splat would stop their sums."""
CLOSED = 0.95
"""The opacity that the picture has in a viewer at nearly all places where it is opaque."""
NEARLY_ALL = 0.995
MOST_IN_SPACE = 0.95
"""The same of a lifted photo, where no size closes what lies between discs that are turned away from each other."""
THICKNESS = 0.02
"""Thickness of a splat, relative to its shorter axis."""
GROWTHS = [0.5 * 1.05**step for step in range(40)]
NEIGHBOURS = 16
REACH = 6.0
"""How far, in standard deviations, neighbours of lifted Gaussians are looked for."""
PROBES = 50_000
BYTES_PER_SPLAT = 700
"""Memory for a Gaussian until it is in a file."""


def splat_growth(gaussians: PlainGaussians) -> float:
    """By what factor the Gaussians' sizes are multiplied, so that a viewer shows a closed picture, and a sharp one.

    Here a point's colour is a mean over Gaussians, normalised by their weights, so any size gives one. A viewer lays
    them over one another, ``1 - prod(1 - alpha_i w_i)``, and sees through what they leave. The factor is the smallest
    of ``GROWTHS`` by which ``NEARLY_ALL`` of some points between opaque Gaussians become ``CLOSED``, or of a lifted
    photo ``MOST_IN_SPACE``.
    """
    means, alphas = gaussians.means.float(), gaussians.alphas.clamp(max=MOST_ALPHA)
    solid = (gaussians.alphas > MOST_ALPHA).nonzero()[:, 0]
    if len(solid) < NEIGHBOURS:
        return 1.0
    precisions, index = _flat_precisions(gaussians.covariances), _index(gaussians)
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
    enough = NEARLY_ALL if means.shape[1] == 2 else MOST_IN_SPACE
    for growth in GROWTHS:
        seen = 1 - (1 - opacities * torch.exp(-exponents / growth**2)).prod(dim=1)
        if float((seen >= CLOSED).float().mean()) >= enough:
            return growth
    return GROWTHS[-1]


def splat_properties(gaussians: PlainGaussians, growth: float) -> dict[str, np.ndarray]:
    """What a splat file says of each Gaussian: flat discs with colours of degree 0; those of a picture lie at z = 0.

    Args:
        gaussians: What to write; the fainter ones than ``LEAST_ALPHA`` are left out.
        growth: Factor of the sizes, see :func:`splat_growth`.

    Raises:
        GainerError: If nothing is left.
    """
    kept = gaussians.alphas >= LEAST_ALPHA
    if not bool(kept.any()):
        raise GainerError("the picture is transparent everywhere, and splats would show nothing; fit another one")
    means, covariances, colours, alphas = (part[kept].double() for part in gaussians[:4] if part is not None)
    if means.shape[1] == 2:
        angles, deviations = principal_axes(covariances)
        zero = torch.zeros_like(angles)
        scales = torch.cat([deviations, THICKNESS * deviations[:, 1:]], dim=1) * growth
        quaternions = [(angles / 2).cos(), zero, zero, (angles / 2).sin()]
    else:
        axes, scales = principal_frames(covariances)
        scales = scales * scales.new_tensor([growth, growth, 1.0])  # only along the disc: it is to stay thin
        x, y, z, w = torch.from_numpy(Rotation.from_matrix(axes.numpy()).as_quat()).unbind(dim=1)
        quaternions = [w, x, y, z]
    opacities = torch.logit(alphas.clamp(LEAST_ALPHA, MOST_ALPHA))
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
    """Directions of the longer axes, in radians from x towards y, and standard deviations along both axes."""
    a, b, c = covariances[:, 0, 0], covariances[:, 0, 1], covariances[:, 1, 1]
    middle, half = 0.5 * (a + c), torch.hypot(0.5 * (a - c), b)
    variances = torch.stack([middle + half, middle - half], dim=1)
    smallest = math.ulp(1.0) * variances[:, :1]  # rounding can leave nothing, and the file holds logarithms
    return 0.5 * torch.atan2(2 * b, a - c), torch.maximum(variances, smallest).sqrt()


def principal_frames(
    covariances: Float[Tensor, "n 3 3"],
) -> tuple[Float[Tensor, "n 3 3"], Float[Tensor, "n 3"]]:
    """Right-handed principal axes of covariances in space, as columns, and standard deviations, the longest first."""
    variances, axes = torch.linalg.eigh(covariances)
    variances, axes = variances.flip(1), axes.flip(2)
    axes = axes * torch.linalg.det(axes)[:, None, None].sign()
    smallest = math.ulp(1.0) * variances[:, :1]
    return axes, torch.maximum(variances, smallest).sqrt()


def _flat_precisions(covariances: Float[Tensor, "n d d"]) -> Float[Tensor, "n d d"]:
    """Inverse covariances along discs; across those of a lifted photo nothing counts, since viewers look at them."""
    if covariances.shape[1] == 2:
        return inverse(covariances.float())
    axes, deviations = principal_frames(covariances.double())
    along = axes[:, :, :2] / deviations[:, None, :2]
    return (along @ along.mT).float()


def _index(gaussians: PlainGaussians) -> NeighbourIndex:
    """Finds the Gaussians near to points, in space by lengths of their own axes."""
    means, covariances = gaussians.means.float(), gaussians.covariances
    if means.shape[1] == 2:
        return NeighbourIndex(means, 8 * float((covariances[:, 0, 0] + covariances[:, 1, 1]).max().sqrt()))
    axes, deviations = principal_frames(covariances.double())
    return NeighbourIndex(means, REACH, (axes / deviations[:, None, :]).mT.float())


def write_splat(path: Path, gaussians: PlainGaussians, comments: Sequence[str] = ()) -> float:
    """Writes the Gaussians as splats (PLY).

    Args:
        path: File to write.
        gaussians: What to write.
        comments: What the file says of itself.

    Returns:
        By what factor their sizes were multiplied.

    Raises:
        GainerError: If there is nothing to write, or the file cannot be written.
    """
    check_written(len(gaussians.means), BYTES_PER_SPLAT)
    growth = splat_growth(gaussians)
    write_ply(path, splat_properties(gaussians, growth), comments=comments)
    return growth
