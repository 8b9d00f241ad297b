"""The Gauss-Newton (Levenberg) finish: features from residuals, with the decoder and the graph fixed.

With ``A`` the aggregation matrix and ``D`` the decoder's Jacobians, the smallest change of the features that removes
the residual ``r`` is ``A^T D^T y`` where ``(D A A^T D^T + damping) y = r``. Conjugate gradients solve for ``y`` from
products with ``A`` and ``A^T`` alone (Nocedal and Wright, Numerical Optimization, 2nd ed., sections 5.1 and 10.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.aggregation import AggregationMatrix
from gainer_ns.gaussians.kernels import Typed


@dataclass
class FinishConfig:
    """How a step of the finish is taken."""

    max_products: int = 100
    """Most products with the matrix in one step."""
    tolerance: float = 0.03
    """A step is solved until its linear residual is this fraction of where it began."""
    damping: float = 1e-5
    """Levenberg damping of the first step, as a fraction of the mean squared Jacobian."""
    damping_decay: float = 0.3
    """Factor of the damping from one step to the next."""
    max_halvings: int = 5
    """How often a step that does not lower the error is halved before it is given up."""


class FinishStep(NamedTuple):
    """What one step of the finish did.

    Attributes:
        features: [n, f], the new features.
        mean_squared_error: Of the colours they decode to.
        products: How many products with the matrix it took.
        improved: Whether the error went down; if not, the features are those that came in.
    """

    features: Float[Tensor, "n f"]
    mean_squared_error: float
    products: int
    improved: bool


@torch.no_grad()
def finish_step(
    matrix: AggregationMatrix,
    features: Float[Tensor, "n f"],
    decoder: Decoder,
    target: Float[Tensor, "m c"],
    damping: float,
    config: FinishConfig,
    *,
    channels: slice = slice(None),
) -> FinishStep:
    """One Levenberg step on the features.

    Args:
        matrix: Aggregation from the Gaussians to the pixels, [m, n].
        features: Features to improve.
        decoder: Stays as it is.
        target: Colours of the pixels.
        damping: Fraction of the mean squared Jacobian.
        config: Limits of the inner solver.
        channels: The feature channels that may change.
    """
    colours, jacobian = decoder.decode_with_jacobian(matrix @ features)
    residual = target - colours
    before = float(residual.square().mean())
    system = _System(matrix, jacobian[:, :, channels].contiguous(), damping)
    del jacobian
    y, products = conjugate_gradients(system, residual, config)
    change = torch.zeros_like(features)
    change[:, channels] = system.transpose(y)
    del system, y
    scale = 1.0
    for _ in range(config.max_halvings + 1):
        candidate = features + scale * change
        after = float((target - decoder.decode(matrix @ candidate)).square().mean())
        if after < before:
            return FinishStep(candidate, after, products, improved=True)
        scale *= 0.5
    return FinishStep(features, before, products, improved=False)


class _System:
    """``y -> (D A A^T D^T + damping) y`` and its block-Jacobi preconditioner."""

    def __init__(self, matrix: AggregationMatrix, jacobian: Float[Tensor, "m c f"], damping: float) -> None:
        self.matrix = matrix
        self.jacobian = jacobian
        _, self.channels, self.width = jacobian.shape
        gram = jacobian @ jacobian.transpose(1, 2)
        mean_diagonal = float(gram.diagonal(dim1=1, dim2=2).mean())
        self.damping = damping * mean_diagonal
        row_square = torch.segment_reduce(
            matrix.values.square(), "sum", offsets=matrix.offsets.long(), initial=0.0
        )  # the diagonal of A A^T
        floor = max(self.damping, 1e-6 * mean_diagonal, 1e-30) * torch.eye(self.channels, device=gram.device)
        self.preconditioner = torch.linalg.inv(gram * row_square[:, None, None] + floor)

    def transpose(self, colours: Float[Tensor, "m c"]) -> Float[Tensor, "n f"]:
        """``A^T D^T colours``."""
        pulled = torch.empty(len(colours), self.width, device=colours.device)
        kernels.launch(
            kernels.pull_kernel(self.channels, self.width),
            len(colours),
            [self._jacobian(), self._colours(colours), Typed(pulled, kernels.vector(self.width))],
            colours.device,
        )
        return self.matrix.transposed @ pulled

    def __call__(self, colours: Float[Tensor, "m c"]) -> Float[Tensor, "m c"]:
        """The product with the system's matrix."""
        out = torch.empty_like(colours)
        kernels.launch(
            kernels.push_kernel(self.channels, self.width),
            len(colours),
            [
                Typed(self.matrix.offsets, wp.int32),
                Typed(self.matrix.columns, wp.int32),
                Typed(self.matrix.values, wp.float32),
                Typed(self.transpose(colours), kernels.vector(self.width)),
                self._jacobian(),
                self._colours(colours),
                self.damping,
                self._colours(out),
            ],
            colours.device,
        )
        return out

    def precondition(self, residual: Float[Tensor, "m c"]) -> Float[Tensor, "m c"]:
        """The inverse of each pixel's own block, applied."""
        return torch.bmm(self.preconditioner, residual[:, :, None])[:, :, 0]

    def _jacobian(self) -> Typed:
        return Typed(self.jacobian, kernels.matrix(self.channels, self.width))

    def _colours(self, colours: Tensor) -> Typed:
        return Typed(colours, kernels.vector(self.channels))


def conjugate_gradients(
    system: _System, right: Float[Tensor, "m c"], config: FinishConfig
) -> tuple[Float[Tensor, "m c"], int]:
    """Solves ``system(y) = right`` from 0; returns ``y`` and the number of products."""
    y = torch.zeros_like(right)
    residual = right.clone()
    goal = config.tolerance * float(right.norm())
    preconditioned = system.precondition(residual)
    direction = preconditioned.clone()
    alignment = torch.sum(residual * preconditioned)
    for product in range(1, config.max_products + 1):
        image = system(direction)
        step = alignment / torch.sum(direction * image).clamp(min=1e-30)
        y += step * direction
        residual -= step * image
        if float(residual.norm()) <= goal:
            return y, product
        preconditioned = system.precondition(residual)
        previous, alignment = alignment, torch.sum(residual * preconditioned)
        direction = preconditioned + (alignment / previous.clamp(min=1e-30)) * direction
    return y, config.max_products
