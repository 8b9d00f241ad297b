"""Levenberg steps on all that is learned of Gaussians: means, shapes, colours and slopes at once.

With ``J`` the derivatives of what points read (:mod:`gainer_ns.fitting.levenberg_kernels`), a step is the change ``x``
that minimises ``|J x - r|^2 + x^T D x`` for the residual ``r`` and a damping ``D`` in proportion to the diagonal of
``J^T J`` (Marquardt 1963; Nocedal and Wright, Numerical Optimization, 2nd ed., section 10.3). Conjugate gradients find
it, preconditioned by the inverse of each Gaussian's own block of the matrix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import warp as wp
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.fields.knn_encoding import GaussianKNNEncoding
from gainer_ns.fitting.inner_products import add_multiple_, inner, products_between_checks, quotient
from gainer_ns.fitting.levenberg_kernels import (
    change_length,
    curvature_kernel,
    learned_gaussians,
    pull_kernel,
    push_kernel,
    read_kernel,
)
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.aggregation import AggregationMatrix
from gainer_ns.gaussians.kernels import Typed

_MAX_PRODUCTS = 12
"""Of conjugate gradients in a step: more cost what another step gains."""
_GRADIENT_TOLERANCE = 0.02
"""They end when the (preconditioned) gradient is this fraction of where it began."""
_LEAST_DAMPING = 1e-4
"""Of what changes nothing, such as the place of a Gaussian in a smooth region."""
_MAX_MOVE = 0.5
"""Most that a mean moves in a step, in spacings, and that the logarithm of a side of a Gaussian changes."""
_SCALES = 1.0, 0.5, 0.25, 0.125
"""Of a step, until one lowers the error."""


class LevenbergStep(NamedTuple):
    """The outcome of one step.

    Attributes:
        error_before: Mean squared error of the points, as they count.
        error: The same after it.
        scale: Which part of the step was taken; 0 where none lowered the error.
    """

    error_before: float
    error: float
    scale: float


class LearnedPart(NamedTuple):
    """What is learned of Gaussians.

    Attributes:
        means: [n, 2].
        factors: [n, 3], see :attr:`gainer_ns.fields.knn_encoding.GaussianKNNEncoding.precision_factors`.
        colours: [n, 3], features.
        slopes: [n, s, 2], in spacings.
    """

    means: Float[Tensor, "n 2"]
    factors: Float[Tensor, "n 3"]
    colours: Float[Tensor, "n 3"]
    slopes: Float[Tensor, "n s 2"]

    @classmethod
    def of(cls, encoding: GaussianKNNEncoding) -> LearnedPart:
        """Return those of an encoding, not copied."""
        assert encoding.features_table is not None and encoding.slopes_table is not None
        return cls(
            encoding.means, encoding.precision_factors.data, encoding.features_table.data, encoding.slopes_table.data
        )

    def changed(self, change: Float[Tensor, "n c"], spacing: float) -> LearnedPart:
        """Return them after a change."""
        moves, growths = change[:, :5].clamp(-_MAX_MOVE, _MAX_MOVE).split([2, 3], dim=1)
        return LearnedPart(
            self.means + spacing * moves,
            self.factors + growths,
            self.colours + change[:, 5:8],
            self.slopes + change[:, 8:].view_as(self.slopes),
        )

    def put_into(self, encoding: GaussianKNNEncoding) -> None:
        """Make them those of an encoding."""
        assert encoding.features_table is not None and encoding.slopes_table is not None
        encoding.means = self.means
        encoding.precision_factors.data = self.factors
        encoding.features_table.data = self.colours
        encoding.slopes_table.data = self.slopes


class _Points:
    """What points read of Gaussians, and its derivatives by all that is learned of them."""

    def __init__(
        self,
        encoding: GaussianKNNEncoding,
        matrix: AggregationMatrix,
        points: Float[Tensor, "m 2"],
        shares: Float[Tensor, " m"],
        free: Float[Tensor, "n c"] | None = None,
    ) -> None:
        self.encoding, self.matrix, self.points, self.shares, self._free = encoding, matrix, points, shares, free
        self.spacing = float(encoding.spacing)

    def read(self, learned: LearnedPart) -> Float[Tensor, "m 3"]:
        """Read the points, and take the derivatives here from now on."""
        sloped = learned.slopes.shape[1]
        self._change_length = change_length(sloped)
        precisions = self.encoding.precisions_of(learned.factors).flatten(1)[:, [0, 1, 3]].contiguous()
        self._gaussians = kernels.struct(
            learned_gaussians(sloped),
            means=Typed(learned.means.contiguous(), wp.vec2),
            precisions=Typed(precisions, wp.vec3),
            colours=Typed(learned.colours.contiguous(), wp.vec3),
            slopes=Typed((learned.slopes / self.spacing).contiguous(), kernels.matrix(sloped, 2)),
        )
        self._sloped, self._kept = sloped, (learned, precisions)
        self._weights, self.colours = torch.empty_like(self.matrix.values), torch.empty_like(self._three())
        inputs = [*self._structure(), Typed(self.points, wp.vec2), self._gaussians]
        outputs = [Typed(self._weights, wp.float32), Typed(self.colours, wp.vec3)]
        kernels.launch(read_kernel(sloped), len(self.points), [*inputs, *outputs], self.points.device)
        return self.colours

    def linearise(self) -> None:
        """Prepare products with the derivatives at what was read last, and their own blocks."""
        learned, _ = self._kept
        counts = self.matrix.offsets.diff().long()
        rows = torch.repeat_interleave(self.shares, counts, output_size=len(self._weights))
        self._weights *= rows  # residuals count by the squares of shares, and so do derivatives
        self._offsets, self._points_of, order = self.matrix.transposed_structure
        self._of_points = self._weights[order.long()]
        self._chain = self.encoding.precision_chain(learned.factors)
        length = self._change_length
        blocks = torch.empty(len(learned.means), length, length, device=self.points.device)
        self._launch_transposed(curvature_kernel(self._sloped), [Typed(blocks, kernels.matrix(length, length))])
        chain = torch.eye(length, device=blocks.device).expand_as(blocks).clone()
        chain[:, :2, :2] *= self.spacing
        chain[:, 2:5, 2:5] = self._chain
        chain[:, 8:, 8:] /= self.spacing
        self.blocks = chain.mT @ blocks @ chain
        if self._free is not None:
            self.blocks *= self._free[:, :, None] * self._free[:, None]

    def push(self, change: Float[Tensor, "n c"]) -> Float[Tensor, "m 3"]:
        """Return how a change of the Gaussians changes what points read, times their shares."""
        means, factors, colours, slopes = change.split([2, 3, 3, change.shape[1] - 8], dim=1)
        of_precisions = torch.einsum("nij,nj->ni", self._chain, factors)
        change = torch.cat([self.spacing * means, of_precisions, colours, slopes / self.spacing], dim=1)
        found = torch.empty_like(self.colours)
        inputs = [
            *self._structure(),
            Typed(self._weights, wp.float32),
            *self._places(),
            Typed(change, kernels.vector(self._change_length)),
            Typed(found, wp.vec3),
        ]
        kernels.launch(push_kernel(self._sloped), len(found), inputs, found.device)
        return found

    def pull(self, residuals: Float[Tensor, "m 3"]) -> Float[Tensor, "n c"]:
        """Return the transpose of :meth:`push`, times residuals."""
        found = torch.empty(len(self._chain), self._change_length, device=residuals.device)
        outputs = [Typed(residuals.contiguous(), wp.vec3), Typed(found, kernels.vector(self._change_length))]
        self._launch_transposed(pull_kernel(self._sloped), outputs)
        means, precisions, colours, slopes = found.split([2, 3, 3, self._change_length - 8], dim=1)
        of_factors = torch.einsum("nij,ni->nj", self._chain, precisions)
        found = torch.cat([self.spacing * means, of_factors, colours, slopes / self.spacing], dim=1)
        return found if self._free is None else found.mul_(self._free)

    def _launch_transposed(self, kernel: wp.Kernel, outputs: list[Any]) -> None:
        inputs = [Typed(self._offsets, wp.int32), Typed(self._points_of, wp.int32), Typed(self._of_points, wp.float32)]
        kernels.launch(kernel, len(self._chain), [*inputs, *self._places(), *outputs], self.points.device)

    def _structure(self) -> list[Typed]:
        return [Typed(self.matrix.offsets, wp.int32), Typed(self.matrix.columns, wp.int32)]

    def _places(self) -> list[Any]:
        return [Typed(self.points, wp.vec2), Typed(self.colours, wp.vec3), self._gaussians]

    def _three(self) -> Float[Tensor, "m 3"]:
        return self.points.new_empty(len(self.points), 3)


@torch.no_grad()
def levenberg_step(
    encoding: GaussianKNNEncoding,
    points: Float[Tensor, "m 2"],
    target: Float[Tensor, "m 3"],
    shares: Float[Tensor, " m"],
    damping: float,
    free: Bool[Tensor, "n c"] | None = None,
) -> LevenbergStep:
    """Take one step on what is learned of an encoding's Gaussians, in place.

    Args:
        encoding: Gaussians with learned means and slopes.
        points: Where it is fitted.
        target: The features to be read there: colours, as the decoder takes them.
        shares: Square roots of what each point counts.
        damping: Fraction of the diagonal of ``J^T J``.
        free: What may change, in the order of changes (:mod:`gainer_ns.fitting.levenberg_kernels`); None for all.
    """
    read = _Points(encoding, encoding.read(points).matrix, points, shares, None if free is None else free.float())
    learned = LearnedPart.of(encoding)

    def residual(of: LearnedPart) -> Float[Tensor, "m 3"]:
        return (target - read.read(of)) * shares[:, None]

    left = residual(learned)
    before = float(left.square().mean())
    read.linearise()
    change = _solved(read, left, damping)
    for scale in _SCALES:
        tried = learned.changed(scale * change, read.spacing)
        error = float(residual(tried).square().mean())
        if error < before:
            tried.put_into(encoding)
            return LevenbergStep(before, error, scale)
    return LevenbergStep(before, before, 0.0)


def _solved(read: _Points, residual: Float[Tensor, "m 3"], damping: float) -> Float[Tensor, "n c"]:
    """Return the change that the damped normal equations ask for, about."""
    damped = damping * read.blocks.diagonal(dim1=1, dim2=2) + _LEAST_DAMPING
    inverse, _ = torch.linalg.inv_ex(read.blocks + torch.diag_embed(damped))  # whose success nobody waits for
    gradient = read.pull(residual)
    change = torch.zeros_like(gradient)
    scaled = torch.einsum("nij,nj->ni", inverse, gradient)
    direction, steepness = scaled, inner(gradient, scaled)
    goal, checked = _GRADIENT_TOLERANCE**2 * steepness, products_between_checks(residual.device)
    for product in range(1, _MAX_PRODUCTS + 1):
        image = read.pull(read.push(direction)).addcmul_(damped, direction)
        step = quotient(steepness, inner(direction, image))
        add_multiple_(change, direction, step)
        add_multiple_(gradient, image, -step)
        scaled = torch.einsum("nij,nj->ni", inverse, gradient)
        before, steepness = steepness, inner(gradient, scaled)
        if product % checked == 0 and not steepness > goal:
            break
        direction = add_multiple_(scaled, direction, quotient(steepness, before))
    return change
