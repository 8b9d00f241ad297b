"""Deformations of material that are as rigid as possible (Sorkine and Alexa 2007), held by pins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import KDTree

from gainer_ns.motion.material import Material
from gainer_ns.motion.modes import Mode

_BENDING = {"rigid": 1.0, "normal": 0.02, "distort": 0.3}
"""What bending costs beside stretching, by the cell's side."""
_AFFINE = 1e-3
"""What stretching costs beside bending where nothing turns by itself."""
_MAX_STEPS = 80
_MEMORY = 5
"""Steps that an accelerated one looks back at."""
_STILL_PX = 2e-2
"""The last step moves nothing farther."""
_STARCH = 30.0
"""How many times stiffer starch is."""
_FLAT = 30.0
"""What bending costs around pins that turn."""
_TIE = 1e-2
"""How strongly parts without pins follow what is nearest to them."""
_TIES = 12
_SLACK = 1e-10
"""Keeps pins that contradict one another soluble; others give way by less than anyone sees."""


@dataclass(frozen=True)
class Held:
    """Where pins hold the material at rest.

    Attributes:
        points: [p].
        turned: [p], whether a pin says how the material around it turns.
        starch: [p], in pixels: how far around it the material is stiff; 0 for nowhere.
    """

    points: Complex[np.ndarray, " p"]
    turned: Bool[np.ndarray, " p"]
    starch: Float[np.ndarray, " p"]


class _PinnedSystem:
    """A symmetric positive system whose solutions are held exactly by some rows, factorised once."""

    def __init__(self, system: sparse.spmatrix, held: sparse.csr_matrix) -> None:
        # What holds is stiff besides, so that the system is regular wherever all of it together is.
        stiff = (system + held.T @ held).tocsc()
        self._factor = splu(stiff, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        self._held = held
        self._answers = self._factor.solve(held.T.toarray())
        reaction = held @ self._answers
        self._reaction = np.linalg.pinv(reaction, rcond=_SLACK, hermitian=True)

    def solve(self, right: Float[np.ndarray, "n 2"], wanted: Float[np.ndarray, "p 2"]) -> Float[np.ndarray, "n 2"]:
        """Return what answers to the right side, where the rows are as wanted."""
        free = self._factor.solve(right)
        return free + self._answers @ (self._reaction @ (wanted - self._held @ free))


class Arap:
    """Material that gives way to pins; one factorisation serves all their places.

    Args:
        material: What gives way.
        held: Where it is held.
        mode: How.
    """

    def __init__(self, material: Material, held: Held, mode: Mode = "normal") -> None:
        self.material, self.held, self.mode = material, held, mode
        samples = material.samples
        self._areas = material.sample_areas * self._stiffness()
        rows = material.rows(held.points)
        turned = held.turned.nonzero()[0]
        pinned = sparse.csr_matrix(sparse.vstack([rows.value, rows.along_x[turned], rows.along_y[turned]]))
        flat = self._areas * (_BENDING[mode] + self._flatness())
        self._slopes = sparse.vstack([samples.along_x, samples.along_y]).tocsr()
        self._back = (self._slopes.T @ sparse.diags(np.tile(self._areas, 2))).tocsr()
        stretching = self._back @ self._slopes
        bends = sparse.vstack(material.bends).tocsr()
        bending = bends.T @ sparse.diags(np.tile(flat, 3)) @ bends
        ties = self._ties_of_pins = _TIE * self._ties(held.points)
        self._bending = bending.tocsr()
        self._affine = _AFFINE * _BENDING[mode]
        self._plain = _PinnedSystem(self._affine * stretching + bending + ties, pinned)
        self._system = None if mode == "distort" else _PinnedSystem((stretching + self._bending + ties).tocsc(), pinned)

    def solve(
        self, to: Complex[np.ndarray, " p"], turns: Complex[np.ndarray, " p"], steps: int = _MAX_STEPS
    ) -> Complex[np.ndarray, " n"]:
        """Return the coefficients of where the material goes, always from the same start.

        Args:
            to: Where the pins go.
            turns: How the material turns and grows there, as a complex factor; what counts is that of turned pins.
            steps: The most local and global steps.
        """
        wanted = _pairs(np.concatenate([to, turns[self.held.turned], 1j * turns[self.held.turned]]))
        as_one = np.full(len(self._areas), self._overall_turn(to, turns))
        found = self._plain.solve(self._affine * self._right_side(as_one), wanted)
        system = self._system
        if system is None:
            return _complex(found)

        def local(found: np.ndarray) -> tuple[np.ndarray, float]:
            turn, energy = self._local(found)
            return self._right_side(turn), energy

        return _complex(relaxed(found, local, lambda right: system.solve(right, wanted), steps))

    def spread(self, values: Float[np.ndarray, " p"]) -> Float[np.ndarray, " n"]:
        """Return coefficients of what is given at the pins and changes as evenly as it can in between."""
        return self._even.solve(np.zeros((self.material.size, 1)), values[:, None])[:, 0]

    @cached_property
    def _even(self) -> _PinnedSystem:
        rows = self.material.rows(self.held.points)
        system = self._back @ self._slopes + self._ties_of_pins
        return _PinnedSystem(system, rows.value)

    def rotations(self, found: Complex[np.ndarray, " n"]) -> Complex[np.ndarray, " q"]:
        """Return the rotations nearest to what coefficients do where integrals are sampled."""
        return self._local(_pairs(found))[0]

    def energy(self, found: Complex[np.ndarray, " n"]) -> float:
        """Return how far coefficients are from rigid, with what bending costs, in cells."""
        return self._local(_pairs(found))[1]

    def _local(self, found: Float[np.ndarray, "n 2"]) -> tuple[Complex[np.ndarray, " q"], float]:
        """Return the nearest rotations, and the energy."""
        along_x, along_y = _complex(self._slopes @ found).reshape(2, -1)
        similar = along_x - 1j * along_y
        size = np.abs(similar)
        turn = np.where(size > 1e-12, similar, 1.0) / np.where(size > 1e-12, size, 1.0)
        off = _squared(along_x - turn) + _squared(along_y - 1j * turn)
        return turn, float(self._areas @ off + (found * (self._bending @ found)).sum())

    def _overall_turn(self, to: np.ndarray, turns: np.ndarray) -> complex:
        """Return the rotation that all pins together ask for."""
        start = self.held.points - self.held.points.mean()
        end = to - to.mean()
        together = np.vdot(start, end)
        if abs(together) <= 1e-9 * _squared(start).sum() or len(to) < 2:
            together = complex(turns[self.held.turned].sum()) if self.held.turned.any() else 1.0
        return together / abs(together) if abs(together) > 1e-12 else 1.0

    def _right_side(self, turn: Complex[np.ndarray, " q"]) -> Float[np.ndarray, "n 2"]:
        return self._back @ _pairs(np.concatenate([turn, 1j * turn]))

    def _stiffness(self) -> Float[np.ndarray, " q"]:
        """Return how many times stiffer than usual the material is."""
        stiffness = np.ones(len(self.material.sample_points))
        for point, radius in zip(self.held.points, self.held.starch, strict=True):
            if radius > 0:
                inside = (1.5 - np.abs(self.material.sample_points - point) / radius).clip(0, 1)
                stiffness += _STARCH * inside
        return stiffness

    def _flatness(self) -> Float[np.ndarray, " q"]:
        """Return how much more bending costs around pins that turn, so that a disc around them turns as they do."""
        flatness = np.zeros(len(self.material.sample_points))
        for point in self.held.points[self.held.turned]:
            away = np.abs(self.material.sample_points - point) / self.material.cell
            flatness += _FLAT * (2.0 - away).clip(0, 1)
        return flatness

    def _ties(self, points: Complex[np.ndarray, " p"]) -> sparse.csr_matrix:
        """Let what no pin holds go on as what is nearest to it does."""
        material = self.material
        held = np.unique(material.bodies[material.functions[material.nearest(points)[1], 0]])
        bodies = material.bodies[material.functions[:, 0]]
        loose = ~np.isin(bodies, held)
        if not loose.any():
            return sparse.csr_matrix((material.size, material.size))
        centres = material.centres[:, 0] + 1j * material.centres[:, 1]
        anchors = (~loose).nonzero()[0]
        tied = np.concatenate([_some((bodies == body).nonzero()[0]) for body in np.unique(bodies[loose])])
        away = 0.25 * material.cell * np.array([1 + 1j, 1 - 1j, -1 + 1j, -1 - 1j])
        here, cells = (centres[tied][:, None] + away).ravel(), np.repeat(tied, 4)
        _, near = KDTree(material.centres[anchors]).query(np.stack([here.real, here.imag], axis=1))
        near = anchors[near]
        there, beyond = material.rows_in(near, centres[near]), here - centres[near]
        apart = material.rows_in(cells, here).value - (
            there.value + sparse.diags(beyond.real) @ there.along_x + sparse.diags(beyond.imag) @ there.along_y
        )
        return sparse.csr_matrix(apart.T @ apart) / material.cell**2


def relaxed(
    start: Float[np.ndarray, "n d"],
    local: Callable[[np.ndarray], tuple[np.ndarray, float]],
    solve: Callable[[np.ndarray], np.ndarray],
    steps: int,
    still: float = _STILL_PX,
) -> Float[np.ndarray, "n d"]:
    """Take local and global steps, each mixed with those before it where that lowers the energy.

    Anderson acceleration as of Peng et al. 2018 (Anderson acceleration for geometry optimization and physics
    simulation): where the mixture is worse than what was there, the plain step counts.

    Args:
        start: Coefficients.
        local: Returns the right side that rotations nearest to coefficients ask for, and the energy of these.
        solve: Returns the coefficients that answer to a right side.
        steps: The most steps.
        still: The last step moves nothing farther.
    """
    tried, plain = start, start
    last_energy = np.inf
    moves: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    for _ in range(steps):
        right, energy = local(tried)
        if energy > last_energy:
            tried, moves, ends = plain, [], []
            right, energy = local(tried)
        last_energy = energy
        plain = solve(right)
        move = plain - tried
        if np.abs(move).max() <= still:
            return plain
        moves, ends = [*moves[-_MEMORY:], move], [*ends[-_MEMORY:], plain]
        tried = plain
        if len(moves) > 1:
            changes = np.stack([move.ravel() - earlier.ravel() for earlier in moves[:-1]])
            normal = changes @ changes.T
            normal[np.diag_indices_from(normal)] *= 1 + 1e-9
            shares = np.linalg.lstsq(normal, changes @ move.ravel(), rcond=None)[0]
            tried = plain - np.tensordot(shares, np.stack([plain - earlier for earlier in ends[:-1]]), 1)
    return plain


def _some(cells: Int[np.ndarray, " c"]) -> Int[np.ndarray, " s"]:
    return cells[:: max(1, len(cells) // _TIES)]


def _pairs(points: Complex[np.ndarray, " m"]) -> Float[np.ndarray, "m 2"]:
    return np.ascontiguousarray(points, np.complex128).view(np.float64).reshape(-1, 2)


def _complex(pairs: Float[np.ndarray, "m 2"]) -> Complex[np.ndarray, " m"]:
    return np.ascontiguousarray(pairs).view(np.complex128)[:, 0]


def _squared(values: Complex[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    return values.real**2 + values.imag**2
