"""A photo with depth, or several posed ones, as a nerfstudio scene: a camera stands before what it saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.scene_box import SceneBox

from gainer_ns.devices import best_device
from gainer_ns.frames import CAMERA_DISTANCE, ImagePlane, PinholeCamera, looking_from
from gainer_ns.image.dataparser import PictureDataParser, PictureDataParserConfig, read_cached
from gainer_ns.io.image_io import SourceImage
from gainer_ns.lifting.metadata import LiftMetadata
from gainer_ns.lifting.posed_photos import SceneFrame, SceneSources, lift_scene
from gainer_ns.lifting.rgbd_layers import MAX_DEPTH_RATIO, BackgroundFill, middle_of, split_into_layers
from gainer_ns.lifting.rgbd_photo import RgbdPhoto, bounds_of
from gainer_ns.lifting.scene_files import EvalMode, is_scene, pinhole_cameras, poses_of, read_scene, views_of
from gainer_ns.preparation.config import PreparationError
from gainer_ns.preparation.focal_length import check_focal_length
from gainer_ns.preparation.preparation import prepare
from gainer_ns.preparation.prepared_folder import folder_for, resolve_source

_SIDE_VIEW_DEGREES = 12.0
"""How far to the side the second camera stands, that ``ns-render interpolate`` travels to."""


@dataclass
class LiftSources(SceneSources):
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
    eval_mode: EvalMode = "fraction"
    """Of several posed photos: which are held out for evaluation, as nerfstudio's own dataparsers take it."""
    eval_interval: int = 8
    """With eval-mode interval: every how many photos one is held out."""
    train_split_fraction: float = 0.9
    """With eval-mode fraction: which share of the photos is trained on."""
    fitted_unit: tyro.conf.Suppress[float | None] = None
    """Length of a world unit in the scene's own; ns-train notes it."""
    is_lifting: tyro.conf.Suppress[bool] = True
    """Whether the photos are lifted, which nothing but ns-train takes."""

    @property
    def is_scene(self) -> bool:
        """Whether several posed photos are named, and not a single one."""
        return is_scene(self.data)

    def outputs_of(self, split: str) -> DataparserOutputs:
        """Return what nerfstudio's dataparsers read of a split of several posed photos.

        Raises:
            GainerError: See :func:`gainer_ns.lifting.scene_files.read_scene`.
        """
        return read_scene(
            self.data,
            split,
            downscale_factor=self.factor,
            eval_mode=self.eval_mode,
            eval_interval=self.eval_interval,
            train_split_fraction=self.train_split_fraction,
        )

    def photos(self) -> tuple[Sequence[RgbdPhoto], SceneFrame]:
        """Prepare the photos of a scene to train on; once for all splits, as long as nothing changes.

        Raises:
            GainerError: A file is missing, does not fit, or photos do not overlap.
        """
        views = views_of(self.outputs_of("train"), self.factor)
        files = [file for view in views for file in (view.path, view.mask, view.depth) if file is not None]
        told = [(view.path, view.camera, view.pose.tolist(), view.distortion) for view in views]
        key = repr((told, self.sources, [(file, file.stat().st_mtime_ns) for file in files]))
        return _kept(key, lambda: lift_scene(views, self.sources))

    def photo(self) -> RgbdPhoto:
        """Prepare the photo; once for all splits, as long as nothing changes.

        Raises:
            GainerError: Something that it takes is missing, or does not fit.
        """
        path, folder = resolve_source(self.data)
        key = repr((path, folder, self.factor, self.sources, _changes(path, folder or folder_for(path), self.sources)))
        return _kept(key, lambda: _read_photo(path, folder, self.factor, self.sources))


class LiftDataParser(PictureDataParser):
    """Places the camera that took the photo; train, val and test are the same photo, if there is only one."""

    config: LiftDataParserConfig

    def _generate_dataparser_outputs(self, split: str = "train", **_: Any) -> DataparserOutputs:
        self.config.check_named()
        if self.config.is_scene:
            return self._scene_outputs(split)
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
            scene_box=SceneBox(bounds_of([lifted])),
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

    def _scene_outputs(self, split: str) -> DataparserOutputs:
        """Return the photos of a split in the world; those to train on are lifted, where somebody trains."""
        config = self.config
        train = config.outputs_of("train")
        if config.is_lifting:
            photos, frame = config.photos()
            photo, profile = photos[frame.middle].metadata, photos[frame.middle].profile
        else:
            photos, profile = (), None  # the checkpoint knows them
            frame = SceneFrame.around(poses_of(train.cameras), config.fitted_unit or 1.0)
            photo = LiftMetadata(pinhole_cameras(train.cameras)[frame.middle], frame.unit, False, 8)
        outputs = train if split == "train" else config.outputs_of(split)
        views = views_of(outputs, config.factor)
        numbers = [[*view.camera.focal_length, *view.camera.centre] for view in views]
        fx, fy, cx, cy = torch.tensor(numbers).T[..., None].unbind()
        cameras = Cameras(
            camera_to_worlds=frame.moved(torch.stack([view.pose for view in views])),
            fx=fx,
            fy=fy,
            cx=cx,
            cy=cy,
            width=torch.tensor([[view.camera.width] for view in views]),
            height=torch.tensor([[view.camera.height] for view in views]),
            camera_type=CameraType.PERSPECTIVE,
        )
        before = torch.eye(4, dtype=torch.float64)
        before[:3] = outputs.dataparser_transform
        return DataparserOutputs(
            image_filenames=[view.path for view in views],
            cameras=cameras,
            scene_box=SceneBox(bounds_of(photos) if photos else torch.tensor([[-1.0] * 3, [1.0] * 3])),
            dataparser_scale=1 / frame.unit,
            dataparser_transform=(frame.transform @ before)[:3].float(),
            metadata={
                "photo": photo,
                "profile": profile,
                "layers": (),
                "photos": tuple(photos),
                "views": views,
                "reader": config,
            },
        )


def _changes(path: Path, folder: Path, sources: LiftSources) -> tuple[int, ...]:
    """Return what differs once a file that is read has changed."""
    named = (path, sources.depth_path, sources.mask_path, *sorted(folder.glob("*")))
    return tuple(file.stat().st_mtime_ns for file in named if file is not None and file.is_file())


_LAST: dict[str, Any] = {}
"""What was prepared last, by all that it was made of."""


def _kept(key: str, made: Callable[[], Any]) -> Any:
    """Return what was prepared last if it was made of the same, or else make it."""
    if key not in _LAST:
        _LAST.clear()
        _LAST[key] = made()
    return _LAST[key]


def _read_photo(path: Path, folder: Path | None, factor: int, sources: LiftSources) -> RgbdPhoto:
    picture = read_cached(path, factor)
    device = best_device()
    prepared = prepare(path, picture, sources, folder=folder, device=device)
    camera = _camera(path, picture, prepared.focal_length, sources)
    unit = middle_of(prepared)
    prepared = replace(prepared, depth=np.minimum(prepared.depth, np.float32(MAX_DEPTH_RATIO * unit)))
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
