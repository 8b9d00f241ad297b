"""What the models of all methods have in common: a version, a background, and sizes that follow the checkpoint."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from nerfstudio.model_components import renderers
from nerfstudio.models.base_model import Model, ModelConfig
from torch import Tensor

from gainer_ns.errors import LOAD_ERRORS, GainerError
from gainer_ns.fitting.loop import FitLoop
from gainer_ns.fitting.recipe import Recipe
from gainer_ns.image.panel import PanelConfig, picture_override
from gainer_ns.io.colour_profiles import ColourProfile

PROFILE_BUFFER = "colour_profile"
"""What checkpoints call the picture's colour profile."""


@dataclass
class FittedModelConfig(ModelConfig, Recipe):
    """A nerfstudio model, and how it is fitted."""

    enable_collider: bool = False
    """Rays meet what is there, and nothing else bounds them."""
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Colour shown where nothing is."""
    panel: PanelConfig = field(default_factory=PanelConfig)
    """What the viewer offers besides."""


class FittedModel(Model):
    """A nerfstudio model whose checkpoints say of which version they are."""

    config: FittedModelConfig
    checkpoint_version: ClassVar[int]
    """Raised whenever older checkpoints no longer load."""
    version: Tensor

    def populate_modules(self) -> None:
        """Note the version for checkpoints, and make the panel if there is one."""
        super().populate_modules()
        self.panel = self.config.panel.setup()  # public: nerfstudio's viewer looks for controls here
        self.register_buffer("version", torch.tensor(self.checkpoint_version))
        self._take_profile(self.kwargs["metadata"].get("profile"))
        self._fit: FitLoop | None = None  # set by the training callbacks; not part of the model

    def running_fit(self) -> FitLoop | None:
        """Return the fit inside nerfstudio's loop; None before its callbacks are made, and where nothing is fitted."""
        return self._fit

    def _take_profile(self, profile: ColourProfile | None) -> None:
        """Note what the colours mean; checkpoints of sRGB pictures hold nothing of it."""
        self.profile = profile
        self.register_buffer(PROFILE_BUFFER, None if profile is None else profile.to_tensor())

    @abstractmethod
    def fitted(self) -> Any:
        """Return the picture as it was fitted, ready to be drawn; the same object until the fit goes on."""

    def shown(self) -> Any:
        """Return the picture that cameras see: the fitted one, or what is drawn in its place."""
        override = picture_override()
        return self.fitted() if override is None else override.edit(self.fitted())

    @abstractmethod
    def changed(self) -> None:
        """Forget what was made of the parameters, whenever one was changed, so that the next rendering sees it."""

    def _check_loaded(self) -> None:
        """Look whether what was loaded can be drawn; anything raised means that it cannot."""

    @abstractmethod
    def _take_metadata(self, state_dict: dict[str, Any], prefix: str) -> None:
        """Take what a checkpoint of this version knows of the picture."""

    def background(self) -> Float[Tensor, "3"]:
        """Return the colour behind everything: the viewer's, or a cropped camera path's, where there is one."""
        cropped = renderers.BACKGROUND_COLOR_OVERRIDE
        return torch.tensor(self.config.background, device=self.device) if cropped is None else cropped.to(self.device)

    def composited(self, colours: Float[Tensor, "*b 3"], opacity: Float[Tensor, "*b 1"]) -> Float[Tensor, "*b 3"]:
        """Lay what was photographed over the background that is fitted."""
        return colours * opacity + colours.new_tensor(self.config.background) * (1 - opacity)

    def compared(
        self, outputs: dict[str, Tensor], batch: dict[str, Tensor]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Return metrics of what was rendered, and source and rendering side by side; only what has opacity counts."""
        from gainer_ns.metrics import compare

        rgb, target, mask = outputs["rgb"].cpu(), batch["image"].cpu(), None
        if "opacity" in batch:
            opacity = batch["opacity"].cpu()
            target, mask = self.composited(target, opacity), (opacity > 0)[..., 0]
        metrics = compare(rgb, target, None if mask is None or bool(mask.all()) else mask.numpy())
        named = {name: float(value) for name, value in metrics._asdict().items() if value is not None}
        return named, {"img": torch.cat([target, rgb], dim=1), "accumulation": outputs["accumulation"].cpu()}

    def get_rgba_image(self, outputs: dict[str, Tensor], output_name: str = "rgb") -> Float[Tensor, "h w 4"]:
        """Return colours without the background, and alpha."""
        alpha, background = outputs["accumulation"], outputs["rgb"].new_tensor(self.config.background)
        rgb = (outputs[output_name] - background * (1 - alpha)) / alpha.clamp(min=1e-6)
        return torch.cat([rgb.clamp(0, 1) * (alpha > 0), alpha], dim=-1)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Load a checkpoint of this version; sizes follow the checkpoint.

        Raises:
            GainerError: If it is of another version, does not fit, or holds numbers that are not finite.
        """
        self.changed()
        remedy = "give the options that it was made with, or fit the picture again"
        try:
            loaded = super().load_state_dict(state_dict, strict, assign)
            self._check_loaded()
        except GainerError:
            raise
        except LOAD_ERRORS as error:
            raise GainerError(f"the checkpoint does not fit these options; {remedy}") from error
        if not all(bool(value.isfinite().all()) for value in self.state_dict().values()):
            raise GainerError(f"the checkpoint holds numbers that are not finite; {remedy}")
        return loaded

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        if not any(name.startswith(prefix) for name in state_dict):
            return  # nerfstudio's pipeline loads the model first, and then, leniently, what is left of it: nothing
        check_version(state_dict.get(f"{prefix}version"), self.checkpoint_version)
        self._take_metadata(state_dict, prefix)
        self._take_profile(
            ColourProfile.from_tensor(state_dict.pop(f"{prefix}{PROFILE_BUFFER}", None), "the checkpoint")
        )
        if self.profile is not None:
            state_dict[f"{prefix}{PROFILE_BUFFER}"] = self.profile.to_tensor()
        self.changed()
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def training_callbacks(fit: FitLoop) -> list[TrainingCallback]:
    """Return what nerfstudio calls around each step of a fit."""
    before, after = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION
    return [TrainingCallback([before], fit.begin_step), TrainingCallback([after], fit.end_step)]


def check_version(version: Tensor | None, wanted: int) -> None:
    """Refuse, by a GainerError, a checkpoint of another version than this program reads, or of none."""
    found = "none" if version is None or version.numel() != 1 else int(version)
    if found != wanted:
        raise GainerError(
            f"the checkpoint is of version {found}, this program reads version {wanted}; "
            "fit the picture again, or use the release that wrote it"
        )
