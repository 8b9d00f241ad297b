"""What all models of a picture on its plane have in common, whatever the picture is made of."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.fitting.loop import FitLoop, FitTrainer
from gainer_ns.fitting.recipe import PixelsRecipe
from gainer_ns.frames import ImagePlane
from gainer_ns.image.cameras import seen_along, views_of
from gainer_ns.image.fitted_model import FittedModel, FittedModelConfig, training_callbacks
from gainer_ns.image.panel import picture_override
from gainer_ns.rendering.drawable import BLOCK_POINTS, Drawable
from gainer_ns.rendering.point_colours import PointColours
from gainer_ns.storage.checks import checked_bit_depth, checked_plane

if TYPE_CHECKING:
    from gainer_ns.image.datamanager import PictureDataManager


@dataclass
class PictureModelConfig(FittedModelConfig, PixelsRecipe):
    """How a picture on its plane is fitted."""

    eval_num_rays_per_chunk: int = BLOCK_POINTS
    """Rays drawn at once where nerfstudio cuts them into chunks."""


class RunningFit(Protocol):
    """A fit inside nerfstudio's loop, as a picture's model sees it."""

    def outputs(self) -> dict[str, Tensor]:
        """Return colours rgb [m, 3] that a step gives, and target [m, 3], what they should be."""
        ...


class PictureMetadata(NamedTuple):
    """What a checkpoint knows of its picture, so that it can be drawn when the file is gone."""

    width: int
    height: int
    bit_depth: int
    has_alpha: int

    @classmethod
    def restored(cls, facts: Tensor) -> PictureMetadata:
        """Take a checkpoint's facts.

        Raises:
            ValueError: If there is no such picture.
        """
        width, height, bit_depth, has_alpha = facts.tolist()
        plane = checked_plane(width, height)
        return cls(plane.width, plane.height, checked_bit_depth(bit_depth), int(bool(has_alpha)))

    @property
    def plane(self) -> ImagePlane:
        """The picture's plane."""
        return ImagePlane(self.width, self.height)


class PictureModel(FittedModel):
    """A picture on its plane, drawn for any camera.

    Metadata hold its plane, its opacity or None, and its bit depth.
    """

    config: PictureModelConfig
    picture_facts: Tensor

    def populate_modules(self) -> None:
        """Note what a checkpoint has to know of the picture."""
        super().populate_modules()
        metadata = self.kwargs["metadata"]
        self.plane: ImagePlane = metadata["plane"]
        self.bit_depth: int = metadata["bit_depth"]
        self.has_alpha = metadata["opacity"] is not None
        picture = PictureMetadata(self.plane.width, self.plane.height, self.bit_depth, int(self.has_alpha))
        self.register_buffer("picture_facts", torch.tensor(picture))

    @abstractmethod
    def fitted(self) -> Drawable:
        """Return the picture as it is now; the same object until the fit goes on."""

    @abstractmethod
    def fit_of(self, data: PictureDataManager, trainer: FitTrainer) -> FitLoop:
        """Return a fit of this model to a picture, which is a :class:`RunningFit`."""

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Return the callbacks that run the fit inside nerfstudio's own loop.

        Raises:
            GainerError: If a loaded checkpoint is of a picture of another size.
        """
        self._check_picture()
        trainer, pipeline = training_callback_attributes.trainer, training_callback_attributes.pipeline
        assert trainer is not None and pipeline is not None
        self._fit = self.fit_of(cast("PictureDataManager", pipeline.datamanager), cast("FitTrainer", trainer))
        return training_callbacks(self._fit)

    def _check_picture(self) -> None:
        plane: ImagePlane = self.kwargs["metadata"]["plane"]
        if plane != self.plane:
            raise GainerError(
                f"the checkpoint is of a picture of {self.plane.width} x {self.plane.height} pixels, this one has "
                f"{plane.width} x {plane.height}; name the same picture, or leave out --load-dir"
            )

    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        """Return colours of what is fitted and what they should be (for a camera during a fit), or of any rays.

        Rays give rgb [m, 3], accumulation [m, 1], and depth [m, 1]: the distance along the ray, in plane units.
        """
        if isinstance(ray_bundle, Cameras):
            if self._fit is None:
                return self.get_outputs_for_camera(ray_bundle)
            return cast("RunningFit", self._fit).outputs()
        seen = seen_along(ray_bundle.origins.view(-1, 3), ray_bundle.directions.view(-1, 3))
        return self._outputs(self.fitted().at(seen.points), seen.distance)

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: OrientedBox | None = None) -> dict[str, Tensor]:
        """Return what a camera sees of the plane; where it shrinks the picture, each pixel is averaged over its area.

        Where it sees nothing, the depth is that of the farthest thing it does see.

        Args:
            camera: One camera.
            obb_box: Where given, what lies outside of it is transparent.
        """
        camera = camera.flatten().to(self.device)
        height, width = int(camera.height[0, 0]), int(camera.width[0, 0])
        picture, override = self.shown(), picture_override()
        is_draft = override is not None and override.is_draft
        redrawer = None if override is None else override.redrawer
        blocks: list[dict[str, Tensor]] = []
        for number, view in enumerate(views_of(camera, self.plane, BLOCK_POINTS, within=obb_box)):
            drawn = view.drawn(picture, number, is_draft=is_draft, redrawer=redrawer)
            blocks.append(self._outputs(drawn, view.distance))
        outputs = {name: torch.cat([block[name] for block in blocks]).view(height, width, -1) for name in blocks[0]}
        depth, visible = outputs["depth"], outputs["accumulation"] > 0
        if bool(visible.any()):
            outputs["depth"] = torch.where(visible, depth, depth[visible].max())
        return outputs

    def _outputs(self, drawn: PointColours, depth: Float[Tensor, "m 1"]) -> dict[str, Tensor]:
        rgb = drawn.rgb.clamp(0, 1) * drawn.alpha + self.background().to(drawn.rgb) * (1 - drawn.alpha)
        return {"rgb": rgb, "accumulation": drawn.alpha, "depth": depth}

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return the loss of the fitted pixels; in Gauss-Newton steps nothing depends on it but the log."""
        rgb, target = outputs["rgb"], outputs["target"]
        loss = self.config.loss_of(rgb, target)
        if not bool(loss.isfinite()):
            group = list(self.get_param_groups())[-1]
            raise GainerError(
                f"the loss is not a number any more; lower the learning rates (--optimizers.{group}.optimizer.lr and "
                "the like) and go on from the last checkpoint with --load-dir"
            )
        # nerfstudio calls backward() on every loss; this empty parameter lets it where nothing else has a gradient.
        return {"rgb_loss": loss + self.device_indicator_param.sum()}

    @torch.no_grad()
    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return PSNR of what the step fits, in dB."""
        error = (outputs["rgb"].detach() - outputs["target"]).square().mean()
        return {"psnr": -10 * torch.log10(error.clamp(min=1e-20))}

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Tensor]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Return metrics of the rendered picture, and source and rendering side by side."""
        return self.compared(outputs, batch)

    def _take_metadata(self, state_dict: dict[str, Any], prefix: str) -> None:
        facts = PictureMetadata.restored(state_dict[f"{prefix}picture_facts"])
        self.plane, self.bit_depth, self.has_alpha = facts.plane, facts.bit_depth, bool(facts.has_alpha)
