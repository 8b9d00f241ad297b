"""How much material follows each bone of a skeleton: heat that spreads from the bones through the material."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Complex, Float
from scipy import sparse
from scipy.sparse.linalg import splu

from gainer_ns.motion.material import Material

_SPREAD = 1.0
"""How far heat spreads along a bone, beside how far it is from the bone to the edge of the material."""


def heat_weights(
    material: Material, bones: Sequence[tuple[complex, complex]], spread: float = _SPREAD
) -> Float[np.ndarray, "n b"]:
    """Return coefficients of how much each place follows each bone; they add up to 1.

    Heat equilibrium (Baran and Popović 2007, Automatic rigging and animation of 3D characters): each place is heated by
    the bone that is nearest through the material, and passes the heat on. It spreads about as far as the material is
    wide around the bone, so that a thin limb bends in a short joint and a thick one in a long joint.

    Args:
        material: What follows.
        bones: First and last points of each.
        spread: How many times farther.
    """
    distances = np.stack([_distances(material, start, end) for start, end in bones], axis=1)
    nearest = distances.argmin(axis=1)
    widths = np.array([_half_width(material, start, end) for start, end in bones])
    reach = spread * np.maximum(distances.min(axis=1), widths[nearest]).clip(min=0.5 * material.cell)
    heated = np.repeat(1 / reach**2, 4) * material.sample_areas
    samples = material.samples
    areas = sparse.diags(material.sample_areas)
    passed = samples.along_x.T @ areas @ samples.along_x + samples.along_y.T @ areas @ samples.along_y
    taken = samples.value.T @ sparse.diags(heated)
    system = (passed + taken @ samples.value + 1e-12 * sparse.identity(material.size)).tocsc()
    own = np.zeros((len(nearest), len(bones)))
    own[np.arange(len(nearest)), nearest] = 1.0
    return splu(system, permc_spec="MMD_AT_PLUS_A").solve(taken @ np.repeat(own, 4, axis=0))


def shares_of(weights: Float[np.ndarray, "m b"]) -> Float[np.ndarray, "m b"]:
    """Return shares, which add up to 1: squared weights, so that heat from far away does not bend what is straight."""
    weights = weights.clip(1e-6, 1.0) ** 2
    return weights / weights.sum(axis=1, keepdims=True)


def _points_along(material: Material, start: complex, end: complex) -> Complex[np.ndarray, " k"]:
    count = max(2, 2 * int(np.ceil(abs(end - start) / material.cell)) + 1)
    return start + (end - start) * np.linspace(0, 1, count)


def _distances(material: Material, start: complex, end: complex) -> Float[np.ndarray, " c"]:
    """Return how far the cells are from a bone, through the material."""
    _, sources = material.nearest(_points_along(material, start, end))
    through = material.geodesic(sources)
    centres = material.centres[:, 0] + 1j * material.centres[:, 1]
    along = end - start
    share = ((centres - start) * along.conjugate()).real / max(abs(along) ** 2, 1e-12)
    straight = np.abs(centres - start - along * share.clip(0, 1))
    # Ways from cell to cell are up to a twelfth longer than they are, and begin in the middle of one.
    distances = np.maximum(straight, through / 1.08 - material.cell)
    far = 1e3 * material.cell * len(centres)
    return np.where(np.isfinite(through), distances, far + straight)


def _half_width(material: Material, start: complex, end: complex) -> float:
    """Return how far it is from a bone to the edge of the material, in the middle of what is so along the bone."""
    points = _points_along(material, start, end)
    return float(np.median(material.inward(points)))
