"""The 2D method: Gaussians on the picture's plane, and how they are fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn import Parameter

from gainer_ns.encodings.hash_grid import grid_numbers
from gainer_ns.encodings.knn_encoding import GaussianKNNEncoding, KNNEncodingConfig
from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.callbacks import FitPlan, PictureFit
from gainer_ns.fitting.loop import FitTrainer
from gainer_ns.fitting.recipe import GaussianRecipeConfig
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians import placement
from gainer_ns.gaussians.opacity import MARGIN, near_what_shows, opacity_field
from gainer_ns.image.picture_model import PictureModel, PictureModelConfig
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.soundness import check_layer

if TYPE_CHECKING:
    from gainer_ns.image.datamanager import PictureDataManager

UNIT_BOX = torch.tensor([-0.5, -0.5]), 1.0
"""Origin and side of the square that holds any picture's plane, which a hash grid spans."""
SPARSE_ADAM_STEPS = 1000
"""Adam steps below one Gaussian a pixel, unless the user says otherwise."""


@dataclass
class GainerModelConfig(PictureModelConfig, GaussianRecipeConfig):
    """The 2D model and how it is fitted."""

    _target: type = field(default_factory=lambda: GainerModel)
    gaussians_per_pixel: float = 1.0
    """Density of the Gaussians; from 1 on, the picture is reached exactly."""
    num_gaussians: int | None = None
    """Number of Gaussians; overrides the density."""
    placement: Literal["lattice", "uniform", "detail"] = "lattice"
    """Means on a square lattice, drawn uniformly as in the paper, or dense where the picture has detail."""
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
    between_pixels: float = 0.0
    """Share of the Adam steps, from the first on, that fit points drawn anywhere between the pixels, which edits show;
    the rest fits the pixels. Needs learned means. 0 gives the highest PSNR of the pixels, and the worst edits."""
    adam_steps: int | None = None
    """Steps by Adam on the whole picture before the finish; None for none from one Gaussian a pixel on, where the
    finish alone is as good and faster, and 1000 below."""

    def density(self, pixels: int) -> float:
        """Gaussians a pixel in a picture of so many pixels.

        Raises:
            GainerError: If there are none, or no number of them.
        """
        density = self.gaussians_per_pixel if self.num_gaussians is None else self.num_gaussians / pixels
        if not 0 < density < math.inf:
            raise GainerError(f"{density:g} Gaussians a pixel: --pipeline.model.gaussians-per-pixel must be above 0")
        return density

    def planned_adam_steps(self, pixels: int) -> int:
        """Adam steps before the finish, by the user's word or by the density."""
        if self.adam_steps is not None:
            return self.adam_steps
        return 0 if self.density(pixels) >= 1 else SPARSE_ADAM_STEPS

    def model_bytes(self, plane: ImagePlane) -> int:
        """About how large a checkpoint's parameters are."""
        copies = 3 if self.planned_adam_steps(plane.pixels) else 1  # Adam keeps two numbers beside each of the model's
        numbers = int(self.density(plane.pixels) * plane.pixels * (self.feature_dim + 2))
        encoding = self.planned_encoding(plane.pixels)
        if encoding.features == "hash-grid":
            numbers += grid_numbers(encoding.hash_grid, 2)
        return copies * (4 * numbers + self.decoder_bytes(self.feature_dim))

    def planned_encoding(self, pixels: int) -> KNNEncodingConfig:
        """How points read Gaussians at this density."""
        encoding = self.encoding if self.density(pixels) >= 1 else self.sparse_encoding
        return replace(encoding, feature_dim=self.feature_dim)


class GainerModel(PictureModel):
    """GaINeR on a plane (paper, sections 3.2 to 3.4)."""

    config: GainerModelConfig
    checkpoint_version = 2

    def populate_modules(self) -> None:
        """Places the Gaussians and builds encoding and decoder."""
        super().populate_modules()
        config = self.config
        opacity: Tensor | None = self.kwargs["metadata"]["opacity"]
        density = config.density(self.plane.pixels)
        spacing = placement.spacing(self.plane, density)
        moving = config.planned_encoding(self.plane.pixels).means == "learned"
        if moving and config.finish_steps > 0:
            raise GainerError("a Gauss-Newton finish needs means that stay; add --pipeline.model.finish-steps 0")
        if config.between_pixels and not moving:
            raise GainerError("between-pixels is for learned means; fit gainer-compact, or leave it at 0")
        if not 0 <= config.between_pixels <= 1:
            raise GainerError(f"between-pixels {config.between_pixels:g}: choose a share from 0 to 1")
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
            unit_box=UNIT_BOX,
            seed=config.seed,
            opacities=None if opacity is None else opacity_field(opacity).flatten()[self.plane.pixel_at(means)],
        )
        self.decoder = Decoder(
            self.encoding.feature_dim,
            hidden_layers=config.hidden_layers,
            hidden_dim=config.hidden_dim,
            seed=config.seed,
            grey_first=self.encoding.config.slopes > 0,
        )
        self._baked: BakedPicture | None = None

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """Parameters of Adam, by what they are."""
        groups = {"decoder": list(self.decoder.parameters())}
        grid, table = self.encoding.hash_grid, self.encoding.features_table
        groups["features"] = list(grid.parameters()) if grid is not None else [] if table is None else [table]
        groups["covariances"] = [self.encoding.precision_factors]
        if self.encoding.shifts is not None:
            groups["means"] = [self.encoding.shifts]
        if self.encoding.slopes_table is not None:
            groups["slopes"] = [self.encoding.slopes_table]
        return groups

    def fit_of(self, data: PictureDataManager, trainer: FitTrainer) -> PictureFit:
        """A fit of the Gaussians and their decoder."""
        plan = FitPlan(
            plane=self.plane,
            opacity=self.kwargs["metadata"]["opacity"],
            encoding=self.encoding,
            decoder=self.decoder,
            by_detail=self.config.placement == "detail",
            adam_steps=self.adam_steps,
            bit_depth=self.bit_depth,
            recipe=self.config,
            between_pixels=self.config.between_pixels,
        )
        return PictureFit(plan, data.pixels, data.target, trainer, self.changed)

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """PSNR of the fitted pixels in dB, and the number of Gaussians."""
        return super().get_metrics_dict(outputs, batch) | {"gaussians": torch.tensor(float(len(self.encoding)))}

    def fitted(self) -> BakedPicture:
        """The picture as it is now, without optimiser and hash grid; kept until the fit goes on."""
        if self._baked is None:
            gaussians, neighbours = self.encoding.gaussian_set(), self.encoding.config.num_neighbours
            layer = Layer(gaussians, self.decoder, neighbours, self.plane.half_extent)
            self._baked = BakedPicture(self.plane, (layer,), self.bit_depth, self.profile)
        return self._baked

    def _check_loaded(self) -> None:
        check_layer(self.fitted().only_layer)

    def changed(self) -> None:
        """To be called whenever a parameter was changed, so that the next rendering sees it."""
        self._baked = None
