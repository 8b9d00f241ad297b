"""Rigid bodies in the material point method: what the grid tells their particles, as one motion of the whole.

Source: the grid's momentum is kept, as in shape matching (Mueller et al., "Meshless Deformations Based on Shape
Matching", 2005), but turned by its angular momentum, since the shape is known.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor


class RigidBody:
    """Particles that keep their shape.

    Args:
        chosen: [m], which of all particles they are, at rest.
        rest: [m, d], where they are at rest.
        masses: [m].
        rotation: [d, d], how they are turned.
    """

    def __init__(
        self,
        chosen: Int64[Tensor, " m"],
        rest: Float[Tensor, "m d"],
        masses: Float[Tensor, " m"],
        rotation: Float[Tensor, "d d"],
    ) -> None:
        self.chosen, self.masses = chosen, masses.double()
        self._offsets = rest.double() - self._mean(rest.double())
        self.rotation = rotation.double()

    def _mean(self, values: Float[Tensor, "m d"]) -> Float[Tensor, " d"]:
        return (self.masses[:, None] * values).sum(dim=0) / self.masses.sum()

    def moved(
        self, positions: Float[Tensor, "n d"], velocities: Float[Tensor, "n d"], dt: float
    ) -> tuple[Float[Tensor, "m d"], Float[Tensor, "m d"], Float[Tensor, "d d"]]:
        """Return where its particles are after a step, how they move, and by which matrix velocities change among them.

        Positions and velocities are those of all particles, before the step of ``dt`` seconds and as the grid tells.
        """
        centre = self._mean(positions[self.chosen].double())
        arms = self._offsets @ self.rotation.T
        own = velocities[self.chosen].double()
        linear = self._mean(own)
        turning = self._turning(arms, own - linear)
        self.rotation = _turn(dt * turning) @ self.rotation
        arms = self._offsets @ self.rotation.T
        return centre + dt * linear + arms, linear + arms @ turning.T, turning

    def _turning(self, arms: Float[Tensor, "m d"], velocities: Float[Tensor, "m d"]) -> Float[Tensor, "d d"]:
        """Return the skew matrix of an angular velocity that has the particles' angular momentum."""
        weighted = self.masses[:, None] * arms
        second = weighted.T @ arms
        momentum = velocities.T @ weighted
        momentum = momentum - momentum.T
        if arms.shape[1] == 2:
            return momentum / second.trace().clamp(min=1e-300)
        inertia = second.trace() * torch.eye(3).to(second) - second
        axial = torch.stack([momentum[2, 1], momentum[0, 2], momentum[1, 0]])
        x, y, z = torch.linalg.lstsq(inertia, axial[:, None]).solution[:, 0]
        zero = torch.zeros_like(x)
        return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)


def _turn(skew: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """Return the exponential of a skew matrix (Rodrigues), for which the host does not wait."""
    squared = 0.5 * skew.square().sum()  # of the angle
    angle = squared.sqrt()
    once, twice = torch.sinc(angle / math.pi), 0.5 * torch.sinc(0.5 * angle / math.pi).square()
    return torch.eye(len(skew)).to(skew) + once * skew + twice * (skew @ skew)
