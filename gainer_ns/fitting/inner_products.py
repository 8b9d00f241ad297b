"""The numbers of conjugate gradients: on a GPU they stay there, and the host waits for none of them."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

_LEAST_DIVISOR = 1e-30
_GPU_PRODUCTS = 4
"""Products with a matrix, on a GPU, from one look at how far they have come to the next."""
Scalar: TypeAlias = float | Tensor
"""A number; on a GPU a tensor of one."""


def inner(one: Tensor, other: Tensor) -> Scalar:
    """Return the inner product of two tensors of one shape."""
    found = torch.dot(one.reshape(-1), other.reshape(-1))
    return found.item() if found.device.type == "cpu" else found


def quotient(number: Scalar, divisor: Scalar) -> Scalar:
    """Return a quotient, 0 of 0: what goes on after nothing is left stays where it is."""
    return number / (divisor.clamp(min=_LEAST_DIVISOR) if isinstance(divisor, Tensor) else max(divisor, _LEAST_DIVISOR))


def add_multiple_(vector: Tensor, other: Tensor, factor: Scalar) -> Tensor:
    """Add a multiple of another tensor in place, and return the sum."""
    return vector.addcmul_(other, factor) if isinstance(factor, Tensor) else vector.add_(other, alpha=factor)


def products_between_checks(device: torch.device) -> int:
    """Return after how many products it is looked whether they are enough."""
    return 1 if device.type == "cpu" else _GPU_PRODUCTS
