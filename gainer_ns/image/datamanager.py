"""The picture as nerfstudio's pipeline wants it: one camera, and all fitted pixels as one batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager, VanillaDataManagerConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.utils.dataloaders import FixedIndicesEvalDataloader, RandIndicesEvalDataloader
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.image.dataparser import PictureDataParserConfig, read_once
from gainer_ns.image.image_io import Picture


class PictureDataset(InputDataset):
    """The picture, at full depth; nerfstudio's own reader knows neither palettes, 16 bits, nor EXIF.

    The eval split's cameras hold a second pose without a picture, for ``ns-render interpolate`` to travel to.
    """

    @property
    def picture(self) -> Picture:
        """The decoded picture."""
        if self.scale_factor != 1.0:
            raise GainerError(
                "--pipeline.datamanager.camera-res-scale-factor does not apply to a picture; "
                "use --pipeline.datamanager.dataparser.downscale-factor"
            )
        parser = self.metadata["reader"]
        return read_once(parser.data, parser.factor)

    def get_data(self, image_idx: int, image_type: str = "float32") -> dict[str, Any]:
        """The picture as nerfstudio evaluates it: colours [h, w, 3], and a mask [h, w, 1] where it has alpha."""
        colours = torch.from_numpy(self.picture.colours())
        if image_type == "uint8":
            colours = (colours * 255).round().to(torch.uint8)
        data: dict[str, Any] = {"image_idx": image_idx, "image": colours}
        if self.metadata["inside"] is not None:
            data["mask"] = self.metadata["inside"][..., None]
        return data


@dataclass
class PictureDataManagerConfig(VanillaDataManagerConfig):
    """Data of the 2D method."""

    _target: type = field(default_factory=lambda: PictureDataManager)
    dataparser: PictureDataParserConfig = field(default_factory=PictureDataParserConfig)
    """How the picture is read."""


class PictureDataManager(VanillaDataManager[PictureDataset]):
    """Hands out the whole picture each step, as the paper does (section 3.3)."""

    config: PictureDataManagerConfig
    pixels: Int[Tensor, " m"]
    """Row-major indices of the fitted pixels: all, or those with alpha above 0."""
    target: Float[Tensor, "m 3"]
    """Their colours in [0, 1]."""

    def setup_train(self) -> None:
        """Takes the fitted pixels out of the picture."""
        picture, inside = self.train_dataset.picture, self.train_dataset.metadata["inside"]
        target = torch.from_numpy(picture.colours()).view(-1, 3)
        if inside is None:
            self.pixels = torch.arange(len(target), device=self.device)
        else:
            self.pixels = inside.flatten().nonzero()[:, 0].to(self.device)
            target = target[inside.flatten()]
        self.target = target.to(self.device)
        self.camera = self.train_dataset.cameras.to(self.device)[:1]

    def setup_eval(self) -> None:
        """Makes the loaders that ns-eval, the viewer and ``ns-render spiral`` ask for."""
        loaders = {"input_dataset": self.eval_dataset, "device": self.device}
        self.fixed_indices_eval_dataloader = FixedIndicesEvalDataloader(**loaders)
        self.eval_dataloader = RandIndicesEvalDataloader(**loaders)

    def next_train(self, step: int) -> tuple[Any, dict[str, Any]]:
        """The camera before the picture, and the colours of all fitted pixels."""
        self.train_count += 1
        return self.camera, {"image": self.target}

    def next_eval(self, step: int) -> tuple[Any, dict[str, Any]]:
        """The same: a picture has nothing else to be evaluated on."""
        self.eval_count += 1
        return self.camera, {"image": self.target}

    def get_train_rays_per_batch(self) -> int:
        """Number of fitted pixels."""
        return len(self.target)

    def get_eval_rays_per_batch(self) -> int:
        """Number of fitted pixels."""
        return len(self.target)
