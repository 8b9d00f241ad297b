"""The 2D method: Gaussians on the picture's plane, fitted, and drawn for any camera."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes
from nerfstudio.model_components import renderers
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import smooth_l1_loss

from gainer_ns.encodings.knn_encoding import GaussianKNNEncoding, KNNEncodingConfig
from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.callbacks import FitPlan, PictureFit
from gainer_ns.fitting.fitted_model import FittedModel
from gainer_ns.fitting.recipe import RecipeConfig
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians import placement
from gainer_ns.gaussians.opacity import MARGIN, near_what_shows, opacity_field
from gainer_ns.image.cameras import samples_per_pixel, seen_along, seen_by
from gainer_ns.rendering.layer import Drawn, Layer
from gainer_ns.rendering.plane import BLOCK_POINTS, BakedPicture
from gainer_ns.rendering.raster import RasterGrid

if TYPE_CHECKING:
    from gainer_ns.image.datamanager import PictureDataManager

SPARSE_ADAM_STEPS = 1000
"""Adam steps below one Gaussian a pixel, unless the user says otherwise."""


@dataclass
class GainerModelConfig(RecipeConfig):
    """The 2D model and how it is fitted."""

    _target: type = field(default_factory=lambda: GainerModel)
    eval_num_rays_per_chunk: int = BLOCK_POINTS
    """Rays drawn at once where nerfstudio cuts them into chunks."""
    gaussians_per_pixel: float = 1.0
    """Density of the Gaussians; from 1 on, the picture is reached exactly."""
    num_gaussians: int | None = None
    """Number of Gaussians; overrides the density."""
    placement: Literal["lattice", "uniform"] = "lattice"
    """Means on a square lattice, or drawn uniformly as in the paper."""
    jitter: float = 0.0
    """Largest random displacement of a lattice mean, in spacings; 0 interpolates best between pixels."""
    feature_dim: int = 8
    """Length of a Gaussian's feature (a hash grid has its own)."""
    encoding: KNNEncodingConfig = field(default_factory=KNNEncodingConfig)
    """How points read Gaussians, from one Gaussian a pixel on."""
    sparse_encoding: KNNEncodingConfig = field(
        default_factory=lambda: KNNEncodingConfig(num_neighbours=9, covariances="full")
    )
    """How points read Gaussians below one a pixel."""
    loss: Literal["l1", "mse", "smooth-l1"] = "mse"
    """Loss of the Adam steps; the finish minimises the squared error."""
    adam_steps: int | None = None
    """Steps by Adam on the whole picture before the finish; None for none from one Gaussian a pixel on, where the
    finish alone is as good and faster, and 1000 below."""

    def density(self, pixels: int) -> float:
        """Gaussians a pixel in a picture of so many pixels."""
        return self.gaussians_per_pixel if self.num_gaussians is None else self.num_gaussians / pixels

    def planned_adam_steps(self, pixels: int) -> int:
        """Adam steps before the finish, by the user's word or by the density."""
        if self.adam_steps is not None:
            return self.adam_steps
        return 0 if self.density(pixels) >= 1 else SPARSE_ADAM_STEPS

    def model_bytes(self, pixels: int) -> int:
        """About how large a checkpoint's Gaussians are."""
        copies = 3 if self.planned_adam_steps(pixels) else 1  # Adam keeps two numbers beside each of the model's
        return int(self.density(pixels) * pixels * 4 * (self.feature_dim + 2) * copies)

    def planned_encoding(self, pixels: int) -> KNNEncodingConfig:
        """How points read Gaussians at this density."""
        encoding = self.encoding if self.density(pixels) >= 1 else self.sparse_encoding
        return replace(encoding, feature_dim=self.feature_dim)


class PictureFacts(NamedTuple):
    """What a checkpoint knows of its picture, so that it can be drawn when the file is gone."""

    width: int
    height: int
    bit_depth: int
    has_alpha: int

    def metadata(self) -> dict[str, Any]:
        """What :class:`GainerModel` is made from; a loaded checkpoint brings the Gaussians."""
        opacity = torch.ones(self.height, self.width) if self.has_alpha else None
        return {"plane": ImagePlane(self.width, self.height), "opacity": opacity, "bit_depth": self.bit_depth}


class GainerModel(FittedModel):
    """GaINeR on a plane (paper, sections 3.2 to 3.4)."""

    config: GainerModelConfig
    checkpoint_version = 2

    def populate_modules(self) -> None:
        """Places the Gaussians and builds encoding and decoder."""
        super().populate_modules()
        config, metadata = self.config, self.kwargs["metadata"]
        self.plane: ImagePlane = metadata["plane"]
        self.bit_depth: int = metadata["bit_depth"]
        opacity: Tensor | None = metadata["opacity"]
        self.has_alpha = opacity is not None
        density = config.density(self.plane.pixels)
        if density <= 0:
            raise GainerError(f"{density:g} Gaussians a pixel: --pipeline.model.gaussians-per-pixel must be above 0")
        spacing = placement.spacing(self.plane, density)
        self.adam_steps = config.planned_adam_steps(self.plane.pixels)
        inside = None
        if opacity is not None:
            inside = near_what_shows(opacity, MARGIN * max(1.0, spacing / self.plane.pixel_size))
        if config.placement == "lattice":
            means = placement.lattice(self.plane, density, jitter=config.jitter, inside=inside, seed=config.seed)
        else:
            pixels = self.plane.pixels if inside is None else int(inside.sum())
            means = placement.uniform(self.plane, round(density * pixels), inside=inside, seed=config.seed)
        if len(means) == 0:
            raise GainerError(
                f"{density:g} Gaussians a pixel leave none in this picture; raise --pipeline.model.gaussians-per-pixel"
            )
        self.encoding = GaussianKNNEncoding(
            config.planned_encoding(self.plane.pixels),
            means,
            spacing,
            unit_box=(torch.tensor([-0.5, -0.5]), 1.0),
            seed=config.seed,
            opacities=None if opacity is None else opacity_field(opacity).flatten()[self.plane.pixel_at(means)],
        )
        self.decoder = Decoder(
            self.encoding.feature_dim,
            hidden_layers=config.hidden_layers,
            hidden_dim=config.hidden_dim,
            seed=config.seed,
        )
        picture = PictureFacts(self.plane.width, self.plane.height, self.bit_depth, int(self.has_alpha))
        self.register_buffer("picture_facts", torch.tensor(picture))
        self._baked: BakedPicture | None = None
        self._fit: PictureFit | None = None  # set by the training callbacks; not part of the model

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """Parameters of Adam, by what they are."""
        groups = {"decoder": list(self.decoder.parameters())}
        grid, table = self.encoding.hash_grid, self.encoding.features_table
        groups["features"] = list(grid.parameters()) if grid is not None else [] if table is None else [table]
        groups["covariances"] = [self.encoding.precision_factors]
        return groups

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """The callbacks that run the fit inside nerfstudio's own loop."""
        plane: ImagePlane = self.kwargs["metadata"]["plane"]
        if plane != self.plane:
            raise GainerError(
                f"the checkpoint is of a picture of {self.plane.width} x {self.plane.height} pixels, this one has "
                f"{plane.width} x {plane.height}; name the same picture, or leave out --load-dir"
            )
        trainer, pipeline = training_callback_attributes.trainer, training_callback_attributes.pipeline
        assert trainer is not None and pipeline is not None
        data = cast("PictureDataManager", pipeline.datamanager)
        plan = FitPlan(
            plane=self.plane,
            opacity=self.kwargs["metadata"]["opacity"],
            encoding=self.encoding,
            decoder=self.decoder,
            adam_steps=self.adam_steps,
            finish_steps=self.config.finish_steps,
            target_psnr=self.config.target_psnr,
            bit_depth=self.bit_depth,
            finish=self.config.finish,
        )
        self._fit = PictureFit(plan, data.pixels, data.target, trainer, self.changed)
        return self._fit.callbacks()

    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        """Colours of the fitted pixels (given a camera during a fit), or of any rays.

        Rays give rgb [m, 3], accumulation [m, 1], and depth [m, 1]: the distance along the ray, in plane units.
        """
        if isinstance(ray_bundle, Cameras):
            return self.get_outputs_for_camera(ray_bundle) if self._fit is None else {"rgb": self._fit.colours()}
        seen = seen_along(ray_bundle.origins.view(-1, 3), ray_bundle.directions.view(-1, 3))
        return self._outputs(self.fitted().at(seen.points), seen.distance)

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: OrientedBox | None = None) -> dict[str, Tensor]:
        """What a camera sees of the plane; where it shrinks the picture, each pixel is averaged over its area.

        Where it sees nothing, the depth is that of the farthest thing it does see.

        Args:
            camera: One camera.
            obb_box: Where given, what lies outside of it is transparent.
        """
        camera = camera.flatten().to(self.device)
        height, width = int(camera.height[0, 0]), int(camera.width[0, 0])
        picture = self.shown()
        draft = self.panel is not None and self.panel.wants_drafts()
        samples = 1 if draft else samples_per_pixel(camera, self.plane)
        grid = RasterGrid((0.0, 0.0, float(width), float(height)), width, height, (samples, samples))
        blocks: list[dict[str, Tensor]] = []
        for pixels in torch.arange(grid.pixels, device=self.device).split(max(1, BLOCK_POINTS // samples**2)):
            x, y = grid.points(pixels, range(samples)).view(-1, 2).unbind(dim=-1)
            seen = seen_by(camera, x, y, within=obb_box)
            depth = seen.distance.view(-1, samples**2).mean(dim=1, keepdim=True)
            blocks.append(self._outputs(picture.at(seen.points).averaged(samples**2), depth))
        outputs = {name: torch.cat([block[name] for block in blocks]).view(height, width, -1) for name in blocks[0]}
        depth, visible = outputs["depth"], outputs["accumulation"] > 0
        if bool(visible.any()):
            outputs["depth"] = torch.where(visible, depth, depth[visible].max())
        return outputs

    def _outputs(self, drawn: Drawn, depth: Float[Tensor, "m 1"]) -> dict[str, Tensor]:
        cropped = renderers.BACKGROUND_COLOR_OVERRIDE  # what the viewer, and a cropped camera path, put there
        background = drawn.rgb.new_tensor(self.config.background) if cropped is None else cropped.to(drawn.rgb)
        rgb = drawn.rgb.clamp(0, 1) * drawn.alpha + background * (1 - drawn.alpha)
        return {"rgb": rgb, "accumulation": drawn.alpha, "depth": depth}

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The loss of the fitted pixels; in the finish nothing depends on it but the log."""
        rgb, target = outputs["rgb"], batch["image"].to(self.device)
        if self.config.loss == "mse":
            loss = torch.nn.functional.mse_loss(rgb, target)
        elif self.config.loss == "l1":
            loss = torch.nn.functional.l1_loss(rgb, target)
        else:
            loss = smooth_l1_loss(rgb, target)
        if not bool(loss.isfinite()):
            raise GainerError(
                "the loss is not a number any more; lower the learning rates (--optimizers.features.optimizer.lr and "
                "the like) and go on from the last checkpoint with --load-dir"
            )
        # nerfstudio calls backward() on every loss; this empty parameter lets it where nothing else has a gradient.
        return {"rgb_loss": loss + self.device_indicator_param.sum()}

    @torch.no_grad()
    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """PSNR of the fitted pixels in dB, and the number of Gaussians."""
        error = (outputs["rgb"].detach() - batch["image"].to(self.device)).square().mean()
        return {"psnr": -10 * torch.log10(error.clamp(min=1e-20)), "gaussians": torch.tensor(float(len(self.encoding)))}

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Tensor]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Metrics of the rendered picture, and source and rendering side by side."""
        from gainer_ns.evaluation.metrics import compare

        target, rgb = batch["image"].cpu(), outputs["rgb"].cpu()
        mask = batch["mask"].cpu() if "mask" in batch else None
        if mask is not None:
            opacity = batch["opacity"].cpu()
            target = target * opacity + target.new_tensor(self.config.background) * (1 - opacity)
        metrics = compare(rgb, target, None if mask is None else mask[..., 0].numpy())
        named = {name: float(value) for name, value in metrics._asdict().items() if value is not None}
        return named, {"img": torch.cat([target, rgb], dim=1), "accumulation": outputs["accumulation"].cpu()}

    def fitted(self) -> BakedPicture:
        """The picture as it is now, without optimiser and hash grid; kept until the fit goes on."""
        if self._baked is None:
            gaussians, neighbours = self.encoding.gaussian_set(), self.encoding.config.num_neighbours
            layer = Layer(gaussians, self.decoder, neighbours, self.plane.half_extent)
            self._baked = BakedPicture(self.plane, (layer,), self.bit_depth)
        return self._baked

    def changed(self) -> None:
        """To be called whenever a parameter was changed, so that the next rendering sees it."""
        self._baked = None

    def _take_facts(self, state_dict: dict[str, Any], prefix: str) -> None:
        width, height, self.bit_depth, has_alpha = state_dict[f"{prefix}picture_facts"].tolist()
        self.plane, self.has_alpha = ImagePlane(width, height), bool(has_alpha)
