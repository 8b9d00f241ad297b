"""From a picture and a scene file to what is simulated, and from simulated frames to what a camera films."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gainer_ns.editing.film import Behind, Camera, Drawn, Shot, check_frame
from gainer_ns.errors import GainerError
from gainer_ns.physics.cast import Cast, content_of
from gainer_ns.physics.engine import Frame
from gainer_ns.physics.scene import Scene, read_scene
from gainer_ns.rendering.plane import BakedPicture

if TYPE_CHECKING:
    from gainer_ns.lifting.scene import LiftedScene
    from gainer_ns.lifting.views import CameraPath
    from gainer_ns.physics.lifted_cast import LiftedCast


def scene_for(source: Path | Mapping[str, Any], picture: BakedPicture | LiftedScene) -> Scene:
    """Reads a scene for a picture or a lifted photo.

    Args:
        source: The YAML file, or what would be in it.
        picture: As it was fitted.

    Raises:
        GainerError: The scene is wrong, or does not fit the picture; or that shows nothing.
    """
    if isinstance(picture, BakedPicture):
        content = content_of(picture)
    else:
        from gainer_ns.physics.lifted_cast import content_of_lifted

        content = content_of_lifted(picture)
    return read_scene(source, picture.plane.width, picture.plane.height, content)


def cast_of(scene: Scene, picture: BakedPicture | LiftedScene, count: int | None = None) -> Cast | LiftedCast:
    """What is simulated of a picture or a lifted photo.

    Args:
        scene: On the picture.
        picture: As it was fitted.
        count: How many particles, instead of as many as the scene says.

    Raises:
        GainerError: The scene does not fit it.
    """
    if isinstance(picture, BakedPicture):
        return Cast(scene, picture, count)
    from gainer_ns.physics.lifted_cast import LiftedCast

    return LiftedCast(scene, picture, count)


def camera_for(cast: Cast | LiftedCast, scale: float, path: CameraPath | None = None) -> Camera:
    """What films a simulation, checked for whether it can.

    A flat picture is filmed as far as the scene's canvas reaches. So is a lifted object; of a photo that was lifted
    with its background there is nothing beyond its frame, which is filmed unless the scene names a canvas.

    Args:
        cast: What is simulated.
        scale: Output pixels per source pixel.
        path: Along which a lifted photo is filmed; None for the camera that took it.

    Raises:
        GainerError: The background cannot be had, or there would be no picture.
    """
    background, crop = cast.scene.background, cast.scene.filmed
    if isinstance(cast, Cast):
        if path is not None:
            raise GainerError("--camera-path: films lifted photos only; leave it out for a flat picture")
        check_frame(cast.picture, scale, crop)
        return Camera(Behind.of(background, cast.picture, cast.hole), scale, crop)
    if background.inpaint is not None:
        raise GainerError(
            "background: a lifted photo is not inpainted when it is filmed; lift it with its background, or "
            "write a color or an image"
        )
    from gainer_ns.editing.lifted_film import Shot as LiftedShot
    from gainer_ns.lifting.views import View

    shot = LiftedShot(cast.lifted, View(cast.lifted.camera) if path is None else path.views[0])
    if path is not None or (cast.scene.canvas is None and not cast.lifted.has_alpha):
        crop = None  # all of the frame
    check_frame(shot, scale, crop)
    return Camera(Behind.colour_or_image(background.color, background.image, shot), scale, crop)


def shots(cast: Cast | LiftedCast, frames: Iterable[Frame], path: CameraPath | None = None) -> Iterator[Drawn | Shot]:
    """The picture in each frame, and where the camera has gone with it.

    Args:
        cast: What is simulated.
        frames: Where its particles are, the first at rest.
        path: Along which a lifted photo is filmed, once in all; None for the camera that took it.
    """
    start: tuple[float, float] | None = None
    for number, frame in enumerate(frames):
        if isinstance(cast, Cast):
            picture: Drawn = cast.at(frame)
        else:
            from gainer_ns.editing.lifted_film import Shot as LiftedShot
            from gainer_ns.lifting.views import View

            views = (View(cast.lifted.camera),) if path is None else path.views
            share = number / max(1, cast.setting.frames - 1)
            picture = LiftedShot(cast.at(frame), views[min(round(share * (len(views) - 1)), len(views) - 1)])
        if cast.scene.camera == "still" or path is not None:
            yield picture
            continue
        x, y = cast.centre(frame)
        start = start or (x, y)
        yield Shot(picture, (x - start[0], y - start[1]))
