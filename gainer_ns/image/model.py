"""The 2D method: Gaussians on the picture's plane, as nerfstudio trains and draws them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Parameter

from gainer_ns.fitting.loop import FitTrainer
from gainer_ns.fitting.picture_fit import FitPlan
from gainer_ns.fitting.recipe import LearnedPicture, PictureRecipe
from gainer_ns.fitting.trainer import AnyFit, fit_of
from gainer_ns.image.picture_model import PictureModel, PictureModelConfig
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.checks import check_layer

if TYPE_CHECKING:
    from gainer_ns.image.datamanager import PictureDataManager


_LESS_MEMORY = (
    "reduce the picture with --pipeline.datamanager.dataparser.downscale-factor 2, or lower "
    "--pipeline.model.gaussians-per-pixel"
)


@dataclass
class GainerModelConfig(PictureModelConfig, PictureRecipe):
    """The 2D model and how it is fitted."""

    _target: type = field(default_factory=lambda: GainerModel)


class GainerModel(PictureModel):
    """GaINeR on a plane (paper, sections 3.2 to 3.4)."""

    config: GainerModelConfig
    checkpoint_version = 2

    def populate_modules(self) -> None:
        """Place the Gaussians and build encoding and decoder."""
        super().populate_modules()
        self.encoding, self.decoder = self.config.begin(self.plane, self.kwargs["metadata"]["opacity"])
        self._baked: BakedPicture | None = None

    @property
    def _learned(self) -> LearnedPicture:
        return LearnedPicture(self.encoding, self.decoder)

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """Return parameters of Adam, by what they are."""
        return self._learned.groups()

    def fit_of(self, data: PictureDataManager, trainer: FitTrainer) -> AnyFit:
        """Return a fit of the Gaussians and their decoder."""
        plan = FitPlan(
            plane=self.plane,
            opacity=self.kwargs["metadata"]["opacity"],
            learned=self._learned,
            bit_depth=self.bit_depth,
            recipe=self.config,
            less_memory=_LESS_MEMORY,
        )
        return fit_of(plan, data.target, trainer, self.changed)

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return PSNR of the fitted pixels in dB, and the number of Gaussians."""
        return super().get_metrics_dict(outputs, batch) | {"gaussians": torch.tensor(float(len(self.encoding)))}

    def fitted(self) -> BakedPicture:
        """Return the picture as it is now, without optimiser and hash grid; kept until the fit goes on."""
        if self._baked is None:
            layer = self._learned.layer(self.plane)
            self._baked = BakedPicture(self.plane, (layer,), self.bit_depth, self.profile)
        return self._baked

    def _check_loaded(self) -> None:
        check_layer(self.fitted().only_layer)

    def changed(self) -> None:
        """Forget what was made of the parameters, whenever one was changed, so that the next rendering sees it."""
        self._baked = None
