"""Energy of what moves: what tells that a simulation has blown up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.gaussians.small_matrices import singular_range
from gainer_ns.physics.materials import Material
from gainer_ns.physics.mpm.state import MpmState

if TYPE_CHECKING:
    from gainer_ns.physics.mpm.solids.solid_bodies import SolidBodies

MAX_ENERGY_GAIN = 0.5
"""What share of the energy that has been there it may grow by, before that counts as a mistake."""

NEGLIGIBLE_SPEED = 1e-4
"""In widths a second: a tenth of a pixel of a picture of 1,000 pixels."""
LIQUID_VOLUME_NOISE = 0.03
"""How far, as a share, particles of a liquid in disorder are off what volume they have."""


def noise(
    masses: Float[Tensor, " n"], volumes: Float[Tensor, " n"], bodies: Tensor, materials: Sequence[Material]
) -> float:
    """Return the energy that may come from rounding, and from particles of liquids in disorder."""
    energy = 0.5 * float(masses.sum()) * NEGLIGIBLE_SPEED**2
    for number, material in enumerate(materials):
        if material.behaviour == "liquid":
            energy += 0.5 * material.E * float(volumes[bodies == number].sum()) * LIQUID_VOLUME_NOISE**2
    return energy


def energies(
    state: MpmState,
    masses: Float[Tensor, " n"],
    volumes: Float[Tensor, " n"],
    bodies: Tensor,
    materials: Sequence[Material],
    solids: SolidBodies | None = None,
) -> tuple[float, float]:
    """Return the kinetic energy, and the elastic one. Sand and packed snow are taken as elastic solids.

    Of elastic bodies those of their own grid are taken, ``solids``.

    Returns:
        In units of mass times squared widths a squared second; without bound where something is no number.
    """
    parts = state.velocities, state.affine, state.elastic, state.inner
    if not bool(torch.stack([each.isfinite().all() for each in parts]).all()):
        return math.inf, math.inf
    if solids is not None:
        masses = masses.clone()
        masses[solids.own] = 0.0
    moving = 0.5 * float((masses.double() * state.velocities.double().square().sum(dim=1)).sum())
    stored = 0.0
    if solids is not None:
        moving, stored = moving + solids.kinetic, solids.stored
    for number, material in enumerate(materials):
        own = bodies == number
        if material.behaviour in ("rigid", "pinned", "elastic") or not bool(own.any()):
            continue
        first, second = material.lame
        if material.behaviour == "liquid":
            density = 0.5 * first * (state.inner[own].double().clamp(max=1) - 1).square()
        else:
            strained = state.elastic[own].double()
            in_plane = strained.shape[1] == 2  # where a formula takes a tenth of the time
            sizes = torch.stack(singular_range(strained), dim=1) if in_plane else torch.linalg.svdvals(strained)
            density = second * (sizes - 1).square().sum(dim=1) + 0.5 * first * (sizes.prod(dim=1) - 1).square()
        stored += float((density * volumes[own].double()).sum())
    return moving, stored


class EnergyWatch:
    """Compares the energy with what was left of it at the last look and what has been put in since."""

    def __init__(self) -> None:
        self._left: float | None = None
        self._most = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether it has looked already."""
        return self._left is not None

    def check(self, time: float, total: float, work: float, noise: float) -> None:
        """Look at a frame: at its total energy, and the work that gravity and forces have done since the last.

        So much as the noise has may come from nowhere.

        Raises:
            GainerError: Energy came from nowhere, or something is no number.
        """
        allowed = (total if self._left is None else self._left) + work
        self._most = max(self._most, abs(work), abs(allowed))
        if not (math.isfinite(total) and total <= allowed + MAX_ENERGY_GAIN * self._most + noise):
            raise GainerError(
                f"the simulation gains energy from nowhere at {time:.2f} s; write a lower E or spin, a nu further from "
                "0.5, or more particles"
            )
        self._left = min(allowed, total)  # what friction took is gone for good
