"""Says where a mesh lies, or is as large, as nobody can have meant: other units, axes or places than the picture's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.gaussians.small_matrices import determinant

if TYPE_CHECKING:
    from gainer_ns.editing.mesh_files import MeshFile

LARGEST, SMALLEST = 8.0, 1 / 50
"""How large a mesh over a picture may be, in lengths of that: it may lie over all around, or over an eye."""
FEW = 0.1
"""A mesh that holds fewer of the picture's points may be one that has slipped."""
GROWN = 8.0
"""By how much a first frame may be larger or smaller than the reference without a word."""
TURNED = -0.5
"""Share of a mesh that is seen from above, less that seen from below, where it is turned over."""
ALIKE = 0.1
"""By how much of its size a frame may differ from the reference, moved as a whole, to be known as that."""

logger = logging.getLogger(__name__)


def check_size(reference: MeshFile, points: Float[Tensor, "n 2"]) -> None:
    """Refuses a reference mesh in other units than the picture's.

    Raises:
        GainerError: If it is.
    """
    (width, height), (own_width, own_height) = _size(reference.vertices), _size(points)
    ratio = max(width, height) / max(own_width, own_height, 1e-12)
    if not SMALLEST <= ratio <= LARGEST:
        raise GainerError(
            f"{reference.path}: is {width:.3g} x {height:.3g}, and the picture {own_width:.3g} x {own_height:.3g}; "
            "export it in the picture's units, whose longer side is 1"
        )


def warn_of_place(reference: MeshFile, held: float, seen: float) -> None:
    """Warns of a reference mesh that may lie elsewhere than it was meant to.

    Args:
        reference: The mesh.
        held: Share of the picture's points that lie in its triangles.
        seen: Share of its area that is seen from above, less that seen from below.
    """
    if held < FEW:
        logger.warning(
            "%s: holds only %.1f %% of the picture, whose centre is (0, 0) and whose longer side is 1; the rest will "
            "follow its border: export it where the cage was, if it is to hold more",
            reference.path,
            100 * held,
        )
    if seen < TURNED:
        logger.warning(
            "%s: its faces look away; if it is mirrored, export it with y pointing up and forward axis Y",
            reference.path,
        )


def check_first_frame(frame: MeshFile, reference: MeshFile) -> None:
    """Refuses a first frame that stands upright where the reference lies flat, and warns of other odd places.

    Raises:
        GainerError: If it stands upright.
    """
    lying, standing = (float(axis.max() - axis.min()) for axis in (frame.vertices[:, 1], frame.vertices[:, 2]))
    before, after = reference.vertices[:, :2].double(), frame.vertices[:, :2].double()
    height = _size(before)[1]
    if lying < 1e-3 * height and standing > 0.1 * height:
        raise GainerError(
            f"{frame.path}: the mesh stands upright, and is looked at from above; export with the axes of the import "
            "(forward Y, up Z)"
        )
    name, size = reference.path.name, max(_size(before))
    ratio = max(_size(after)) / size if size > 0 else 1.0
    gap = torch.maximum(after.amin(dim=0) - before.amax(dim=0), before.amin(dim=0) - after.amax(dim=0))
    if not 1 / GROWN <= ratio <= GROWN:
        problem = f"is {ratio:.3g} times as large as {name}; if that is not meant, export both in the same units"
    elif float(gap.max()) > size:
        problem = f"lies far away from {name}; if that is not meant, export both where the cage was"
    elif _is_mirrored(before, after):
        problem = f"is {name} mirrored; if that is not meant, export both with the same axes, x right and y up"
    else:
        return
    logger.warning("%s: %s", frame.path, problem)


def _is_mirrored(before: Float[Tensor, "v 2"], after: Float[Tensor, "v 2"]) -> bool:
    """Whether points have moved as a whole, to the other side."""
    before, after = before - before.mean(dim=0), after - after.mean(dim=0)
    moved = torch.linalg.lstsq(before, after).solution
    apart = (before @ moved - after).square().sum() / after.square().sum().clamp(min=1e-300)
    return bool(determinant(moved[None])[0] < 0) and float(apart) < ALIKE**2


def _size(points: Float[Tensor, "n d"]) -> tuple[float, float]:
    width, height = (points[:, :2].amax(dim=0) - points[:, :2].amin(dim=0)).tolist()
    return width, height
