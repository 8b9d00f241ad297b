"""What the material point method keeps of its particles."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gainer_ns.physics.engine import Particles, State

GRADIENT_NEIGHBOURS = 8
"""How many neighbours tell how velocities change around a particle at the start."""


@dataclass(frozen=True)
class MpmState:
    """Particles in motion.

    Attributes:
        positions: [n, d], widths.
        velocities: [n, d], widths a second.
        affine: [n, d, d], how velocities change around a particle, 1 / second.
        elastic: [n, d, d], the deformation that stress answers; of sand 1 + its elastic strain.
        total: [n, d, d], the deformation since the start.
        inner: [n], ratio of a liquid's volume to that at rest; what the plasticity of snow and sand remembers.
    """

    positions: Float[Tensor, "n d"]
    velocities: Float[Tensor, "n d"]
    affine: Float[Tensor, "n d d"]
    elastic: Float[Tensor, "n d d"]
    total: Float[Tensor, "n d d"]
    inner: Float[Tensor, " n"]

    @classmethod
    def of(cls, particles: Particles, gradients: Tensor, starts_at_one: Tensor, device: torch.device) -> MpmState:
        """Return the state at the start, on a device, given how velocities change around each particle.

        ``inner`` is 1 where it starts at one, else 0.
        """
        count, dimensions = particles.positions.shape
        eye = torch.eye(dimensions).repeat(count, 1, 1)
        return cls(
            particles.positions.float(),
            particles.velocities.float(),
            gradients.float(),
            eye,
            eye.clone(),
            starts_at_one.float(),
        ).to(device)

    @classmethod
    def from_dict(cls, state: State, device: torch.device) -> MpmState:
        """Take it from all tensors of a frame, on a device."""
        return cls(**{each.name: state[each.name].clone() for each in fields(cls)}).to(device)

    def to(self, device: torch.device) -> MpmState:
        """Copy it to a device."""
        return MpmState(**{name: value.to(device).contiguous() for name, value in self.as_dict().items()})

    def __getitem__(self, order: Int64[Tensor, " n"]) -> MpmState:
        """Return the same in another order, as a copy."""
        return MpmState(**{name: value[order].contiguous() for name, value in self.as_dict().items()})

    def as_dict(self) -> dict[str, Tensor]:
        """Return its tensors by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def velocity_gradients(particles: Particles) -> Float[Tensor, "n d d"]:
    """Return how velocities change around each particle at the start, 1 / second: exact where its body spins.

    The grid blurs velocities, and what it would lose of a spin it is given by these. They are those of the linear map
    that fits the velocities of the nearest particles of the same body best.
    """
    from scipy.spatial import KDTree

    count, dimensions = particles.positions.shape
    gradients = torch.zeros(count, dimensions, dimensions, dtype=torch.float64)
    for body in particles.bodies.unique().tolist():
        own = (particles.bodies == body).nonzero()[:, 0].cpu()
        places, velocities = particles.positions.cpu()[own].double(), particles.velocities.cpu()[own].double()
        if len(own) < 2 or bool((velocities == velocities[0]).all()):
            continue
        nearest = KDTree(places.numpy()).query(places.numpy(), min(GRADIENT_NEIGHBOURS + 1, len(own)))[1]
        nearest = torch.from_numpy(nearest)
        away, change = places[nearest] - places[:, None], velocities[nearest] - velocities[:, None]
        # The transposed: away @ gradient^T = change.
        gradients[own] = (torch.linalg.pinv(away, rtol=1e-3) @ change).mT
    return gradients
