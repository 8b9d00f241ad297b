"""A picture file as a nerfstudio scene: one camera that looks straight at the plane of the picture."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig, DataparserOutputs
from nerfstudio.data.scene_box import SceneBox

from gainer_ns.errors import GainerError
from gainer_ns.frames import CAMERA_DISTANCE, ImagePlane
from gainer_ns.image.image_io import Picture, read_picture

SIDE_VIEW_DEGREES = 25.0
"""How far to the side the second camera stands, that ``ns-render interpolate`` travels to."""


@dataclass
class PictureDataParserConfig(DataParserConfig):
    """How a picture is read."""

    _target: type = field(default_factory=lambda: PictureDataParser)
    data: Path = field(default_factory=Path)
    """The picture file."""
    downscale_factor: int | None = None
    """Reduce the picture by this factor before it is fitted; None or 1 leaves it as it is."""


class PictureDataParser(DataParser):
    """Reads the picture and places a camera before it; train, val and test are the same picture."""

    config: PictureDataParserConfig
    downscale_factor: int | None = None

    def _generate_dataparser_outputs(self, split: str = "train", **_: Any) -> DataparserOutputs:
        if self.config.data == Path():
            raise GainerError("no picture is named; add --data PICTURE")
        picture = read_once(self.config.data, self.config.downscale_factor or 1)
        plane = ImagePlane(picture.width, picture.height)
        poses = torch.stack([plane.camera_to_world(), _side_view()])
        cameras = Cameras(
            camera_to_worlds=poses if split != "train" else poses[:1],
            fx=plane.focal_length,
            fy=plane.focal_length,
            cx=plane.width / 2,
            cy=plane.height / 2,
            width=plane.width,
            height=plane.height,
            camera_type=CameraType.PERSPECTIVE,
        )
        inside = None if picture.alpha is None else torch.from_numpy(picture.alpha > 0)
        if inside is not None and not bool(inside.any()):
            raise GainerError(f"{self.config.data}: every pixel is transparent; choose a picture that shows something")
        return DataparserOutputs(
            image_filenames=[self.config.data],
            cameras=cameras,
            scene_box=SceneBox(torch.tensor([[-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]])),
            metadata={"plane": plane, "inside": inside, "bit_depth": picture.bit_depth, "reader": self.config},
        )


@functools.lru_cache(maxsize=1)
def read_once(path: Path, downscale_factor: int) -> Picture:
    """The picture, decoded once for all splits."""
    return read_picture(path, downscale_factor=downscale_factor)


def _side_view() -> torch.Tensor:
    """A camera at the usual distance that looks at the centre of the picture from the right."""
    angle = math.radians(SIDE_VIEW_DEGREES)
    sine, cosine = math.sin(angle), math.cos(angle)
    rotation = torch.tensor([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
    return torch.cat([rotation, CAMERA_DISTANCE * rotation[:, 2:]], dim=1)
