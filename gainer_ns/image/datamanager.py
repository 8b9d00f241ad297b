"""The picture as nerfstudio's pipeline wants it: one camera, and all fitted pixels as one batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager, VanillaDataManagerConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.utils.dataloaders import FixedIndicesEvalDataloader, RandIndicesEvalDataloader
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.fitting.picture_fit import fitted_colours, fitted_pixels
from gainer_ns.frames import ImagePlane, looking_from
from gainer_ns.image.dataparser import PictureDataParserConfig, read_cached
from gainer_ns.io.image_io import SourceImage

_SPIRAL_DEGREES = 5.0
"""How far above the middle of the picture ``ns-render spiral`` starts."""


class PictureDataset(InputDataset):
    """The picture, at full depth; nerfstudio's own reader knows neither palettes, 16 bits, nor EXIF.

    Its cameras hold a second pose without a picture, for ``ns-render interpolate`` to travel to.
    """

    @property
    def picture(self) -> SourceImage:
        """The decoded picture."""
        if self.scale_factor != 1.0:
            raise GainerError(
                "--pipeline.datamanager.camera-res-scale-factor does not apply to a picture; "
                "use --pipeline.datamanager.dataparser.downscale-factor"
            )
        return read_cached(self.image_filenames[0], self.metadata["reader"].factor)

    def get_image_float32(self, image_idx: int) -> Float[Tensor, "h w 3"]:
        """Return colours as stored, at full depth, in [0, 1]."""
        return torch.from_numpy(self.picture.colours())

    def get_numpy_image(self, image_idx: int) -> np.ndarray:
        """Return colours as uint8 [h, w, 3]."""
        return np.rint(self.picture.colours() * 255).astype(np.uint8)

    def get_metadata(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return opacity [h, w, 1] and mask [h, w, 1] of the pixels that have any, if the picture has alpha."""
        opacity = self.metadata["opacity"]
        return {} if opacity is None else {"opacity": opacity[..., None], "mask": opacity[..., None] > 0}


class PictureEvalDataloader(RandIndicesEvalDataloader):
    """Hands out the picture with the camera before it, and to ``ns-render spiral`` a camera that it can start from.

    The spiral takes the direction from which its first camera looks, told in the axes of that very camera, for up. For
    a camera that looks straight at the plane this is the direction in which it looks, and the pictures would tumble.
    """

    def __next__(self) -> tuple[Cameras, dict[str, Any]]:
        return super().get_camera(0)

    def get_camera(self, image_idx: int = 0) -> tuple[Cameras, dict[str, Any]]:
        """Return a camera that looks at the middle of the picture from a little above, and the picture."""
        camera, batch = super().get_camera(0)
        camera.camera_to_worlds = looking_from(right=0.0, above=_SPIRAL_DEGREES).to(camera.device)[None]
        return camera, batch


@dataclass
class PictureDataManagerConfig(VanillaDataManagerConfig):
    """Data of the 2D method."""

    _target: type = field(default_factory=lambda: PictureDataManager)
    dataparser: PictureDataParserConfig = field(default_factory=PictureDataParserConfig)
    """How the picture is read."""

    def check(self) -> tuple[int, int]:
        """Look at everything that can be wrong with the data, and note the picture's size.

        Returns:
            Width and height in pixels of the picture to fit.

        Raises:
            GainerError: If the picture cannot be read.
        """
        assert self.data is not None
        picture = read_cached(self.data, self.dataparser.factor)
        self.dataparser.fitted_size = picture.width, picture.height
        return self.dataparser.fitted_size

    def write_beside(self, config: Path) -> None:
        """Write what else belongs into the folder of a run, once its config.yml is there: nothing, for a picture."""


class PictureDataManager(VanillaDataManager[PictureDataset]):
    """Hands out the whole picture each step, as the paper does (section 3.3)."""

    config: PictureDataManagerConfig
    target: Float[Tensor, "m 3"]
    """Colours in [0, 1] of the fitted pixels: all, or those with alpha above 0."""

    def find_pixels(self) -> Int[Tensor, " m"]:
        """Return row-major indices of the fitted pixels; no property, since the viewer asks for the value of each."""
        metadata = self.train_dataset.metadata
        plane: ImagePlane = metadata["plane"]
        return fitted_pixels(plane, metadata["opacity"], self.device)

    def setup_train(self) -> None:
        """Take the fitted pixels out of the picture."""
        picture, opacity = self.train_dataset.picture, self.train_dataset.metadata["opacity"]
        self.target = fitted_colours(torch.from_numpy(picture.colours()).to(self.device), opacity)
        self.camera = self.train_dataset.cameras.to(self.device)[:1]

    def setup_eval(self) -> None:
        """Make the loaders that ns-eval, the viewer and ``ns-render spiral`` ask for."""
        self.fixed_indices_eval_dataloader = FixedIndicesEvalDataloader(self.eval_dataset, device=self.device)
        self.eval_dataloader = PictureEvalDataloader(self.eval_dataset, device=self.device)

    def next_train(self, step: int) -> tuple[Any, dict[str, Any]]:
        """Return the camera before the picture, and the colours of all fitted pixels."""
        self.train_count += 1
        return self.camera, {"image": self.target}

    def next_eval(self, step: int) -> tuple[Any, dict[str, Any]]:
        """Return the same: a picture has nothing else to be evaluated on."""
        self.eval_count += 1
        return self.camera, {"image": self.target}

    def get_train_rays_per_batch(self) -> int:
        """Return the number of fitted pixels."""
        return len(self.target)

    def get_eval_rays_per_batch(self) -> int:
        """Return the number of fitted pixels."""
        return len(self.target)
