"""A photo with depth as a nerfstudio scene: the camera that took it stands before what it saw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.scene_box import SceneBox
from torch import Tensor

from gainer_ns.devices import best_device
from gainer_ns.frames import CAMERA_DISTANCE, ImagePlane, PinholeCamera, looking_from
from gainer_ns.image.dataparser import PictureDataParser, PictureDataParserConfig, read_cached
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.io.image_io import SourceImage
from gainer_ns.lifting.metadata import LiftMetadata
from gainer_ns.lifting.rgbd_layers import BackgroundFill, RgbdLayer, split_into_layers
from gainer_ns.preparation.config import PreparationConfig, PreparationError
from gainer_ns.preparation.focal_length import check_focal_length
from gainer_ns.preparation.preparation import prepare
from gainer_ns.preparation.prepared import Prepared
from gainer_ns.preparation.prepared_folder import folder_for, resolve_source

_MAX_DEPTH_RATIO = 100.0
"""Where everything beyond is lifted to, in distances of the scene's middle: a sky, from there on, stands still."""
_SIDE_VIEW_DEGREES = 12.0
"""How far to the side the second camera stands, that ``ns-render interpolate`` travels to."""


@dataclass
class LiftSources(PreparationConfig):
    """What is lifted, and where what it takes comes from."""

    focal_length_y: float | None = None
    """Focal length along y in pixels of the photo as stored, where its pixels are not square."""
    principal_point: tuple[float, float] | None = None
    """Where the camera's axis meets the photo, in pixels of it as stored; its middle when not given."""
    background: BackgroundFill = "none"
    """With a mask: none lifts the object alone, inpaint also what is behind it, made up where the object hides it."""
    inpaint: str = "telea"
    """What makes up those colours: telea, navier-stokes, a LaMa network's .pt file, or an inpainting model of diffusers
    (a folder or an id)."""


@contextmanager
def options_named() -> Iterator[None]:
    """Name ns-train's options in errors that they would mend."""
    try:
        yield
    except PreparationError as error:
        raise error.with_options("--pipeline.datamanager.") from error


@dataclass
class LiftDataParserConfig(PictureDataParserConfig):
    """How a photo is read and lifted."""

    _target: type = field(default_factory=lambda: LiftDataParser)
    sources: tyro.conf.Suppress[LiftSources] = field(default_factory=LiftSources)
    """The data manager's options, which it notes here."""

    def photo(self) -> RgbdPhoto:
        """Prepare the photo; once for all splits, as long as nothing changes.

        Raises:
            GainerError: Something that it takes is missing, or does not fit.
        """
        path, folder = resolve_source(self.data)
        key = repr((path, folder, self.factor, self.sources, _changes(path, folder or folder_for(path), self.sources)))
        if key not in _LAST:
            _LAST.clear()
            _LAST[key] = _read_photo(path, folder, self.factor, self.sources)
        return _LAST[key]


@dataclass(frozen=True, eq=False)
class RgbdPhoto:
    """A photo, ready to be lifted.

    Attributes:
        path: Its file.
        metadata: Its camera and units.
        layers: What is lifted.
        profile: What its colours mean; None for sRGB.
    """

    path: Path
    metadata: LiftMetadata
    layers: tuple[RgbdLayer, ...]
    profile: ColourProfile | None = None

    @property
    def opacity(self) -> Float[Tensor, "h w"]:
        """How much of each of the photo's pixels was lifted."""
        shown = torch.zeros_like(self.layers[0].depth)
        for layer in self.layers:
            known = (layer.seen & (layer.depth > 0)).to(shown)
            shown = torch.maximum(shown, known if layer.opacity is None else known * layer.opacity)
        return shown

    @property
    def distance(self) -> Float[Tensor, "h w"]:
        """Of what each pixel shows from the camera, in world units; 0 where nothing is."""
        depth = torch.zeros_like(self.layers[0].depth)
        for layer in reversed(self.layers):
            depth = torch.where(layer.seen & (layer.depth > 0), layer.depth, depth)
        camera = self.metadata.camera
        index = torch.arange(camera.width * camera.height)
        pixel = torch.stack([index % camera.width, index // camera.width], dim=-1) + 0.5
        return depth / self.metadata.unit * camera.rays(pixel).norm(dim=-1).view_as(depth)


class LiftDataParser(PictureDataParser):
    """Places the camera that took the photo; train, val and test are the same photo."""

    config: LiftDataParserConfig

    def _generate_dataparser_outputs(self, split: str = "train", **_: Any) -> DataparserOutputs:
        self.config.check_named()
        with options_named():
            lifted = self.config.photo()
        camera, unit = lifted.metadata.camera, lifted.metadata.unit
        poses = [ImagePlane(1, 1).camera_to_world(), looking_from(right=_SIDE_VIEW_DEGREES, above=0.0)]
        cameras = Cameras(
            camera_to_worlds=torch.stack(poses),
            fx=camera.focal_length[0],
            fy=camera.focal_length[1],
            cx=camera.centre[0],
            cy=camera.centre[1],
            width=camera.width,
            height=camera.height,
            camera_type=CameraType.PERSPECTIVE,
        )
        return DataparserOutputs(
            image_filenames=[lifted.path],
            cameras=cameras,
            scene_box=SceneBox(bounds_of(lifted)),
            dataparser_scale=1 / unit,
            dataparser_transform=torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, CAMERA_DISTANCE * unit]]),
            metadata={
                "photo": lifted.metadata,
                "profile": lifted.profile,
                "layers": lifted.layers,
                "opacity": lifted.opacity,
                "distance": lifted.distance,
                "reader": self.config,
            },
        )


def bounds_of(lifted: RgbdPhoto) -> Float[Tensor, "2 3"]:
    """Return a box around everything that is lifted."""
    camera, deepest = lifted.metadata.camera, max(float(layer.depth.max()) for layer in lifted.layers)
    deepest = deepest / lifted.metadata.unit
    corners = torch.tensor([[0.0, 0], [camera.width, 0], [0, camera.height], [camera.width, camera.height]])
    far = camera.rays(corners)[:, :2] * deepest
    side = float(far.abs().max())
    return torch.tensor([[-side, -side, CAMERA_DISTANCE - deepest], [side, side, CAMERA_DISTANCE]])


def _changes(path: Path, folder: Path, sources: LiftSources) -> tuple[int, ...]:
    """Return what differs once a file that is read has changed."""
    named = (path, sources.depth_path, sources.mask_path, *sorted(folder.glob("*")))
    return tuple(file.stat().st_mtime_ns for file in named if file is not None and file.is_file())


_LAST: dict[str, RgbdPhoto] = {}
"""The photo that was prepared last, by all that it was made of."""


def _read_photo(path: Path, folder: Path | None, factor: int, sources: LiftSources) -> RgbdPhoto:
    picture = read_cached(path, factor)
    device = best_device()
    prepared = prepare(path, picture, sources, folder=folder, device=device)
    camera = _camera(path, picture, prepared.focal_length, sources)
    unit = _middle(prepared)
    prepared = replace(prepared, depth=np.minimum(prepared.depth, np.float32(_MAX_DEPTH_RATIO * unit)))
    colours = torch.from_numpy(picture.colours())
    layers = split_into_layers(colours, prepared, background=sources.background, inpaint=sources.inpaint, device=device)
    metadata = LiftMetadata(camera, unit, prepared.units == "metres", picture.bit_depth)
    return RgbdPhoto(path, metadata, layers, picture.profile)


def _camera(path: Path, picture: SourceImage, focal_length: float, sources: LiftSources) -> PinholeCamera:
    """Return the camera of a photo that may have been reduced; what the user says of it is in pixels of the file."""
    camera = PinholeCamera.centred(picture.width, picture.height, focal_length)
    if sources.focal_length_y is None and sources.principal_point is None:
        return camera
    stored = read_cached(path, 1)
    across, down = picture.width / stored.width, picture.height / stored.height
    if sources.focal_length_y is not None:
        check_focal_length(sources.focal_length_y, "focal length along y")
        camera = replace(camera, focal_length=(focal_length, sources.focal_length_y * down))
    if sources.principal_point is not None:
        x, y = sources.principal_point
        camera = replace(camera, centre=(x * across, y * down))
    return camera


def _middle(prepared: Prepared) -> float:
    """Return how far away the middle of what is lifted is: the harmonic mean, on which a sky has little influence."""
    lifted = prepared.depth > 0 if prepared.mask is None else (prepared.depth > 0) & (prepared.mask > 0)
    return float(1 / (1 / prepared.depth[lifted].astype(np.float64)).mean())
