"""Photos, their masks and their depths as nerfstudio's pipeline wants them: rays, and what they should see."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.utils.dataloaders import RandIndicesEvalDataloader
from torch import Tensor

from gainer_ns.image.datamanager import PictureDataManager, PictureDataManagerConfig, PictureDataset
from gainer_ns.image.terminal import say
from gainer_ns.lifting.camera_paths import write_camera_paths
from gainer_ns.lifting.dataparser import LiftDataParserConfig, LiftSources, options_named
from gainer_ns.lifting.rgbd_photo import RgbdPhoto
from gainer_ns.lifting.scene_dataset import SceneDataset


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
        """Prepare what is lifted, which shows everything that can be wrong with the data, and note its size.

        Returns:
            Width and height in pixels of the photo to lift; of several, as if they lay below each other.

        Raises:
            GainerError: Something that it takes is missing, or does not fit.
        """
        with options_named():
            photo, photos = self._photo_in_midst()
        camera = photo.metadata.camera
        self.dataparser.fitted_size = camera.width, camera.height
        return camera.width, camera.height * photos

    def _photo_in_midst(self) -> tuple[RgbdPhoto, int]:
        """Return the photo, or that in the midst of several, and how many there are."""
        parser = self.noted()
        if not parser.is_scene:
            return parser.photo(), 1
        photos, frame = parser.photos()
        parser.fitted_unit = frame.unit
        return photos[frame.middle], len(photos)

    def write_beside(self, config: Path) -> None:
        """Write camera paths, orbit.json and dolly.json; of several photos say by whose pixels edits go."""
        photo, photos = self._photo_in_midst()
        write_camera_paths(config.parent, photo.metadata.camera)
        say(f"Saved camera paths: {config.parent}/orbit.json and dolly.json")
        if self.dataparser.is_scene:
            name = photo.path.name
            say(f"Edits and simulations select by the pixels of {name}, in the midst of the {photos} photos")


class LiftDataManager(PictureDataManager):
    """Hands out random rays of the photos, which see what they should."""

    config: LiftDataManagerConfig
    train_dataset: LiftDataset | SceneDataset  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self, config: LiftDataManagerConfig, device: torch.device | str = "cpu", test_mode: str = "val", **kwargs: Any
    ) -> None:
        config.noted().is_lifting = test_mode == "val"
        super().__init__(config, device, test_mode, **kwargs)  # pyright: ignore[reportArgumentType]

    @property
    def dataset_type(self) -> type[InputDataset]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Class of the datasets."""
        return SceneDataset if self.config.dataparser.is_scene else LiftDataset

    def setup_train(self) -> None:
        """Line up the pixels that were lifted, and what is known of each."""
        dataset = self.train_dataset
        self._cameras = dataset.cameras.to(self.device)
        shown = [dataset.get_data(number) for number in range(len(dataset) if self.config.dataparser.is_lifting else 0)]
        pixels = [
            torch.nn.functional.pad(one["mask"][..., 0].nonzero(), (1, 0), value=n) for n, one in enumerate(shown)
        ]
        self._masked_pixels = torch.cat([torch.zeros(0, 3, dtype=torch.long), *pixels]).to(self.device)
        self._known = {
            name: torch.cat([one[name][one["mask"][..., 0]] for one in shown]).to(self.device)
            for name in ("image", "opacity", "distance")
            if shown
        }

    def setup_eval(self) -> None:
        """Make the loaders that ns-eval, the viewer and ``ns-render spiral`` ask for."""
        super().setup_eval()
        if self.config.dataparser.is_scene:
            self.eval_dataloader = RandIndicesEvalDataloader(self.eval_dataset, device=self.device)

    def next_train(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        """Return rays through random pixels that were lifted, and what they should see."""
        self.train_count += 1
        return self._rays(step)

    def next_eval(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        """Return the same: photos that are held out are evaluated whole."""
        self.eval_count += 1
        return self._rays(step)

    def _rays(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        count = min(len(self._masked_pixels), self.config.train_num_rays_per_batch)
        chosen = torch.randint(len(self._masked_pixels), (count,), generator=torch.Generator().manual_seed(step))
        chosen = chosen.to(self.device)
        photo, place = self._masked_pixels[chosen].split([1, 2], dim=1)
        rays = self._cameras.generate_rays(camera_indices=photo, coords=place + 0.5)
        return rays, {name: of[chosen] for name, of in self._known.items()}

    def get_train_rays_per_batch(self) -> int:
        """Return number of rays of a step."""
        return min(len(self._masked_pixels), self.config.train_num_rays_per_batch)

    def get_eval_rays_per_batch(self) -> int:
        """Return number of rays of a step."""
        return self.get_train_rays_per_batch()
