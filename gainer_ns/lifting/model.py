"""The 3D method: the discs of lifted photos, fitted, and rendered by nerfstudio's volumetric pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes
from torch import Tensor, nn
from torch.nn import Parameter

from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.disc_encoding import RGBA_CHANNELS, DiscEncoding, DiscEncodingConfig
from gainer_ns.fitting.loop import FitTrainer
from gainer_ns.fitting.recipe import GaussianRecipe
from gainer_ns.frames import ImagePlane, PinholeCamera
from gainer_ns.gaussians.small_matrices import inverse
from gainer_ns.image.fitted_model import FittedModel, FittedModelConfig, training_callbacks
from gainer_ns.lifting.beyond_frame import frame_layer
from gainer_ns.lifting.discs import Discs, place_discs
from gainer_ns.lifting.fit import LESS_MEMORY, LayerPlan, LiftFit
from gainer_ns.lifting.hidden_surface import hidden_layer
from gainer_ns.lifting.joined import PhotoView, views_from_tensors, views_to_tensors
from gainer_ns.lifting.layer import LiftedLayer
from gainer_ns.lifting.matting import matte
from gainer_ns.lifting.metadata import LiftMetadata
from gainer_ns.lifting.rgbd_layers import RgbdLayer
from gainer_ns.lifting.rgbd_photo import RgbdPhoto
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.surface import continue_edges, fit_surface, smooth_surface
from gainer_ns.lifting.views import view_of
from gainer_ns.memory import check_free
from gainer_ns.storage.checks import check_gaussians

SHOWN = -1
"""In place of the number of the layer that hides another: nothing does."""
_BYTES_PER_PIXEL = 600
"""Memory for a pixel of the photo until it is a disc in space."""


@dataclass
class LiftModelConfig(FittedModelConfig, GaussianRecipe):
    """The 3D model and how it is fitted."""

    _target: type = field(default_factory=lambda: LiftModel)
    eval_num_rays_per_chunk: int = 1 << 16
    """Rays rendered at once."""
    hidden_layers: int = 0
    """Hidden layers of the decoder's MLP; 0 leaves its linear path alone."""
    finish_steps: int = 4
    """Most Gauss-Newton steps."""
    behind_edges: bool = True
    """Whether what depth edges hide, and what lies beyond the frame, is made up a little way on, so that views from the
    side show no holes."""
    encoding: DiscEncodingConfig = field(default_factory=DiscEncodingConfig)
    """How points in space read discs."""

    def planned_adam_steps(self, pixels: int) -> int:
        """Return 0: Gauss-Newton alone is as good and faster."""
        return 0

    def model_bytes(self, plane: ImagePlane) -> int:
        """Return about how large a checkpoint's Gaussians are: one a pixel, and some more around the edges."""
        return int(1.5 * plane.pixels * 4 * (self.encoding.feature_dim + 12)) + self.decoder_bytes(
            self.encoding.feature_dim
        )


class LiftModel(FittedModel):
    """GaINeR in space (paper, section 3.5): metadata hold a :class:`LiftMetadata` and the layers that are lifted.

    Those of several photos are in their ``photos``, which are empty where only a checkpoint is to be shown.
    """

    config: LiftModelConfig
    checkpoint_version = 2
    lift_facts: Tensor
    hidden_of: Tensor
    view_of: Tensor
    view_numbers: Tensor
    confidences: Tensor

    def populate_modules(self) -> None:
        """Lift the discs and builds encodings and decoders."""
        super().populate_modules()
        metadata = self.kwargs["metadata"]
        self.photo: LiftMetadata = metadata["photo"]
        photos: tuple[RgbdPhoto, ...] | None = metadata.get("photos")
        if photos is None:
            photos = (RgbdPhoto(Path(), self.photo, metadata["layers"]),)
        lifted = sum(int((layer.depth > 0).sum()) for photo in photos for layer in photo.layers)
        check_free(lifted * _BYTES_PER_PIXEL, f"lifting {lifted / 1e6:.1f} megapixels", LESS_MEMORY)
        self._plans: list[tuple[Discs, RgbdLayer]] = []
        self.encodings, self.decoders = nn.ModuleList(), nn.ModuleList()
        self.register_buffer("hidden_of", torch.zeros(0, dtype=torch.long))
        self.register_buffer("view_of", torch.zeros(0, dtype=torch.long))
        for number, photo in enumerate(photos):
            first, camera = len(self.encodings), photo.metadata.camera
            shown = [replace(layer, depth=layer.depth / self.photo.unit) for layer in photo.layers]
            made_up = [self._lift(layer, camera, photo.pose, number) for layer in shown]
            for place, each in enumerate(made_up):
                for layer, its_camera in each:
                    self._lift(layer, its_camera, photo.pose, number, first + place)
        self.register_buffer("lift_facts", self.photo.to_tensor())
        views = [
            PhotoView(photo.metadata.camera, photo.pose, (255 * photo.confidence).round().byte())
            for photo in photos
            if photo.confidence is not None
        ]
        for name, value in zip(("view_numbers", "confidences"), views_to_tensors(views), strict=True):
            self.register_buffer(name, value)
        self._scene: LiftedScene | None = None

    def _lift(
        self, layer: RgbdLayer, camera: PinholeCamera, pose: Float[Tensor, "3 4"], view: int, hidden_of: int = SHOWN
    ) -> list[tuple[RgbdLayer, PinholeCamera]]:
        """Place the discs of a layer whose depths are in world units.

        Returns:
            What is made up of it, behind its edges and beyond its frame, and the cameras that would see that.
        """
        surface = (fit_surface if hidden_of == SHOWN else smooth_surface)(layer.depth, sum(camera.focal_length) / 2)
        rim = continue_edges(surface)
        edges = matte(layer.colours.double(), surface, rim)
        discs = place_discs(surface, rim, edges, camera, layer.opacity)
        if layer.origin is not None:
            discs = replace(discs, pixel=layer.origin.flatten()[discs.pixel])
        rotation, place = pose.double().split([3, 1], dim=1)
        means = (discs.means.double() @ rotation.T + place[:, 0]).float()
        inverses = inverse(rotation @ discs.jacobians.double()).float()
        decoder = self._add_layer(means, inverses, discs.pixel, discs.links.neighbours[:, :2])
        self.hidden_of = torch.cat([self.hidden_of, torch.tensor([hidden_of])])
        self.view_of = torch.cat([self.view_of, torch.tensor([view])])
        self._plans.append((discs, layer))
        if hidden_of != SHOWN:
            decoder.make_linear()
        if hidden_of != SHOWN or not self.config.behind_edges:
            return []
        hidden = hidden_layer(layer, surface, rim, edges)
        made_up = [None if hidden is None else (hidden, camera), frame_layer(layer, surface, edges, camera)]
        return [each for each in made_up if each is not None]

    def _add_layer(
        self,
        means: Float[Tensor, "n 3"],
        inverse_jacobians: Float[Tensor, "n 3 3"],
        pixels: Int[Tensor, " n"],
        links: Int[Tensor, "n 2"],
    ) -> Decoder:
        config = self.config
        self.encodings.append(DiscEncoding(config.encoding, means, inverse_jacobians, pixels, links))
        decoder = Decoder(
            config.encoding.feature_dim,
            RGBA_CHANNELS,
            hidden_layers=config.hidden_layers,
            hidden_dim=config.hidden_dim,
            seed=config.seed,
            plain=True,
        )
        self.decoders.append(decoder)
        return decoder

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """Return parameters by what they are; the finish needs no optimiser for them."""
        return {"decoder": list(self.decoders.parameters()), "features": list(self.encodings.parameters())}

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Return the callbacks that run the fit inside nerfstudio's own loop."""
        trainer = training_callback_attributes.trainer
        assert trainer is not None
        self._fit = self.fit_of(cast("FitTrainer", trainer))
        return training_callbacks(self._fit)

    def fit_of(self, trainer: FitTrainer) -> LiftFit:
        """Return a fit of the discs and their decoders to the photo.

        Raises:
            GainerError: If a loaded checkpoint is of another photo, mask or depth.
        """
        if [len(discs) for discs, _ in self._plans] != [len(table) for table in self.encodings.parameters()]:
            raise GainerError(
                "the checkpoint is of another photo, mask or depth than this one; name the same, or leave out "
                "--load-dir"
            )
        plans = []
        for encoding, decoder, (discs, layer) in zip(self.encodings, self.decoders, self._plans, strict=True):
            assert isinstance(encoding, DiscEncoding) and isinstance(decoder, Decoder)
            target = torch.cat([discs.colours, discs.opacity[:, None]], dim=1).to(self.device)
            own = layer.depth.flatten() > 0
            counts = layer.seen.flatten()[discs.pixel]
            counts[int(own.sum()) :] = False  # the rest is the rim
            plans.append(LayerPlan(encoding, decoder, target, counts.to(self.device), layer.origin is not None))
        return LiftFit(plans, self.config, self.photo.bit_depth, trainer, self.changed)

    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        """Render rays: see :meth:`gainer_ns.lifting.scene.LiftedScene.outputs`."""
        assert isinstance(ray_bundle, RayBundle)
        return self.shown().outputs(ray_bundle, self.background())

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: OrientedBox | None = None) -> dict[str, Tensor]:
        """Return what a camera sees; where pixels are smaller than the photo's, each is averaged over its area.

        Args:
            camera: One camera. Rays of one that is no pinhole are followed one by one, and not averaged.
            obb_box: Where given, what lies outside of it is not seen, likewise.
        """
        view = view_of(camera) if obb_box is None else None
        if view is None:
            return super().get_outputs_for_camera(camera, obb_box)
        return self.shown().picture_for(view, self.background())

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return how far rays of the training view are from what they should see; nothing depends on it but the log."""
        opacity = batch["opacity"].to(self.device)
        seen = self.composited(batch["image"].to(self.device), opacity)
        losses = {
            "rgb_loss": (outputs["rgb"] - seen).square().mean(),
            "accumulation_loss": (outputs["accumulation"] - opacity).abs().mean(),
            "depth_loss": self._depth_errors(outputs, batch).mean(),
        }
        # nerfstudio calls backward() on every loss; this empty parameter lets it where nothing else has a gradient.
        return {name: loss + self.device_indicator_param.sum() for name, loss in losses.items()}

    @torch.no_grad()
    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return PSNR of rays of the training view in dB, and the number of Gaussians."""
        target = self.composited(batch["image"].to(self.device), batch["opacity"].to(self.device))
        error = (outputs["rgb"] - target).square().mean()
        count = sum(len(encoding) for encoding in self.encodings)  # pyright: ignore[reportArgumentType]
        return {"psnr": -10 * torch.log10(error.clamp(min=1e-20)), "gaussians": torch.tensor(float(count))}

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Tensor]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Return metrics of the rendered training view, and photo and rendering side by side.

        Only pixels that were lifted count. ``depth_error`` is the median of how far the rendered depth is from the
        photo's, as a share of it.
        """
        named, images = self.compared(outputs, batch)
        errors = self._depth_errors(outputs, batch)
        if len(errors):  # of a photo that is held out no depth is known
            named["depth_error"] = float(errors.median())
        return named, images

    @staticmethod
    def _depth_errors(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> Float[Tensor, " m"]:
        """Return relative errors of rendered distances where the photo's are known."""
        distance = batch["distance"].to(outputs["depth"])
        known = (distance > 0) & (batch["opacity"].to(distance) >= 0.5)
        return (outputs["depth"][known] / distance[known] - 1).abs()

    def fitted(self) -> LiftedScene:
        """Return the photo in space as it is now; kept until the fit goes on."""
        if self._scene is None:
            layers = tuple(
                LiftedLayer(
                    encoding.gaussian_set(),  # pyright: ignore
                    encoding.disc_links(),  # pyright: ignore
                    decoder,  # pyright: ignore
                    encoding.config.sigma,  # pyright: ignore
                    encoding.pixels,  # pyright: ignore
                    hidden_of=None if number == SHOWN else number,
                    view=view,
                )
                for encoding, decoder, number, view in zip(
                    self.encodings, self.decoders, self.hidden_of.tolist(), self.view_of.tolist(), strict=True
                )
            )
            photo, views = self.photo, views_from_tensors(self.view_numbers, self.confidences)
            self._scene = LiftedScene(
                photo.camera, layers, photo.unit, photo.metric, photo.bit_depth, self.profile, views
            )
        return self._scene

    def _check_loaded(self) -> None:
        for layer in self.fitted().layers:
            check_gaussians(layer.gaussians)

    def changed(self) -> None:
        """Forget the rendered scene: to be called whenever a parameter was changed."""
        self._scene = None

    def _take_metadata(self, state_dict: dict[str, Any], prefix: str) -> None:
        self.photo = LiftMetadata.from_tensor(state_dict[f"{prefix}lift_facts"])

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Load a checkpoint of this version; sizes and layers follow the checkpoint."""
        count = sum(name.endswith("features_table") for name in state_dict)
        if count != len(self.encodings):
            self.encodings, self.decoders = nn.ModuleList(), nn.ModuleList()
            for _ in range(count):
                none = torch.zeros(0, dtype=torch.int32)
                self._add_layer(torch.zeros(0, 3), torch.zeros(0, 3, 3), none, none.view(0, 2))
            self.to(self.device)
        for name in ("hidden_of", "view_of", "view_numbers", "confidences"):
            setattr(self, name, torch.empty_like(state_dict[name], device=self.device))
        return super().load_state_dict(state_dict, strict, assign)
