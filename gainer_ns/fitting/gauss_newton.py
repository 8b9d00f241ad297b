"""Gauss-Newton (Levenberg) steps: features from residuals, with the decoder and the graph fixed.

With ``A`` the aggregation matrix and ``D`` the decoder's Jacobians, a step is the change ``x`` of the features that
minimises ``|D A x - r|^2 + damping |x|^2`` for the residual ``r`` (Nocedal and Wright, Numerical Optimization, 2nd ed.,
section 10.3). Conjugate gradients find it from products with ``A`` and ``A^T`` alone, and lower the error from product
to product, whether the Gaussians can reach the picture or only come near it (CGLS: Bjorck, Numerical Methods for Least
Squares Problems, section 7.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.gauss_newton_kernels import pull_kernel, push_kernel
from gainer_ns.fitting.inner_products import add_multiple_, inner, products_between_checks, quotient
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.aggregation import AggregationMatrix
from gainer_ns.gaussians.kernels import Typed

_MAX_DIRECTION_SCALE = 30.0
"""How much farther than the steepest direction of a feature a flatter one may be taken at once."""


@dataclass
class GaussNewtonConfig:
    """Options of a Gauss-Newton step."""

    max_products: int = 100
    """Most products with the matrix in one step."""
    tolerance: float = 0.03
    """A step is solved until its linear residual is this fraction of where it began."""
    gradient_tolerance: float = 1e-3
    """Or, where the residual cannot vanish, until its (preconditioned) gradient is this fraction of where it began."""
    damping: float = 1e-5
    """Levenberg damping of the first step, as a fraction of the mean squared Jacobian."""
    damping_decay: float = 0.3
    """Factor of the damping from one step to the next."""
    max_halvings: int = 5
    """How often a step that does not lower the error is halved before it is given up."""


class GaussNewtonStep(NamedTuple):
    """The outcome of one step.

    Attributes:
        features: [n, f], the new features.
        mean_squared_error: Of the colours they decode to.
        error_before: Mean squared error of the colours that the features decoded to that came in.
        products: How many products with the matrix it took.
        improved: Whether the error went down; if not, the features are those that came in.
    """

    features: Float[Tensor, "n f"]
    mean_squared_error: float
    error_before: float
    products: int
    improved: bool


@torch.no_grad()
def gauss_newton_step(
    matrix: AggregationMatrix,
    features: Float[Tensor, "n f"],
    decoder: Decoder,
    target: Float[Tensor, "m c"],
    damping: float,
    config: GaussNewtonConfig,
    *,
    channels: slice = slice(None),
    offset: Float[Tensor, "m f"] | float = 0.0,
) -> GaussNewtonStep:
    """Take one Levenberg step on the features; the decoder stays as it is.

    Args:
        matrix: Aggregation from the Gaussians to the pixels, [m, n].
        features: Features to improve.
        decoder: From features to colours.
        target: Colours of the pixels.
        damping: Fraction of the mean squared Jacobian.
        config: Limits of the inner solver.
        channels: The feature channels that may change.
        offset: What the pixels read besides, which stays.
    """
    colours, jacobian = decoder.decode_with_jacobian(matrix @ features + offset)
    residual = target - colours
    before = float(residual.square().mean())
    jacobian = jacobian[:, :, channels].contiguous()
    damping *= float(jacobian.square().sum(dim=2).mean())
    system = _Linearised(matrix, jacobian)
    change = torch.zeros_like(features)
    change[:, channels], products = least_squares(system, residual, damping, config)
    del system, jacobian
    scale = 1.0
    for _ in range(config.max_halvings + 1):
        candidate = features + scale * change
        after = float((target - decoder.decode(matrix @ candidate + offset)).square().mean())
        if after < before:
            return GaussNewtonStep(candidate, after, before, products, improved=True)
        scale *= 0.5
    return GaussNewtonStep(features, before, before, products, improved=False)


class _Linearised:
    """The linear map ``D A`` from changes of the features to changes of the colours."""

    def __init__(self, matrix: AggregationMatrix, jacobian: Float[Tensor, "m c f"]) -> None:
        self.matrix = matrix
        self.jacobian = jacobian
        _, self.channels, self.width = jacobian.shape

    def __call__(self, change: Float[Tensor, "n f"]) -> Float[Tensor, "m c"]:
        """Return ``D A change``."""
        colours = change.new_empty(self.matrix.rows, self.channels)
        inputs = [
            Typed(self.matrix.offsets, wp.int32),
            Typed(self.matrix.columns, wp.int32),
            Typed(self.matrix.values, wp.float32),
            Typed(change, kernels.vector(self.width)),
            self._jacobian(),
            Typed(colours, kernels.vector(self.channels)),
        ]
        kernels.launch(push_kernel(self.channels, self.width), len(colours), inputs, change.device)
        return colours

    def transpose(self, colours: Float[Tensor, "m c"]) -> Float[Tensor, "n f"]:
        """Return ``A^T D^T colours``."""
        pulled = colours.new_empty(len(colours), self.width)
        inputs = [
            self._jacobian(),
            Typed(colours, kernels.vector(self.channels)),
            Typed(pulled, kernels.vector(self.width)),
        ]
        kernels.launch(pull_kernel(self.channels, self.width), len(colours), inputs, colours.device)
        return self.matrix.transposed @ pulled

    def preconditioner(self) -> Float[Tensor, "f f"]:
        """Return a matrix that makes the directions in which features change colours equally steep on average.

        Directions that change no colour stay as they are: a step that went far along them would leave the range in
        which the Jacobians hold.
        """
        rows = self.jacobian.flatten(0, 1)
        steepness, directions = torch.linalg.eigh((rows.T @ rows).cpu().double())
        steepest = steepness[-1].clone()
        steepness[: -self.channels] = steepest
        scales = steepest / steepness.clamp(min=steepest / _MAX_DIRECTION_SCALE)
        return ((directions * scales) @ directions.T).to(rows)

    def _jacobian(self) -> Typed:
        return Typed(self.jacobian, kernels.matrix(self.channels, self.width))


def least_squares(
    system: _Linearised, right: Float[Tensor, "m c"], damping: float, config: GaussNewtonConfig
) -> tuple[Float[Tensor, "n f"], int]:
    """Minimise ``|system(x) - right|^2 + damping |x|^2`` from 0; return ``x`` and the number of products."""
    residual = right.clone()
    gradient = system.transpose(residual)
    change = torch.zeros_like(gradient)
    if not inner(gradient, gradient) > 0:  # nothing to gain, or not a number
        return change, 0
    preconditioner = system.preconditioner()
    direction = gradient @ preconditioner
    steepness = inner(gradient, direction)
    goal = config.tolerance**2 * inner(right, right)
    gradient_goal = config.gradient_tolerance**2 * steepness
    checked = products_between_checks(right.device)
    for product in range(1, config.max_products + 1):
        image = system(direction)
        step = quotient(steepness, inner(image, image) + damping * inner(direction, direction))
        add_multiple_(change, direction, step)
        add_multiple_(residual, image, -step)
        gradient = system.transpose(residual).sub_(change, alpha=damping)
        scaled = gradient @ preconditioner
        before, steepness = steepness, inner(gradient, scaled)
        if product % checked == 0 and not (steepness > gradient_goal and inner(residual, residual) > goal):
            return change, product
        direction.mul_(quotient(steepness, before)).add_(scaled)
    return change, config.max_products
