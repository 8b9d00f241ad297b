"""The photo, its mask and its depth as nerfstudio's pipeline wants them: rays of the one view that there is."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from gainer_ns.image.datamanager import PictureDataManager, PictureDataManagerConfig, PictureDataset
from gainer_ns.image.terminal import say
from gainer_ns.lifting.camera_paths import write_camera_paths
from gainer_ns.lifting.dataparser import LiftDataParserConfig, LiftSources, options_named


class LiftDataset(PictureDataset):
    """The photo, with what is known of its depth."""

    def get_metadata(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return opacity and distance along the ray [h, w, 1], and a mask [h, w, 1] of the pixels that were lifted."""
        opacity, distance = self.metadata["opacity"][..., None], self.metadata["distance"][..., None]
        return {"opacity": opacity, "distance": distance, "mask": opacity > 0}


@dataclass
class LiftDataManagerConfig(LiftSources, PictureDataManagerConfig):
    """Data of the 3D method."""

    _target: type = field(default_factory=lambda: LiftDataManager)
    dataparser: LiftDataParserConfig = field(default_factory=LiftDataParserConfig)
    """How the photo is read."""
    train_num_rays_per_batch: int = 4096
    """Rays of the training view on which each step is measured."""

    def noted(self) -> LiftDataParserConfig:
        """Note these options in the parser's configuration, and return that."""
        self.dataparser.sources = LiftSources(**{each.name: getattr(self, each.name) for each in fields(LiftSources)})
        if self.data is not None:
            self.dataparser.data = self.data
        return self.dataparser

    def check(self) -> tuple[int, int]:
        """Prepare the photo, which shows everything that can be wrong with the data, and notes its size.

        Returns:
            Width and height in pixels of the photo to lift.

        Raises:
            GainerError: Something that it takes is missing, or does not fit.
        """
        with options_named():
            camera = self.noted().photo().metadata.camera
        self.dataparser.fitted_size = camera.width, camera.height
        return self.dataparser.fitted_size

    def write_beside(self, config: Path) -> None:
        """Write camera paths for ``ns-render camera-path``: orbit.json and dolly.json."""
        write_camera_paths(config.parent, self.noted().photo().metadata.camera)
        say(f"Saved camera paths: {config.parent}/orbit.json and dolly.json")


class LiftDataManager(PictureDataManager):
    """Hands out random rays of the photo, which see what they should."""

    config: LiftDataManagerConfig
    train_dataset: LiftDataset
    dataset_type = LiftDataset  # pyright: ignore[reportAssignmentType]

    def __init__(self, config: LiftDataManagerConfig, *args: Any, **kwargs: Any) -> None:
        config.noted()
        super().__init__(config, *args, **kwargs)

    def setup_train(self) -> None:
        """Line up the pixels that were lifted, and what is known of each."""
        data = self.train_dataset.get_metadata({})
        self._masked_pixels = data["mask"].flatten().nonzero()[:, 0].to(self.device)
        colours = torch.from_numpy(self.train_dataset.picture.colours()).view(-1, 3)
        self.target = colours.to(self.device)
        self._known = {name: data[name].view(-1, 1).to(self.device) for name in ("opacity", "distance")}
        self.camera = self.train_dataset.cameras.to(self.device)[:1]

    def next_train(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        """Return rays through random pixels that were lifted, and what they should see."""
        self.train_count += 1
        return self._rays(step)

    def next_eval(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        """Return the same: there is no other view to be evaluated on."""
        self.eval_count += 1
        return self._rays(step)

    def _rays(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        count = min(len(self._masked_pixels), self.config.train_num_rays_per_batch)
        chosen = torch.randint(len(self._masked_pixels), (count,), generator=torch.Generator().manual_seed(step))
        pixels = self._masked_pixels[chosen.to(self.device)]
        width = int(self.camera.width[0, 0])
        coords = torch.stack([pixels // width, pixels % width], dim=-1) + 0.5
        rays = self.camera.generate_rays(camera_indices=0, coords=coords)
        return rays, {"image": self.target[pixels], **{name: of[pixels] for name, of in self._known.items()}}

    def get_train_rays_per_batch(self) -> int:
        """Return number of rays of a step."""
        return min(len(self._masked_pixels), self.config.train_num_rays_per_batch)

    def get_eval_rays_per_batch(self) -> int:
        """Return number of rays of a step."""
        return self.get_train_rays_per_batch()
