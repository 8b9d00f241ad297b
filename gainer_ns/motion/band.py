"""The material between what moves wholly and what stays: it goes a share of the way, and gives way beside that."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.sparse.linalg import splu

from gainer_ns.motion.arap import relaxed
from gainer_ns.motion.material import Material

_WHOLE = 3e-3
"""What follows less, or but so much less than wholly, is held."""
_HELD = 10.0
"""How stiffly that is held, beside what turning by a radian costs over a cell."""
_SLACK = 1e-9
"""Keeps soluble what hangs together with nothing that is held, or is smaller than a cell."""
_MAX_STEPS = 12
_STILL_PX = 0.1
"""The last step moves nothing farther."""


class Band:
    """Material of which each place follows a motion by a share, as rigidly as it can.

    Where shares fall off across a bent neck, each place turned by its own share about one centre comes to lie beside
    its neighbours rather than before them, so the neck is sheared and narrows. So the material gives way beside that:
    it is as near as can be to what the motion does at each place at a constant share, turned as it likes (Sorkine and
    Alexa 2007, with the motion's own Jacobians as the rest state), and does not where all or nothing follows.

    Args:
        material: The material.
        shares: [q], how much each of its sample points follows.
    """

    def __init__(self, material: Material, shares: Float[np.ndarray, " q"]) -> None:
        samples, areas = material.samples, material.sample_areas
        self.is_free = (shares > _WHOLE) & (shares < 1 - _WHOLE)
        self._areas = areas
        self._along = sparse.vstack([samples.along_x, samples.along_y]).tocsr()
        self._back = (self._along.T @ sparse.diags(np.tile(areas, 2))).tocsr()
        stiff = samples.value.T @ sparse.diags(areas * ~self.is_free * _HELD / material.cell**2) @ samples.value
        self._held = (stiff + _SLACK * sparse.identity(material.size)).tocsr()
        system = (self._back @ self._along + self._held).tocsc()
        self._factor = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})

    def sway(
        self, frames: Float[np.ndarray, "f d 2"], seen: Float[np.ndarray, "f d 2"], *, turns: bool
    ) -> Float[np.ndarray, "n d"]:
        """Return the coefficients of how far the material gives way, in the units of the frames.

        Args:
            frames: What the motion would do to a step along x, and along y, at each free sample point, if all around
                it followed as much.
            seen: What it does.
            turns: Whether places turn as they like: under a motion that turns nothing they would buckle where it
                squeezes them.
        """
        free = self.is_free

        def right_side(turned: np.ndarray) -> np.ndarray:
            wanted = np.zeros((2, len(free), seen.shape[1]))
            wanted[:, free] = (turned - seen).transpose(2, 0, 1)
            return self._back @ wanted.reshape(-1, seen.shape[1])

        def local(found: np.ndarray) -> tuple[np.ndarray, float]:
            along = (self._along @ found).reshape(2, len(free), -1)
            swayed = seen + along[:, free].transpose(1, 2, 0)
            turned = _turned_as(frames, swayed)
            cost = float(self._areas[free] @ np.square(swayed - turned).sum(axis=(1, 2)))
            cost += float(np.tile(self._areas * ~free, 2) @ np.square(along).sum(axis=2).ravel())
            return right_side(turned), cost + float((found * (self._held @ found)).sum())

        straight = self._factor.solve(right_side(frames))
        if not turns:
            return straight
        return relaxed(straight, local, self._factor.solve, _MAX_STEPS, _STILL_PX)


def _turned_as(frames: Float[np.ndarray, "m d 2"], seen: Float[np.ndarray, "m d 2"]) -> Float[np.ndarray, "m d 2"]:
    """Return frames, each turned so that it is as near as can be to another one."""
    if frames.shape[1] == 2:
        turn = (seen * frames).sum(axis=(1, 2)) + 1j * (frames[:, 0] * seen[:, 1] - frames[:, 1] * seen[:, 0]).sum(
            axis=1
        )
        size = np.abs(turn)
        turn = np.where(size > 1e-12, turn, 1.0) / np.where(size > 1e-12, size, 1.0)
        cosine, sine = turn.real[:, None], turn.imag[:, None]
        return np.stack([cosine * frames[:, 0] - sine * frames[:, 1], sine * frames[:, 0] + cosine * frames[:, 1]], 1)
    left, _, right = np.linalg.svd(seen @ frames.transpose(0, 2, 1))
    left[:, :, 2] *= np.linalg.det(left @ right)[:, None]  # a rotation, no mirror image
    return left @ (right @ frames)
