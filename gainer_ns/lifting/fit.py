"""The fit of a lifted photo inside nerfstudio's own training loop: the same finish as in 2D, on neighbours in space."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.disc_encoding import DiscEncoding
from gainer_ns.fitting.gauss_newton import gauss_newton_step
from gainer_ns.fitting.loop import FitTrainer, GaussNewtonLoop, error_sizes
from gainer_ns.fitting.recipe import GaussianRecipe
from gainer_ns.gaussians.aggregation import AggregationMatrix
from gainer_ns.memory import check_free

_BYTES_PER_DISC = 900
"""Memory for a disc and the neighbours that it reads while it is fitted, beside what it had before."""
LESS_MEMORY = "reduce the photo (downscale factor 2), or lift a part of it by a mask"


@dataclass
class LayerPlan:
    """What the discs of one layer are to show."""

    encoding: DiscEncoding
    """The discs."""
    decoder: Decoder
    """From features to red, green, blue and opacity."""
    target: Float[Tensor, "n 4"]
    """What features at the discs' means should decode to."""
    counts: Bool[Tensor, " n"]
    """Which of them are pixels that the photo shows: those whose PSNR is told."""
    is_made_up: bool = False
    """Whether no pixel shows it: then it stays as it begins, smooth, which no step would make truer."""


class LiftFit(GaussNewtonLoop):
    """Fits the features of every layer to colours and opacities on the surface, and beyond its edges.

    On the surface a ray of the training view has the colour and the opacity of its pixel; beyond an edge, where such a
    ray meets only free space, opacity falls below 0. All are values at the discs' own means, whose neighbours in space
    stand still, so Gauss-Newton steps on one sparse matrix a layer meet them.

    Args:
        layers: What is fitted.
        recipe: How far.
        bit_depth: Bits of the photo's values, 8 or 16.
        trainer: Is told when the fit is done, and saves checkpoints.
        changed: Called after every step, when parameters have changed.

    Raises:
        GainerError: If there is no memory for it.
    """

    def __init__(
        self,
        layers: Sequence[LayerPlan],
        recipe: GaussianRecipe,
        bit_depth: int,
        trainer: FitTrainer,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(recipe, bit_depth, trainer, changed)
        discs = sum(len(layer.target) for layer in layers)
        if not any(layer.target.is_cuda for layer in layers):  # torch says so itself there, at once
            check_free(discs * _BYTES_PER_DISC, f"fitting {discs / 1e6:.1f} million discs", LESS_MEMORY)
        self._layers = [layer for layer in layers if not layer.is_made_up]
        self._made_up = [layer for layer in layers if layer.is_made_up]
        self._config = recipe.finish
        self._matrices: list[AggregationMatrix] = []

    def _before_step(self, step: int) -> None:
        started = time.monotonic()
        if not self._matrices:
            self._matrices = [layer.encoding.matrix() for layer in self._layers]
            if step == 0:
                for layer in (*self._layers, *self._made_up):
                    layer.encoding.features_table.data = layer.decoder.features_for(layer.target)
            self._spent("graph", started)
            started = time.monotonic()
        damping = self._config.damping * self._config.damping_decay**step
        for layer, matrix in zip(self._layers, self._matrices, strict=True):
            table = layer.encoding.features_table
            if step < self._finish_steps:
                table.data = gauss_newton_step(
                    matrix, table.data, layer.decoder, layer.target, damping, self._config
                ).features
        self._spent("finish", started)
        self._changed()

    def _after_step(self, step: int) -> None:
        self._measure(step)
        if self._ends_with(step):
            self.finished = True

    def _ends_with(self, step: int) -> bool:
        return self._is_done(step)

    @torch.no_grad()
    def _error_sizes(self) -> tuple[float, float]:
        errors = [
            (layer.decoder.decode(matrix @ layer.encoding.features_table) - layer.target)[layer.counts, :3]
            for layer, matrix in zip(self._layers, self._matrices, strict=True)
        ]
        return error_sizes(torch.cat(errors))
