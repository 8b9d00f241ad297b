"""Contact of solid bodies with one another and with themselves: which particles may meet, and how they push.

Particles at borders push those that they do not hold on to, as discs or balls do: each pair loses the speed at which
it approaches, and slides with friction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import warp as wp
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

from gainer_ns.gaussians.kernels import Repeated, Typed, launch, start_warp, vector
from gainer_ns.physics.mpm.solids.contact_kernels import near_kernel, pair_kernel
from gainer_ns.physics.mpm.solids.rest_grid import FULL_LINKS, RestGrid

CONTACT_SPACINGS = 1.0
"""How many spacings apart the centres of particles are that touch, or as far apart as they were at rest if nearer."""
WATCHED_SPACINGS = (1.0, 4.0)
"""Pairs are looked up again before any two particles can have come nearer by what is watched: so many spacings..."""
WATCHED_STEPS = 12
"""...as let so many steps pass, if they may be as many."""
MAX_WATCHED_STEPS = 64
PAIR_STIFFNESS = 0.25
"""Stiffness of the springs between particles that overlap, in those of surfaces: a particle is in several pairs."""
PAIR_FRICTION = 0.2
"""Coulomb's coefficient between bodies."""
PAIR_RELAXATION = {2: 0.3, 3: 0.15}
"""What share of a pair's answer is given in a step, since a particle is in several pairs."""
HASH_CELLS = 128
"""Along each axis; what is farther apart shares the cells again."""


class ContactPairs:
    """Finds the pairs of particles that may touch.

    Args:
        grid: Of the bodies.
        links: [l, 2], which particles hold on to each other.
        inverse_masses: [p], of the particles, 0 of what does not move.
        stiffness: [p], of the springs of surfaces, as squared frequencies.
        spacing: How far apart neighbours are, widths.

    Attributes:
        watched: [p], whose places it needs to know.
    """

    def __init__(
        self,
        grid: RestGrid,
        links: Int64[np.ndarray, "l 2"],
        inverse_masses: Float[Tensor, " p"],
        stiffness: Float[Tensor, " p"],
        spacing: float,
    ) -> None:
        count, dimensions = len(inverse_masses), grid.points.shape[1]
        device = inverse_masses.device
        border = np.bincount(links.ravel(), minlength=count) < FULL_LINKS[dimensions]
        both = np.concatenate([links, links[:, ::-1]])
        self._border = torch.from_numpy(np.flatnonzero(border).astype(np.int32)).to(device)
        self._behind = torch.from_numpy(both[border[both[:, 0]]].astype(np.int64)).to(device)
        watched = torch.from_numpy(border).to(device)
        self.watched: Bool[Tensor, " p"] = watched.index_fill(0, self._behind[:, 1], True)
        self._carriers = grid.carriers[:count].contiguous().view(-1)
        self._rest = grid.points[:count].contiguous()
        bases = torch.zeros(count, 3, dtype=torch.int32, device=device)
        bases[:, 3 - dimensions :] = grid.bases[:count]
        self._bases = bases
        self._stiffness = (PAIR_STIFFNESS * stiffness).contiguous()
        self._inverse_masses, self._spacing, self._dimensions = inverse_masses.contiguous(), spacing, dimensions
        start_warp()
        place = "cpu" if device.type == "cpu" else wp.device_from_torch(device)
        self._hash = wp.HashGrid(HASH_CELLS, HASH_CELLS, HASH_CELLS if dimensions == 3 else 1, device=place)
        self._push: Repeated | None = None
        self._count = self._left = 0

    def begin(self) -> None:
        """Forget what was found: particles are kept elsewhere from now on."""
        self._push, self._left = None, 0

    def push(
        self,
        positions: Float[Tensor, "p d"],
        velocities: Float[Tensor, "p d"],
        pushes: Float[Tensor, "p d"],
        dt: float,
    ) -> None:
        """Add what pairs do to each other in a step of ``dt`` seconds to the momenta that particles are given."""
        if self._left <= 0:
            self._look(positions, velocities, pushes, dt)
        self._left -= 1
        if self._push is not None:
            self._push(0, self._count)

    def _look(self, positions: Tensor, velocities: Tensor, pushes: Tensor, dt: float) -> None:
        """Find the pairs that may touch within the next steps."""
        self._push, self._left = None, MAX_WATCHED_STEPS
        if len(self._border) == 0:
            return
        speeds = velocities[self._border]
        fastest = float((speeds - speeds.mean(dim=0)).norm(dim=1).nan_to_num(0.0).max())
        step = max(fastest * dt / 0.4, 1e-12)  # both may move, and grow quicker
        low, high = (share * self._spacing for share in WATCHED_SPACINGS)
        watched = min(max(WATCHED_STEPS * step, low), high)
        self._left = int(min(max(watched / step, 1), MAX_WATCHED_STEPS))
        reach = CONTACT_SPACINGS * self._spacing + watched
        near = self._near(self._border, positions, reach)[1] > 0
        if not bool(near.any()):
            return
        # Behind the border a second row counts, or what is quick would slip through.
        chosen = torch.zeros(len(positions), dtype=torch.bool, device=positions.device)
        chosen[self._border[near]] = True
        chosen[self._behind[chosen[self._behind[:, 0]], 1]] = True
        some = chosen.nonzero()[:, 0].int()
        known, counts = self._near(some, positions, reach)
        starts = torch.cat([counts.new_zeros(1), counts.cumsum(0, dtype=torch.int32)])
        others = torch.empty(int(starts[-1]), dtype=torch.int32, device=positions.device)
        if len(others) == 0:
            return
        told = [*known, 1, Typed(starts, wp.int32), Typed(others, wp.int32)]
        launch(near_kernel(self._dimensions), len(some), told, positions.device)
        self._count, place = len(some), vector(self._dimensions)
        self._push = Repeated(
            pair_kernel(self._dimensions),
            [
                Typed(some, wp.int32),
                Typed(starts, wp.int32),
                Typed(others, wp.int32),
                Typed(self._rest, place),
                Typed(positions, place),
                Typed(velocities, place),
                Typed(self._inverse_masses, wp.float32),
                CONTACT_SPACINGS * self._spacing,
                PAIR_RELAXATION[self._dimensions],
                PAIR_FRICTION,
                Typed(self._stiffness, wp.float32),
                dt,
                Typed(pushes, place),
            ],
            positions.device,
        )

    def _near(
        self, some: Int32[Tensor, " o"], positions: Tensor, reach: float
    ) -> tuple[list[Any], Int32[Tensor, " o"]]:
        """Count the particles within reach of each of some, and return what the kernel was told besides."""
        places = torch.zeros(len(some), 3, device=positions.device)
        places[:, : self._dimensions] = positions[some].nan_to_num(0.0)
        self._hash.build(wp.from_torch(places, dtype=wp.vec3), reach)
        counts = torch.empty_like(some)
        known = [
            self._hash.id,
            Typed(some, wp.int32),
            Typed(places, wp.vec3),
            reach,
            Typed(self._bases, wp.vec3i),
            Typed(self._carriers, wp.int32),
            Typed(self._inverse_masses, wp.float32),
        ]
        told = [*known, 0, Typed(counts, wp.int32), Typed(counts, wp.int32)]
        launch(near_kernel(self._dimensions), len(some), told, positions.device)
        return known, counts
