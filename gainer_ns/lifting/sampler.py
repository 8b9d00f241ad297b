"""Where nerfstudio's renderers take samples: on the surfaces that a ray crosses, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle, RaySamples
from nerfstudio.model_components.ray_samplers import Sampler
from torch import Tensor

from gainer_ns.fields.gainer_field import SHELL_THICKNESSES, GainerField
from gainer_ns.lifting.crossings import DiscTree

LAYER_KEY = "layer"
"""Name of the samples' metadata that says which layer each is of."""
NO_LAYER = -1
"""The layer of samples that only fill the row of a ray that crosses fewer surfaces than others."""
MAX_RAY_DISTANCE = 1e10
"""Where rays end, in world units, unless they say so themselves."""
_MAX_STEP_THICKNESSES = 8.0
"""How far a crossing is moved from the plane of its disc to the smooth surface, at most, in thicknesses."""


class Crossed(Protocol):
    """What can be sampled."""

    @property
    def field(self) -> GainerField:
        """Where the surface lies."""
        ...

    @property
    def tree(self) -> DiscTree:
        """Which discs a ray meets."""
        ...


class SurfaceSampler(Sampler):
    """One sample on each surface that a ray crosses, as long as the surface's shell is thick.

    A ray first meets flat discs (by their tree); from there a Newton step leads to the smooth surface that the discs
    are tangent to, where the sample is centred. Its length does not depend on the angle at which the ray crosses, so
    neither does opacity.

    Args:
        num_samples: Most samples on a ray, of all layers together.
    """

    def generate_ray_samples(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, ray_bundle: RayBundle, layers: Sequence[Crossed]
    ) -> RaySamples:
        """Place samples, ascending along each ray; metadata tells which layer each is of.

        Args:
            ray_bundle: [m] rays.
            layers: What they may cross.
        """
        assert self.num_samples is not None
        found = [_on(layer, ray_bundle, self.num_samples) for layer in layers]
        distances = torch.cat([distance for distance, _ in found], dim=1)
        lengths = torch.cat([length for _, length in found], dim=1)
        number = torch.arange(len(layers), device=distances.device).repeat_interleave(self.num_samples)
        distances, order = distances.sort(dim=1)
        order = order[:, : self.num_samples]
        distances, lengths = distances[:, : self.num_samples], lengths.gather(1, order)
        crossed = distances.isfinite()
        layer = torch.where(crossed, number[order], NO_LAYER)
        # The rest of each row lies where it cannot be seen, and not so far that depths would lose their meaning.
        end = distances[crossed].max() if bool(crossed.any()) else distances.new_tensor(1.0)
        distances, lengths = torch.where(crossed, distances, end), torch.where(crossed, lengths, 0.0)
        return RaySamples(
            frustums=_frustums(ray_bundle, distances, lengths),
            camera_indices=None,
            deltas=lengths[..., None],
            metadata={LAYER_KEY: layer[..., None]},
        )


def _frustums(rays: RayBundle, distances: Float[Tensor, "m h"], lengths: Float[Tensor, "m h"]):
    """Return frustums around distances along rays."""
    samples = rays.get_ray_samples(
        bin_starts=(distances - lengths / 2)[..., None], bin_ends=(distances + lengths / 2)[..., None]
    )
    return samples.frustums


def _on(layer: Crossed, rays: RayBundle, most: int) -> tuple[Float[Tensor, "m h"], Float[Tensor, "m h"]]:
    """Return where rays cross a layer, and for how long they count as inside; infinite and 0 where they do not."""
    origins, directions = rays.origins.detach().float(), rays.directions.detach().float()
    nears = origins.new_zeros(len(origins)) if rays.nears is None else rays.nears.view(-1).float()
    fars = origins.new_full((len(origins),), MAX_RAY_DISTANCE) if rays.fars is None else rays.fars.view(-1).float()
    distances = layer.tree.crossings(origins, directions, nears, fars, most)
    lengths = torch.zeros_like(distances)
    crossed = distances.isfinite()
    ray = crossed.nonzero()[:, 0]
    distance = distances[crossed]
    reading = layer.field.read(origins[ray] + distance[:, None] * directions[ray])
    thickness = 1 / reading.normals.norm(dim=1).clamp(min=1e-30)
    step = -reading.offsets / (reading.normals * directions[ray]).sum(dim=1)
    # Where a ray runs along the surface, the plane of the disc is as good as any.
    step = torch.where(reading.seen & step.isfinite(), step, 0.0)
    distances[crossed] = distance + step.clamp(-_MAX_STEP_THICKNESSES * thickness, _MAX_STEP_THICKNESSES * thickness)
    lengths[crossed] = torch.where(reading.seen, SHELL_THICKNESSES * thickness, 0.0)
    return distances, lengths
