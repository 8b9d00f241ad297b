"""Where nerfstudio's renderers take samples: on the surfaces that a ray crosses, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nerfstudio.cameras.rays import RayBundle, RaySamples
from nerfstudio.model_components.ray_samplers import Sampler

from gainer_ns.lifting.crossings import NO_LAYER, Crossings
from gainer_ns.lifting.field import DISC_KEY, LAYER_KEY, STEP_KEY
from gainer_ns.lifting.layer import LiftedLayer

MAX_RAY_DISTANCE = 1e10
"""Where rays end, in world units, unless they say so themselves."""


class SurfaceSampler(Sampler):
    """One sample on each surface that a ray crosses, as long as the surface's shell is thick.

    What nerfstudio's samplers approach with ever more samples of a ray, these are at once: an acceleration of the same
    integral.

    Args:
        half_width: Of a shell; see :class:`gainer_ns.lifting.field.GainerField`.
    """

    def __init__(self, half_width: float) -> None:
        super().__init__()
        self.half_width = half_width

    def generate_ray_samples(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, ray_bundle: RayBundle, layers: Sequence[LiftedLayer] = (), crossings: Crossings | None = None
    ) -> RaySamples:
        """Place samples, ascending along each ray; metadata tells which place of which layer each is.

        Args:
            ray_bundle: [m] rays.
            layers: What they may cross.
            crossings: Where they do, if that is known already.
        """
        crossings = crossings or crossings_of(ray_bundle, layers)
        crossed = crossings.crossed
        # The rest of each row lies where it cannot be seen, and not so far that depths would lose their meaning.
        farthest = crossings.nearness[crossed].min() if bool(crossed.any()) else crossings.nearness.new_tensor(1.0)
        middles = 1 / torch.where(crossed, crossings.nearness, farthest)[..., None]
        samples = ray_bundle.get_ray_samples(bin_starts=middles - self.half_width, bin_ends=middles + self.half_width)
        return RaySamples(
            frustums=samples.frustums,
            camera_indices=None,
            deltas=2 * self.half_width * crossed[..., None],
            metadata={
                LAYER_KEY: torch.where(crossed, crossings.layers, NO_LAYER)[..., None],
                DISC_KEY: crossings.discs[..., None],
                STEP_KEY: crossings.steps,
            },
        )


def crossings_of(rays: RayBundle, layers: Sequence[LiftedLayer]) -> Crossings:
    """Return where rays cross layers, each ray for itself."""
    origins, directions = rays.origins.detach().float(), rays.directions.detach().float()
    nears = origins.new_zeros(len(origins)) if rays.nears is None else rays.nears.view(-1).float()
    fars = origins.new_full((len(origins),), MAX_RAY_DISTANCE) if rays.fars is None else rays.fars.view(-1).float()
    crossings = Crossings(len(origins), origins.device)
    for number, layer in enumerate(layers):
        crossings.follow(origins, directions, nears, fars, layer.surface, layer.states, number)
    return crossings
