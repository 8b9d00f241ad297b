"""Alpha-blended Gaussians in space, all on the picture's plane: 3D Gaussian splatting of one picture, and MiraGe's way.

gsplat draws them, which takes a GPU. Both are one method with two ways to start and to be flat:

* as 3D Gaussian splatting (Kerbl et al. 2023) has them: round at first, turned and stretched freely in space;
* as MiraGe (Waczynska et al. 2025, section 3) has them where a picture lies in one plane: flat, turned within it only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import grid_sample, normalize

from gainer_bench.baselines.picture_function import PictureFunction, PictureFunctionConfig
from gainer_ns.errors import Unavailable
from gainer_ns.frames import CAMERA_DISTANCE, ImagePlane
from gainer_ns.gaussians.placement import uniform_means

MIN_DEVIATION = 1e-6
"""Deviation across the plane, in plane units, of a flat Gaussian: as good as none."""
FIRST_DEPTH_DEVIATION = 0.01
"""Deviation of the first depths of Gaussians that may leave the plane, in plane units."""

Rasterise = Callable[..., tuple[Tensor, Tensor, dict]]
"""What ``gsplat.rasterization`` is: Gaussians, cameras and a size in; colours [1, h, w, 3], opacities, and more out."""


@dataclass
class FlatGaussiansConfig(PictureFunctionConfig):
    """How many Gaussians, and whether they stay in the plane."""

    _target: type = field(default_factory=lambda: FlatGaussians)
    num_gaussians: int | None = None
    """How many Gaussians; None for gaussians-per-pixel."""
    gaussians_per_pixel: float = 0.18
    """How many for each pixel, unless num-gaussians says; as many as GaussianImage has."""
    flat: bool = False
    """Whether all lie in the picture's plane and are flat, as MiraGe has them, or are free in space, as in 3DGS."""
    first_opacity: float = 0.5
    """Opacity at the start; it is learned. 3DGS begins with 0.1, where Gaussians are added and removed on the way."""
    first_deviation: float = 0.6
    """Standard deviation at the start, in distances of the Gaussians; they start round."""
    orthographic: bool = True
    """Whether the camera sees the plane along parallel rays; otherwise from as far off as the picture's longer side."""
    blur: float = 0.3
    """Variance in squared pixels by which the rasteriser widens each Gaussian, so that none falls between pixels."""

    def check(self) -> None:
        """Look for gsplat, and for its GPU."""
        gsplat_rasteriser()

    def count(self, plane: ImagePlane) -> int:
        """Return how many Gaussians a picture has."""
        return self.num_gaussians or max(1, round(self.gaussians_per_pixel * plane.pixels))

    def numbers(self, plane: ImagePlane) -> int:
        """Return those of all Gaussians."""
        return 9 * self.count(plane)


class FlatGaussians(PictureFunction):
    """Gaussians that a camera in front of the plane sees, blended front to back.

    The rasteriser knows whole pictures only. So at the pixel centres, in the order of the rows, colours are what it
    draws; at other points the picture is drawn and read between its pixel centres, bilinearly. That is honest about
    what the method is: it has colours of pixels, and finer ones only by drawing a larger picture.

    Gaussians are neither added nor removed. Those at one depth, as all flat ones are, are blended in the order in which
    they are stored. Gradients are added atomically, so two fits differ in the last bits.

    Args:
        config: How many Gaussians, and of which kind.
        plane: The picture's plane.
        seed: Seed of where they start.
        rasterise: In place of gsplat's rasteriser, for tests.

    Raises:
        Unavailable: If there is no GPU, or no gsplat.
    """

    config: FlatGaussiansConfig
    at_once = True

    def __init__(
        self, config: FlatGaussiansConfig, plane: ImagePlane, seed: int = 0, rasterise: Rasterise | None = None
    ) -> None:
        super().__init__(config, plane, seed)
        self._rasterise = gsplat_rasteriser() if rasterise is None else rasterise
        count = config.count(plane)
        generator = torch.Generator().manual_seed(seed)
        distance = math.sqrt(plane.pixels / count) * plane.pixel_size
        places = uniform_means(plane, count, seed=seed)
        self.places = Parameter(places if config.flat else self._in_space(places, generator))
        size = math.log(config.first_deviation * distance)
        self.log_scales = Parameter(torch.full((count, 2 if config.flat else 3), size))
        # Flat ones are turned by an angle, given by its cosine and sine; others by a quaternion.
        self.turns = Parameter(normalize(torch.randn(count, 2 if config.flat else 4, generator=generator), dim=1))
        opacity = torch.full((count,), config.first_opacity)
        self.opacity_logits = Parameter(torch.logit(opacity))
        self.colour_logits = Parameter(torch.zeros(count, 3))
        self._pixels: Tensor
        self.register_buffer("_pixels", plane.pixel_centres(torch.arange(plane.pixels)), persistent=False)

    @staticmethod
    def _in_space(places: Float[Tensor, "n 2"], generator: torch.Generator) -> Float[Tensor, "n 3"]:
        depths = FIRST_DEPTH_DEVIATION * torch.randn(len(places), 1, generator=generator)
        return torch.cat([places, depths], dim=1)

    def forward(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
        """Return colours, unclamped; between pixel centres, of the picture that is drawn there."""
        picture, points = self.draw(), points.float()
        if len(points) == len(self._pixels) and torch.equal(points, self._pixels):
            return picture.reshape(-1, 3)
        places = self.unit_square(points) * points.new_tensor([1.0, -1.0])  # grid_sample's y points down
        read = grid_sample(
            picture.permute(2, 0, 1)[None], places[None, None], padding_mode="border", align_corners=False
        )
        return read[0, :, 0].T

    def draw(self) -> Float[Tensor, "h w 3"]:
        """Return the picture, pixel by pixel, on black."""
        view, intrinsics = camera(self.plane, orthographic=self.config.orthographic)
        colours, _, _ = self._rasterise(
            means=self.means_in_space,
            quats=self.quaternions,
            scales=self.scales,
            opacities=torch.sigmoid(self.opacity_logits),
            colors=torch.sigmoid(self.colour_logits),
            viewmats=view[None].to(self.places),
            Ks=intrinsics[None].to(self.places),
            width=self.plane.width,
            height=self.plane.height,
            eps2d=self.config.blur,
            camera_model="ortho" if self.config.orthographic else "pinhole",
        )
        return colours[0]

    @torch.no_grad()
    def begin(self, target: Float[Tensor, "h w 3"]) -> None:
        """Start with the picture's colours where the Gaussians are."""
        pixel = self.plane.pixel_at(self.places[:, :2].cpu()).to(target.device)
        self.colour_logits.copy_(torch.logit(target.reshape(-1, 3)[pixel].clamp(0.02, 0.98)))

    def param_groups(self) -> dict[str, list[Parameter]]:
        """Return four groups, as 3DGS has them but for turns and scales, which share one."""
        return {
            "means": [self.places],
            "covariances": [self.log_scales, self.turns],
            "opacities": [self.opacity_logits],
            "colours": [self.colour_logits],
        }

    @property
    def means_in_space(self) -> Float[Tensor, "n 3"]:
        """Return means in world units; flat ones lie at z = 0."""
        return torch.nn.functional.pad(self.places, (0, 3 - self.places.shape[1]))

    @property
    def scales(self) -> Float[Tensor, "n 3"]:
        """Return standard deviations along each Gaussian's own axes, in world units."""
        scales = self.log_scales.exp()
        return torch.nn.functional.pad(scales, (0, 3 - scales.shape[1]), value=MIN_DEVIATION)

    @property
    def quaternions(self) -> Float[Tensor, "n 4"]:
        """Return how each Gaussian is turned: w, x, y, z. Flat ones turn about z, by the doubled angle of ``turns``."""
        turns = normalize(self.turns, dim=1)
        if not self.config.flat:
            return turns
        nothing = torch.zeros_like(turns[:, :1])
        return torch.cat([turns[:, :1], nothing, nothing, turns[:, 1:]], dim=1)


def gsplat_rasteriser() -> Rasterise:
    """Return the rasteriser of gsplat, which compiles it the first time.

    Raises:
        Unavailable: If there is no GPU (then gsplat, which might compile for minutes, is not imported at all), or if
            gsplat is missing or cannot be compiled.
    """
    if not torch.cuda.is_available():
        raise Unavailable("flat Gaussians are drawn by gsplat, which needs an NVIDIA GPU; fit gaussian-image instead")
    try:
        from gsplat import rasterization  # pyright: ignore[reportMissingImports]
        from gsplat.cuda._backend import _C  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]
    except ImportError as error:
        raise Unavailable("flat Gaussians are drawn by gsplat, which is missing; pip install gsplat==1.4.0") from error
    if _C is None:  # gsplat only prints a line
        raise Unavailable("flat Gaussians are drawn by gsplat, which finds no CUDA compiler; install nvcc")
    return rasterization


def camera(plane: ImagePlane, *, orthographic: bool) -> tuple[Float[Tensor, "4 4"], Float[Tensor, "3 3"]]:
    """Return the camera that frames the picture, as gsplat takes it: x right, y down, looking along z.

    Returns:
        From the world to the camera; and from there to pixels, which for parallel rays leaves out the depth.
    """
    view = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    view[2, 3] = CAMERA_DISTANCE
    focal = 1 / plane.pixel_size if orthographic else plane.focal_length
    intrinsics = torch.tensor([[focal, 0.0, plane.width / 2], [0.0, focal, plane.height / 2], [0.0, 0.0, 1.0]])
    return view, intrinsics
