"""A picture file as a nerfstudio scene: one camera that looks straight at the plane of the picture."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import tyro
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig, DataparserOutputs
from nerfstudio.data.scene_box import SceneBox

from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane, looking_from
from gainer_ns.io.image_io import SourceImage, read_picture
from gainer_ns.io.sources import picture_of

_SIDE_VIEW_DEGREES = 25.0
"""How far to the side the second camera stands, that ``ns-render interpolate`` travels to."""


@dataclass
class PictureDataParserConfig(DataParserConfig):
    """How a picture is read."""

    _target: type = field(default_factory=lambda: PictureDataParser)
    data: Path = field(default_factory=Path)
    """The picture file."""
    downscale_factor: int | None = None
    """Reduce the picture by this factor before it is fitted; None or 1 leaves it as it is."""
    fitted_size: tyro.conf.Suppress[tuple[int, int] | None] = None
    """Width and height in pixels of the picture that was fitted; ns-train notes it."""

    @property
    def factor(self) -> int:
        """The downscale factor; ``ns-render dataset`` may have put a fraction there.

        Raises:
            GainerError: If it is not a whole number.
        """
        factor = 1.0 if self.downscale_factor is None else float(self.downscale_factor)
        if not (factor.is_integer() and factor >= 1):
            raise GainerError(f"downscale factor {factor:g}: pictures are reduced by whole numbers; give 1, 2, 3 ...")
        return int(factor)

    def check_named(self) -> None:
        """Refuse, by a GainerError, to go on without a picture."""
        if self.data == Path():
            raise GainerError("no picture is named; add --data PICTURE")


class PictureDataParser(DataParser):
    """Reads the picture and places a camera before it; train, val and test are the same picture."""

    config: PictureDataParserConfig
    downscale_factor: int | None = None

    def _generate_dataparser_outputs(self, split: str = "train", **_: Any) -> DataparserOutputs:
        self.config.check_named()
        picture = read_cached(self.config.data, self.config.factor)
        # The camera sees the fitted plane, whatever number of pixels it is shown in.
        shown = ImagePlane(picture.width, picture.height)
        fitted = ImagePlane(*self.config.fitted_size) if self.config.fitted_size else shown
        opacity = None if picture.alpha is None else torch.from_numpy(picture.opacity())
        facts = {"opacity": opacity, "bit_depth": picture.bit_depth, "profile": picture.profile}
        return self._outputs(fitted, shown, facts)

    def _outputs(self, fitted: ImagePlane, shown: ImagePlane, facts: dict[str, Any]) -> DataparserOutputs:
        """Return cameras that see a fitted plane in the pixels of the shown one, and what else a model has to know."""
        poses = torch.stack([fitted.camera_to_world(), looking_from(right=_SIDE_VIEW_DEGREES, above=0.0)])
        cameras = Cameras(
            camera_to_worlds=poses,
            fx=fitted.focal_length * shown.width / fitted.width,
            fy=fitted.focal_length * shown.height / fitted.height,
            cx=shown.width / 2,
            cy=shown.height / 2,
            width=shown.width,
            height=shown.height,
            camera_type=CameraType.PERSPECTIVE,
        )
        return DataparserOutputs(
            image_filenames=[self.config.data],
            cameras=cameras,
            scene_box=SceneBox(torch.tensor([[-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]])),
            metadata={"plane": shown, "reader": self.config, **facts},
        )


def read_cached(path: Path, downscale_factor: int) -> SourceImage:
    """Return the picture, decoded once for all splits, and again if the file changes.

    Raises:
        GainerError: If there is none that can be read, or nothing to be seen in it.
    """
    try:
        facts = path.stat()
    except OSError:
        return read_picture(path)  # says what is wrong
    return _read(path, downscale_factor, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(maxsize=1)
def _read(path: Path, downscale_factor: int, *_changes: int) -> SourceImage:
    return picture_of(path, downscale=downscale_factor)
