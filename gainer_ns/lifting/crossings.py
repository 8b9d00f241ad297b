"""Where rays meet the discs of lifted Gaussians: the only places that are worth a sample."""

from __future__ import annotations

import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.small_matrices import inverse
from gainer_ns.lifting.crossing_kernels import crossings_kernel

_SUPPORT_RADIUS_PX = 0.75
"""Half the side of a disc, in pixels: discs of neighbouring pixels overlap by half of one."""
_MAX_GAP_THICKNESSES = 12.0
"""Crossings farther apart along the ray than this, in thicknesses of a disc, are of different surfaces: the planes of
neighbouring discs meet a ray at almost the same place, however slanted they are."""
_MAX_CANDIDATES = 12
"""How many discs along a ray are looked at, at most."""


class DiscTree:
    """A tree of boxes (Warp's BVH) around the discs of a set of Gaussians.

    Args:
        gaussians: In space; their inverse Jacobians say where their discs lie.
    """

    def __init__(self, gaussians: GaussianSet) -> None:
        assert gaussians.inverse_jacobians is not None
        kernels.start_warp()
        self._means = gaussians.means.detach().float().contiguous()
        count = len(self._means)
        self._inverse_jacobians = gaussians.inverse_jacobians.detach().float().expand(count, 3, 3).contiguous()
        half = _SUPPORT_RADIUS_PX * inverse(self._inverse_jacobians).abs().sum(dim=2)
        low, high = (
            wp.from_torch(corner.contiguous(), dtype=wp.vec3) for corner in (self._means - half, self._means + half)
        )
        self._tree = wp.Bvh(low, high) if count > 0 else None

    def crossings(
        self,
        origins: Float[Tensor, "m 3"],
        directions: Float[Tensor, "m 3"],
        nears: Float[Tensor, " m"],
        fars: Float[Tensor, " m"],
        most: int,
    ) -> Float[Tensor, "m h"]:
        """Find the first places where rays meet surfaces, by the planes of their discs.

        Args:
            origins: Where the rays begin.
            directions: Their unit directions.
            nears: Distance at which each begins to count.
            fars: And at which it ends.
            most: How many places are wanted, the nearest first.

        Returns:
            Distances along the rays; infinite where there is none.
        """
        result = torch.full((len(origins), most), torch.inf, device=origins.device)
        if self._tree is None:
            return result
        inputs = [
            self._tree.id,
            Typed(origins.float().contiguous(), wp.vec3),
            Typed(directions.float().contiguous(), wp.vec3),
            Typed(nears.float().contiguous(), wp.float32),
            Typed(fars.float().contiguous(), wp.float32),
            Typed(self._means, wp.vec3),
            Typed(self._inverse_jacobians, wp.mat33),
            _SUPPORT_RADIUS_PX,
            _MAX_GAP_THICKNESSES,
            Typed(result, kernels.vector(most)),
        ]
        kernels.launch(crossings_kernel(most, _MAX_CANDIDATES), len(origins), inputs, origins.device)
        return result
