"""Frames as a Python program asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import DTypeLike
from torch import Tensor

from gainer_ns.cluster import check_cluster
from gainer_ns.errors import GainerError
from gainer_ns.io.outputs import OutputTarget, output_for
from gainer_ns.io.samples import integer_samples
from gainer_ns.io.sources import ScriptSource, script_words
from gainer_ns.rendering.compositing import Raster
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import Crop, RasterSource
from gainer_ns.rendering.read_back import on_host

if TYPE_CHECKING:
    from gainer_ns.editing.edit_plan import EditPlan
    from gainer_ns.editing.script import Script
    from gainer_ns.editing.shots import Camera, Shot
    from gainer_ns.editing.stage import Stage
    from gainer_ns.io.colour_names import ColourNumbers
    from gainer_ns.lifting.scene import LiftedScene


_FRAMES_A_TASK = 4
"""How many frames a machine of a cluster draws at a time: what stays the same between them is drawn once."""


@dataclass(frozen=True, repr=False)
class Film:
    """Frames that are drawn as they are asked for: ``for frame in film``, or :meth:`save`.

    Attributes:
        fps: Frames a second.
    """

    _moments: Callable[[int, int], Iterable[Any]]
    _shot: Callable[[Any], RasterSource | Shot]
    _camera: Camera
    _frames: int
    fps: float
    _source: BakedPicture | LiftedScene
    _is_still: bool = False
    _is_timed: bool = False
    _plan: EditPlan | None = None

    def __repr__(self) -> str:
        return f"<gainer_ns.Film of {self._frames} frames, {self.fps:g} a second>"

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames as uint8 arrays [h, w, 4]: all alike, whether something is clear in them or not."""
        for frame in on_host(self.drawn()):
            yield integer_samples(frame.colours.numpy(), frame.opacity.numpy(), 8)

    def drawn(self, first: int = 0, end: int | None = None) -> Iterator[Raster]:
        """Draw the frames from one to before another, as numbers from 0 to 1; all of them unless told otherwise."""
        moments = self._moments(first, self._frames if end is None else end)
        shots = map(self._shot, moments)
        return map(self._camera.draw, map(in_bands, shots) if self._frames == 1 else shots)

    def drawn_on(self, address: str, bit_depth: int = 8) -> Iterator[Raster]:
        """Draw all frames on a cluster, while what they show is made here, such as a simulation; of one, bands of rows.

        Args:
            address: See :func:`gainer_ns.cluster.joined`.
            bit_depth: Bits of the samples, 8 or 16, that come back from there.

        Raises:
            GainerError: If there is one frame, of a photo in space.
        """
        from gainer_ns.cluster import in_order

        moments = iter(self._moments(0, self._frames))
        if self._frames == 1:
            return (self._camera.draw(in_bands(self._shot(moment), address, bit_depth)) for moment in moments)
        first = list(islice(moments, 1))  # from which on a camera that films all knows what that is
        moments = chain(first, moments)
        parts = iter(lambda: list(islice(moments, _FRAMES_A_TASK)), [])
        camera = replace(self._camera)  # without what it keeps of the frame before
        drawn = in_order(address, _drawn_part, (self._shot, camera, bit_depth), parts)
        return map(Raster.of_samples, chain.from_iterable(drawn))

    def check(self, path: str | os.PathLike[str], *, bit_depth: Literal[8, 16] | None = None) -> OutputTarget:
        """Return what a name means for the film; nothing is drawn or written.

        Raises:
            GainerError: If the kind of file cannot hold it, or it is one for films, and no film was asked for.
        """
        output = output_for(Path(path), "picture", "frames", "film", bit_depth=bit_depth)
        is_either = output.is_picture and output.is_film(2)  # a .webp: a film where the script speaks of time
        if self._is_still and (not output.is_picture or (is_either and self._is_timed)):
            what = "a folder of frames" if output.is_folder else "a film"
            what += ", as the script has keyframes or fps," if is_either else ","
            raise GainerError(
                f"{path}: is {what} and the script makes one picture; write frames: 48 (or seconds: 2) into it, or "
                "end the name in .png"
            )
        output.check_frames(self._frames, self.fps)
        output.bit_depth(bit_depth, self._source.bit_depth, self._frames)
        return output

    def plan(self) -> list[str]:
        """Return in words, line by line, what will be drawn, and about how long that takes.

        Raises:
            GainerError: If it is not the film of an edit script.
        """
        if self._plan is None:
            raise GainerError("only the film of an edit script has a plan")
        seconds = self._plan.seconds()
        return [*self._plan.lines(), f"Drawing: about {seconds:.2g} s, {seconds / len(self):.2g} s a frame"]

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        bit_depth: Literal[8, 16] | None = None,
        progress: Callable[[float], None] | None = None,
        ray: str | None = None,
    ) -> tuple[int, int]:
        """Write the film, whole or not at all.

        Args:
            path: .mp4, .webm, .mov, .apng, .webp, .gif, .sheet.png (all frames in one), a folder for the frames (no
                suffix), or a picture where there is one frame.
            bit_depth: Bits a sample (16: PNG frames only); None for the source's, and 8 of films.
            progress: Called after every frame with the share, 0 to 1, that is done.
            ray: Address of a Ray cluster that draws the frames; see :func:`gainer_ns.cluster.joined`.

        Returns:
            Width and height of a frame in pixels.

        Raises:
            GainerError: If the kind of file cannot hold it, or it cannot be written.
        """
        from gainer_ns.editing.shots import write_film

        output = self.check(path, bit_depth=bit_depth)
        if ray is not None:
            check_cluster(ray)
        bits = output.bit_depth(bit_depth, self._source.bit_depth, self._frames)
        return write_film(
            output,
            self.drawn() if ray is None else self.drawn_on(ray, bits),
            frames=self._frames,
            fps=self.fps,
            bit_depth=bits,
            profile=self._source.profile,
            progress=progress,
        )


def _drawn_part(
    film: tuple[Callable[[Any], RasterSource | Shot], Camera, int], moments: Iterable[Any]
) -> list[np.ndarray]:
    """Draw some frames of a film, as samples, on a machine of a cluster."""
    shot, camera, bit_depth = film
    return [camera.draw(shot(moment)).samples(bit_depth) for moment in moments]


def in_bands(picture: Any, address: str | None = None, bit_depth: int = 8) -> Any:
    """Return a picture that is drawn in bands of rows: on a cluster, or if it is large; itself if it is not.

    Raises:
        GainerError: If a cluster is to draw something else than Gaussians on a plane.
    """
    if isinstance(picture, BakedPicture):
        if address is None and not any(layer.is_large for layer in picture.rest_layers):
            return picture
        from gainer_ns.rendering.bands import BandedPicture

        return BandedPicture(picture, address, bit_depth)
    if address is not None:
        raise GainerError(f"--ray {address}: one picture is divided if it is flat and of Gaussians; leave --ray out")
    return picture


def opacity_of(alpha: Float[Tensor, "h w"]) -> np.ndarray | None:
    """Return the opacity of what was drawn; None where nothing is clear."""
    return alpha.numpy() if bool((alpha < 1).any()) else None


def samples_of(rgb: Float[Tensor, "h w 3"], alpha: Float[Tensor, "h w"], dtype: DTypeLike) -> np.ndarray:
    """Return a drawing as [h, w, 3], or [h, w, 4] where something is clear, of uint8, uint16 or float32."""
    colours, opacity, kind = rgb.numpy(), opacity_of(alpha), np.dtype(dtype)
    if kind == np.float32:
        return colours if opacity is None else np.dstack((colours, opacity))
    if kind not in (np.uint8, np.uint16):
        raise GainerError(f"dtype {kind}: choose uint8, uint16 or float32")
    return integer_samples(colours, opacity, 8 * kind.itemsize)


def stage_of(picture: BakedPicture, script: ScriptSource) -> Stage:
    """Make an edit script ready for a picture; further pictures that it names are read as this one is.

    Raises:
        GainerError: If the script is wrong, or does not fit the picture.
    """
    from gainer_ns.editing.script import Script, read_script
    from gainer_ns.editing.stage import Stage

    words = script_words(script, Script.model_fields)
    read = read_script(words, picture.plane.width, picture.plane.height)
    layers: dict[str, BakedPicture] = {}
    if read.layers:
        from gainer_ns.loading import as_baked, load_run

        paths = {name: layer.picture for name, layer in read.layers.items()}
        layers = {
            name: as_baked(load_run(path, picture.device), path).sampled(picture.way) for name, path in paths.items()
        }
    return Stage(read, picture, layers)


def camera_of(stage: Stage, canvas: Crop | None, before: Camera | None = None, *, paint: bool = True) -> Camera:
    """Return the camera of an edited picture.

    Args:
        stage: The edited picture.
        canvas: The part that is drawn; None for all of it.
        before: Of what was edited before; its background stays, unless the script names another.
        paint: Whether a background that a model paints is painted; left open otherwise.
    """
    from gainer_ns.editing.backdrops import BackgroundPlate
    from gainer_ns.editing.backgrounds import Background
    from gainer_ns.editing.shots import Camera

    script = stage.script
    if before is not None and "background" not in script.model_fields_set:
        plate = before.background
    else:
        needs_model = script.background.inpaint is not None and script.background.inpaint.method is None
        background = script.background if paint or not needs_model else Background(transparent=True)
        plate = BackgroundPlate.of(background, stage.picture, stage.hole)
    return Camera(plate, crop=canvas or (None if before is None else before.crop))


def flat_film(
    picture: BakedPicture, script: ScriptSource, *, scale: float, before: Camera | None = None, paint: bool = True
) -> Film:
    """Film an edit script of a flat picture; see :func:`camera_of`.

    Raises:
        GainerError: If the script is wrong or does not fit the picture, or no picture of that size can be drawn.
    """
    from gainer_ns.editing.edit_plan import EditPlan
    from gainer_ns.editing.film_length import DEFAULT_FPS
    from gainer_ns.editing.shots import check_frame

    stage = stage_of(picture, script)
    canvas = stage.canvas
    check_frame(picture, scale, canvas)
    camera = replace(camera_of(stage, canvas, before, paint=paint), scale=scale)
    times, fps = stage.script.times, stage.script.fps or DEFAULT_FPS
    plan = EditPlan(stage, stage.at, camera, times, fps)
    is_still = stage.script.frame_count() is None
    return Film(
        lambda first, end: times[first:end],
        stage.at,
        camera,
        len(times),
        fps,
        picture,
        is_still,
        _is_timed(stage.script),
        plan,
    )


def _is_timed(script: Script) -> bool:
    """Return whether a script speaks of the time in a film."""
    return "fps" in script.model_fields_set or any(edit.is_timed for edit in script.edits)


def lifted_film(
    scene: LiftedScene, script: ScriptSource, *, scale: float, camera_path: str | os.PathLike[str] | None = None
) -> Film:
    """Film an edit script of a lifted photo.

    Args:
        scene: The photo.
        script: What is done to it.
        scale: Output pixels per pixel of the camera.
        camera_path: Along which it is filmed; None for the script's, or else the camera that took it.

    Raises:
        GainerError: If the script is wrong or does not fit the photo, or the camera path is none.
    """
    from gainer_ns.editing.backdrops import BackgroundPlate
    from gainer_ns.editing.edit_plan import EditPlan
    from gainer_ns.editing.film_length import DEFAULT_FPS, frame_times
    from gainer_ns.editing.lifted_stage import LiftedStage
    from gainer_ns.editing.script import Script, read_script
    from gainer_ns.editing.shots import Camera, SceneView
    from gainer_ns.lifting.views import CameraPath, CameraView, read_camera_path

    words = script_words(script, Script.model_fields)
    read = read_script(words, scene.plane.width, scene.plane.height, lifted_layers=len(scene.own_layers))
    path, background = camera_path or read.camera, read.background
    still = CameraPath((CameraView(scene.camera),), DEFAULT_FPS)
    views, fps = still if path is None else read_camera_path(Path(path), scale)
    fps = read.fps or fps
    asked = read.frame_count(fps)
    stage, frames = LiftedStage(read, scene), asked or len(views)
    plate = BackgroundPlate.colour_or_image(background.color, background.image, SceneView(scene, views[0]))
    is_still = asked is None and path is None
    camera = Camera(plate, scale)
    times = frame_times(frames, read.loop)
    plan = EditPlan(stage, lambda t: stage.shot(views, t), camera, times, fps)
    return Film(
        lambda first, end: times[first:end],
        lambda t: stage.shot(views, t),
        camera,
        frames,
        fps,
        scene,
        is_still,
        _is_timed(read),
        plan,
    )


def bound_film(
    drawn: BakedPicture | LiftedScene,
    reference: Path,
    frames: Path,
    fps: float,
    scale: float,
    canvas: Crop | None,
    background: tuple[str | ColourNumbers | None, Path | None],
) -> Film:
    """Film a picture, or a lifted photo, as it follows a mesh or points.

    Args:
        drawn: The picture.
        reference: The unmoved mesh or points.
        frames: Folder of the moved ones.
        fps: Frames a second.
        scale: Output pixels per source pixel.
        canvas: The part that is drawn, in source pixels; None for the whole picture.
        background: Colour and image of what lies behind; None for nothing.

    Raises:
        GainerError: If a file is no mesh or has other vertices, or no picture of that size can be drawn.
    """
    from gainer_ns.editing.backdrops import BackgroundPlate
    from gainer_ns.editing.bound_picture import BoundPicture
    from gainer_ns.editing.bound_scene import BoundScene
    from gainer_ns.editing.shots import Camera, check_frame
    from gainer_ns.io.mesh_frames import check_frames, frame_files, read_frames
    from gainer_ns.io.meshes import read_mesh

    mesh, files = read_mesh(reference), frame_files(frames)
    check_frames(files, mesh)
    check_frame(drawn, scale, canvas)
    bound = BoundPicture(drawn, mesh) if isinstance(drawn, BakedPicture) else BoundScene(drawn, mesh)
    camera = Camera(BackgroundPlate.colour_or_image(*background, drawn), scale, canvas)
    return Film(
        lambda first, end: (frame.vertices for frame in read_frames(files[first:end], mesh)),
        bound.at,
        camera,
        len(files),
        fps,
        drawn,
    )
