"""Deformation gradients: limited in how far they stretch, and reduced to the rotations in them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.gaussians.small_matrices import determinant


def limited_gradients(gradients: Float[Tensor, "p d d"], largest: float) -> Float[Tensor, "p d d"]:
    """Limit deformation gradients to stretch and compress by no more than a factor, and to turn nothing inside out.

    Those within bounds stay as they are, to the bit.

    Args:
        gradients: [p, 2, 2] or [p, 3, 3], finite.
        largest: Largest singular value, at least 1; its inverse is the smallest.
    """
    if gradients.shape[-1] == 2:
        return _limited_in_plane(gradients, largest)
    # Cheap bounds of the singular values, since few gradients need the costly decomposition.
    squares, size = gradients.square().sum(dim=(1, 2)), determinant(gradients)
    doubtful = ((squares > largest**2) | (2 * size <= squares / largest)).nonzero()[:, 0]
    left, values, right = torch.linalg.svd(gradients[doubtful])
    signs = torch.ones_like(values)
    signs[:, 2] = torch.where(determinant(left) * determinant(right) < 0, -1.0, 1.0)
    clamped = (signs * values).clamp(1 / largest, largest)
    changed = (clamped != values).any(dim=1)
    mended = (left * (signs * clamped)[:, None]) @ right
    result = gradients.clone()
    result[doubtful[changed]] = mended[changed]
    return result


def _limited_in_plane(gradients: Float[Tensor, "p 2 2"], largest: float) -> Float[Tensor, "p 2 2"]:
    """Split a matrix of a plane into rotation and reflection, whose sum and gap are its singular values."""
    (a, b), (c, d) = (row.unbind(-1) for row in gradients.unbind(-2))
    turn, flip = torch.stack([a + d, c - b], dim=-1) / 2, torch.stack([a - d, c + b], dim=-1) / 2
    of_turn, of_flip = turn.norm(dim=-1), flip.norm(dim=-1)
    high, low = of_turn + of_flip, of_turn - of_flip
    new_high, new_low = high.clamp(1 / largest, largest), low.clamp(1 / largest, largest)
    turn = torch.where(of_turn[:, None] > 0, turn, turn.new_tensor([1.0, 0.0]))
    e, h = (turn * (0.5 * (new_high + new_low) / of_turn.where(of_turn > 0, 1.0))[:, None]).unbind(-1)
    f, g = (flip * (0.5 * (new_high - new_low) / of_flip.where(of_flip > 0, 1.0))[:, None]).unbind(-1)
    mended = torch.stack([e + f, g - h, g + h, e - f], dim=-1).view_as(gradients)
    return torch.where(((high == new_high) & (low == new_low))[:, None, None], gradients, mended)


def nearest_rotations(matrices: Float[Tensor, "p d d"]) -> Float[Tensor, "p d d"]:
    """Return the rotation closest to each matrix (Kabsch 1976); none where it is 0."""
    if matrices.shape[-1] == 2:
        (a, b), (c, d) = (row.unbind(-1) for row in matrices.unbind(-2))
        turn = torch.stack([a + d, c - b], dim=-1)
        size = turn.norm(dim=-1, keepdim=True)
        cos, sin = torch.where(size > 1e-12, turn / size.clamp(min=1e-300), turn.new_tensor([1.0, 0.0])).unbind(-1)
        return torch.stack([cos, -sin, sin, cos], dim=-1).view_as(matrices)
    matrices = matrices + 1e-9 * torch.eye(3).to(matrices)
    left, _, right = torch.linalg.svd(matrices)
    left = left.clone()
    left[:, :, 2] *= torch.sign(determinant(left) * determinant(right))[:, None]
    return left @ right
