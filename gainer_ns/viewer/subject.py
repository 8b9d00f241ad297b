"""What the panel edits, a flat picture or a lifted photo, by the same calls: see :data:`Subject`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from gainer_ns.editing.backdrops import BackgroundPlate
from gainer_ns.editing.lifted_piece import SHOWN_OPACITY
from gainer_ns.editing.lifted_stage import LiftedStage
from gainer_ns.editing.script import Edit, Script, read_script
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.shots import Camera, SceneView
from gainer_ns.editing.stage import Stage, rest_pictures
from gainer_ns.frames import CAMERA_DISTANCE, PinholeCamera, plane_hits
from gainer_ns.image.loading import load_baked
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import CameraView
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import RasterSource
from gainer_ns.viewer.backing import Backing

PixelPoint = tuple[float, float]
"""x and y in pixels of the picture."""
AnyPicture = BakedPicture | LiftedScene
AnyStage = Stage | LiftedStage
MAX_DRAFT_NODES, MAX_PAGE_NODES = 1 << 14, 1 << 17
"""How many nodes tell where the points of a piece go while a hand moves it, and at rest: a page shows no more of it."""


class Made(NamedTuple):
    """A picture for pages.

    Attributes:
        picture: The picture.
        is_rough: Whether there is a finer one, which takes longer.
    """

    picture: AnyPicture
    is_rough: bool


class FlatSubject:
    """A picture on its plane, as the panel edits it.

    Attributes:
        is_deep: Whether it is edited in space.
        fitted: The picture.
    """

    is_deep = False

    def __init__(self, picture: BakedPicture) -> None:
        self.fitted = picture
        self._rests = rest_pictures(picture)
        self._backing = Backing()

    @property
    def lens(self) -> PinholeCamera:
        """The camera that shows the picture pixel by pixel, from ``CAMERA_DISTANCE``."""
        plane = self.fitted.plane
        return PinholeCamera.centred(plane.width, plane.height, plane.focal_length)

    def empty(self) -> Script:
        """Return a script that does nothing yet."""
        return Script.model_construct(edits=())

    def edit(self, select: Selection, words: Mapping[str, Any]) -> Edit:
        """Return an edit by the words of its operations; raise pydantic's ValidationError where they are wrong."""
        return Edit.model_validate({"select": select, **words})

    def read(self, path: Path, *, enclosed: bool = False) -> Script:
        """Read and check a script, which may be told to name files of its folder only; raise GainerError."""
        return read_script(path, self.fitted.plane.width, self.fitted.plane.height, enclosed=enclosed)

    def staged(self, script: Script) -> Stage:
        """Make a script ready; raise GainerError where it does not fit."""
        layers = {name: load_baked(layer.picture) for name, layer in script.layers.items()}
        return Stage(script, self.fitted, layers, self._rests)

    def camera(self, script: Script, stage: AnyStage) -> Camera:
        """Return what ``gainer edit`` draws pictures of a script with."""
        assert isinstance(stage, Stage)
        return Camera(BackgroundPlate.of(script.background, self.fitted, stage.hole), crop=stage.canvas)

    def at(self, script: Script, stage: AnyStage, time: float, *, is_draft: bool = False) -> Made:
        """Make what the page shows of a script, made ready, at a time; over its background.

        Args:
            script: The script.
            stage: Of the script.
            time: From 0 to 1.
            is_draft: Whether a hand is waiting for it.
        """
        assert isinstance(stage, Stage)
        shown = stage.at(time, MAX_DRAFT_NODES if is_draft else MAX_PAGE_NODES)
        return Made(self._backing.under(shown, script, stage), is_draft and stage.is_rough)

    def filmed(self, shown: AnyPicture) -> RasterSource:
        """Return what ``gainer edit`` draws a picture from."""
        assert isinstance(shown, BakedPicture)
        return shown

    def on_ray(self, origin: Float[Tensor, "3"], direction: Float[Tensor, "3"]) -> PixelPoint | None:
        """Return the pixel at which a ray in the world meets the plane, in the frame or not; None if it misses."""
        hit, distance = plane_hits(origin, direction)
        if not bool(distance.isfinite()):
            return None
        x, y = self.fitted.plane.pixel_from_plane(hit).tolist()
        return x, y

    def in_world(self, places: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
        """Return the points of the world that pixel points are shown at."""
        return torch.nn.functional.pad(self.fitted.plane.plane_from_pixel(places), (0, 1))

    def visible(self) -> Bool[Tensor, "h w"]:
        """Return which pixels show something."""
        plane = self.fitted.plane
        if not self.fitted.has_alpha:
            return torch.ones(plane.height, plane.width, dtype=torch.bool)
        return (self.fitted.raster()[1][..., 0] > SHOWN_OPACITY).cpu()

    def centres(self) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 3"]]:
        """Return the visible Gaussians: the pixel points by which they are selected, and their centres in the world."""
        sets = [layer.gaussians for layer in self.fitted.layers]
        shown = [slice(None) if one.opacities is None else one.opacities > SHOWN_OPACITY for one in sets]
        means = torch.cat([one.means[which].detach().cpu() for one, which in zip(sets, shown, strict=True)])
        return self.fitted.plane.pixel_from_plane(means), torch.nn.functional.pad(means, (0, 1))


class LiftedSubject:
    """A photo in space; see :class:`FlatSubject`."""

    is_deep = True

    def __init__(self, scene: LiftedScene) -> None:
        self.fitted = scene

    @property
    def lens(self) -> PinholeCamera:
        """The camera that took the photo."""
        return self.fitted.camera

    def empty(self) -> Script:
        """Return a script that does nothing yet."""
        return Script.model_construct(edits=())

    def edit(self, select: Selection, words: Mapping[str, Any]) -> Edit:
        """Return an edit by the words of its operations; raise pydantic's ValidationError where they are wrong."""
        return Edit.model_validate({"select": select, **words})

    def read(self, path: Path, *, enclosed: bool = False) -> Script:
        """Read and check a script; see :meth:`FlatSubject.read`."""
        plane = self.fitted.plane
        layers = len(self.fitted.own_layers)
        return read_script(path, plane.width, plane.height, lifted_layers=layers, enclosed=enclosed)

    def staged(self, script: Script) -> LiftedStage:
        """Make a script ready; raise GainerError where it does not fit."""
        return LiftedStage(script, self.fitted)

    def camera(self, script: Script, stage: AnyStage) -> Camera:
        """Return what ``gainer edit`` draws pictures of a script with."""
        back = script.background
        return Camera(BackgroundPlate.colour_or_image(back.color, back.image, self.filmed(self.fitted)))

    def at(self, script: Script, stage: AnyStage, time: float, *, is_draft: bool = False) -> Made:
        """Make what the page shows of a script, made ready, at a time; at once as finely as it is ever shown."""
        assert isinstance(stage, LiftedStage)
        return Made(stage.at(time), False)

    def filmed(self, shown: AnyPicture) -> RasterSource:
        """Return what ``gainer edit`` draws a picture from: the camera that took the photo sees it."""
        assert isinstance(shown, LiftedScene)
        return SceneView(shown, CameraView(shown.camera))

    def on_ray(self, origin: Float[Tensor, "3"], direction: Float[Tensor, "3"]) -> PixelPoint | None:
        """Return the pixel, of the photo's own camera, of the first surface that a ray meets; None if it misses."""
        unit = torch.nn.functional.normalize(direction, dim=0)
        rays = RayBundle(
            origins=origin[None].float().to(self.fitted.device),
            directions=unit[None].float().to(self.fitted.device),
            pixel_area=torch.ones(1, 1, device=self.fitted.device),
        )
        seen = self.fitted.outputs(rays, torch.zeros(3, device=self.fitted.device))
        if float(seen["accumulation"]) < SHOWN_OPACITY:
            return None
        point = origin + unit * float(seen["median_depth"])
        pixel, _ = self.lens.project((point - point.new_tensor([0, 0, CAMERA_DISTANCE]))[None])
        return float(pixel[0, 0]), float(pixel[0, 1])

    def in_world(self, places: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
        """Return the points of the world that pixel points are shown at: on the surface that the photo shows."""
        columns, rows = (
            places[:, axis].long().clamp(0, size - 1) for axis, size in enumerate((self.lens.width, self.lens.height))
        )
        depth = self._front[0][rows, columns]
        points = self.lens.unproject(places.double(), 1 / depth.double())
        return points + points.new_tensor([0, 0, CAMERA_DISTANCE])

    def visible(self) -> Bool[Tensor, "h w"]:
        """Return which pixels were lifted."""
        return self._front[1]

    def centres(self) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 3"]]:
        """Return the Gaussians whose pixels the photo shows, likewise: what is hidden is not selected."""
        places, points = [], []
        hidden = torch.zeros(self.fitted.plane.pixels, dtype=torch.bool, device=self.fitted.device)
        for layer in self.fitted.own_layers:
            solid, pixels = layer.opacities > SHOWN_OPACITY, layer.pixels.long()
            shown = solid & ~hidden[pixels]
            places.append(layer.pixel_centres(self.lens.width)[shown].cpu())
            points.append(layer.gaussians.means[shown].detach().cpu())
            hidden[pixels[solid]] = True
        return torch.cat(places), torch.cat(points)

    @cached_property
    def _front(self) -> tuple[Float[Tensor, "h w"], Bool[Tensor, "h w"]]:
        """Depth of the surface that each pixel shows, and where that is known; the median where it is not."""
        shape = self.lens.height, self.lens.width
        depth, known = torch.zeros(shape).flatten(), torch.zeros(shape, dtype=torch.bool).flatten()
        for layer in reversed(self.fitted.own_layers):
            solid = layer.opacities > SHOWN_OPACITY
            pixels = layer.pixels[solid].long().cpu()
            depth[pixels] = CAMERA_DISTANCE - layer.gaussians.means[solid, 2].cpu()
            known[pixels] = True
        depth[~known] = depth[known].median()
        return depth.view(shape), known.view(shape)


Subject = FlatSubject | LiftedSubject
