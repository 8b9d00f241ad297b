"""Contact of solid bodies with one another and with themselves: which particles may meet, and how they push.

Particles at borders push those that they do not hold on to, as discs or balls do: each pair loses the speed at which
it approaches, and slides with friction.
"""

from __future__ import annotations

import numpy as np
import torch
import warp as wp
from jaxtyping import Float, Int64
from torch import Tensor

from gainer_ns.gaussians.kernels import Typed, launch, vector
from gainer_ns.physics.mpm.solids.contact_kernels import pair_kernel
from gainer_ns.physics.mpm.solids.rest_grid import FULL_LINKS, RestGrid

CONTACT_SPACINGS = 1.0
"""How many spacings apart the centres of particles are that touch, or as far apart as they were at rest if nearer."""
WATCHED_SPACINGS = 1.0
"""Pairs are looked up again before any two particles can have come nearer by so many spacings."""
MAX_WATCHED_STEPS = 64
PUSH_SECONDS = 0.02
"""In what time particles that overlap are pushed apart."""
PAIR_FRICTION = 0.2
"""Coulomb's coefficient between bodies."""
PAIR_RELAXATION = {2: 0.3, 3: 0.15}
"""What share of a pair's answer is given in a step, since a particle is in several pairs."""


class ContactPairs:
    """Finds the pairs of particles that may touch.

    Args:
        grid: Of the bodies.
        links: [l, 2], which particles hold on to each other.
        inverse_masses: [p], of the particles, 0 of what does not move.
        spacing: How far apart neighbours are, widths.
    """

    def __init__(
        self, grid: RestGrid, links: Int64[np.ndarray, "l 2"], inverse_masses: Float[Tensor, " p"], spacing: float
    ) -> None:
        count, dimensions = len(inverse_masses), grid.points.shape[1]
        border = np.bincount(links.ravel(), minlength=count) < FULL_LINKS[dimensions]
        outer = border.copy()
        outer[links[border[links[:, 0]], 1]] = True  # a second row, or what is quick would slip through
        outer[links[border[links[:, 1]], 0]] = True
        self._outer = np.flatnonzero(outer)
        self._carriers = grid.carriers[:count].cpu().numpy()
        self._rest = grid.points[:count].cpu().double().numpy()
        self._moves = inverse_masses.cpu().numpy() > 0
        self._inverse_masses, self._spacing, self._dimensions = inverse_masses, spacing, dimensions
        self._found: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
        self._left = 0

    def push(
        self,
        positions: Float[Tensor, "p d"],
        velocities: Float[Tensor, "p d"],
        impulses: Float[Tensor, "p d"],
        dt: float,
    ) -> None:
        """Add what pairs do to each other in a step of ``dt`` seconds to the changes of velocity."""
        if self._left <= 0:
            self._look(positions, velocities, dt)
        self._left -= 1
        if self._found is None:
            return
        place = vector(self._dimensions)
        ids, starts, others, distances = self._found
        inputs = [
            Typed(ids, wp.int32),
            Typed(starts, wp.int32),
            Typed(others, wp.int32),
            Typed(distances, wp.float32),
            Typed(positions, place),
            Typed(velocities, place),
            Typed(self._inverse_masses, wp.float32),
            PAIR_RELAXATION[self._dimensions],
            PAIR_FRICTION,
            max(PUSH_SECONDS, 10 * dt),
            dt,
            Typed(impulses, place),
        ]
        launch(pair_kernel(self._dimensions), len(ids), inputs, positions.device)

    def _look(self, positions: Tensor, velocities: Tensor, dt: float) -> None:
        """Find the pairs that may touch within the next steps."""
        from scipy.spatial import KDTree

        outer = torch.from_numpy(self._outer).to(positions.device)
        speeds = velocities[outer]
        fastest = float((speeds - speeds.mean(dim=0)).norm(dim=1).nan_to_num(0.0).max()) if len(outer) else 0.0
        watched = WATCHED_SPACINGS * self._spacing
        self._left = int(min(max(0.4 * watched / max(fastest * dt, 1e-12), 1), MAX_WATCHED_STEPS))
        places = positions[outer].nan_to_num(0.0).cpu().double().numpy()
        reach = CONTACT_SPACINGS * self._spacing + watched
        pairs = self._outer[KDTree(places).query_pairs(reach, output_type="ndarray").reshape(-1, 2)]
        pairs = pairs[self._moves[pairs].any(axis=1)]
        far = np.linalg.norm(self._rest[pairs[:, 0]] - self._rest[pairs[:, 1]], axis=1)
        near = far < 6 * self._spacing * np.sqrt(self._dimensions)  # others share no node
        one, other = (self._carriers[pairs[near, side]] for side in (0, 1))
        shared = np.zeros(len(pairs), bool)
        shared[near] = (one[:, :, None] == other[:, None, :]).any(axis=(1, 2))
        pairs, far = pairs[~shared], np.minimum(far[~shared], CONTACT_SPACINGS * self._spacing)
        if len(pairs) == 0:
            self._found = None
            return
        both, far = np.concatenate([pairs, pairs[:, ::-1]]), np.concatenate([far, far])
        order = np.lexsort((both[:, 1], both[:, 0]))
        ids, first = np.unique(both[order, 0], return_index=True)
        starts = np.append(first, len(both))
        found = (torch.from_numpy(each.astype(np.int32)) for each in (ids, starts, both[order, 1]))
        ids, starts, others = (each.to(positions.device) for each in found)
        self._found = ids, starts, others, torch.from_numpy(far[order]).float().to(positions.device)
