"""What pictures in a plane and photos in space have in common when they are simulated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.editing.shots import Camera, Shot
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig, centre_of_mass
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.skinning import BodySkin, body_skins
from gainer_ns.rendering.raster import RasterSource

if TYPE_CHECKING:
    from gainer_ns.lifting.views import CameraPath

AnyPiece = TypeVar("AnyPiece")


class SimulatedPicture(ABC):
    """A picture in a scene: what of it is simulated, and what it looks like when the particles have moved.

    Args:
        scene: On the picture.
        particles: What is simulated, at rest.
        config: What an engine is told besides.
        width: Of the picture, in pixels.

    Attributes:
        materials: Of each body.
    """

    def __init__(self, scene: Scene, particles: Particles, config: SimulationConfig, width: int) -> None:
        self.scene, self.particles, self.config = scene, particles, config
        self.materials = scene.materials
        self._skins = body_skins(particles, scene.materials, width)
        self._pose_number = 0

    @abstractmethod
    def camera(self, scale: float, path: CameraPath | None = None) -> Camera:
        """Return what films the simulation, checked for whether it can.

        Args:
            scale: Output pixels per source pixel.
            path: Along which a lifted photo is filmed; None for the camera that took it.

        Raises:
            GainerError: The background cannot be had, or there would be no picture.
        """

    @abstractmethod
    def _drawn(self, frame: Frame, number: int, path: CameraPath | None) -> RasterSource:
        """Return the picture in a frame of a number, as the camera sees it."""

    @abstractmethod
    def _pixel(self, place: Float[Tensor, " d"]) -> tuple[float, float]:
        """Return where a place, in widths, is seen, in pixels."""

    def centre(self, frame: Frame) -> tuple[float, float]:
        """Return the centre of mass of what moves, in pixels."""
        return self._pixel(centre_of_mass(frame, self.particles, self.materials))

    def shots(self, frames: Iterable[Frame], path: CameraPath | None = None) -> Iterator[RasterSource | Shot]:
        """Yield the picture in each frame, and where the camera has gone with it.

        Args:
            frames: Where the particles are, the first at rest.
            path: Along which a lifted photo is filmed, once in all; None for the camera that took it.
        """
        start: tuple[float, float] | None = None
        for number, frame in enumerate(frames):
            picture = self._drawn(frame, number, path)
            if self.scene.camera == "still" or path is not None:
                yield picture
                continue
            x, y = self.centre(frame)
            start = start or (x, y)
            yield Shot(picture, (x - start[0], y - start[1]))

    def _show(self, frame: Frame) -> list[int]:
        """Take the skins to a frame, and return the amounts of a new pose, by which pieces keep their last one."""
        for skin in self._skins:
            skin.show(frame)
        self._pose_number += 1
        return [self._pose_number]


def cut_out(
    whole: AnyPiece,
    skins: Sequence[BodySkin],
    fields_of: Callable[[AnyPiece], Float[Tensor, "b n"]],
    visible_of: Callable[[AnyPiece], Bool[Tensor, " n"]],
    part: Callable[[AnyPiece, Float[Tensor, " n"]], tuple[AnyPiece, AnyPiece]],
) -> tuple[AnyPiece | None, list[AnyPiece]]:
    """Cut the bodies of each skin out of a piece of a picture.

    Args:
        whole: The piece.
        skins: In the order in which they are cut out.
        fields_of: How far inside each body the Gaussians of a piece are.
        visible_of: Which Gaussians of a piece show anything.
        part: Parts a piece by how far inside its Gaussians are: what is left, and what is taken.

    Returns:
        What stays of the piece, None for nothing; and a piece for each skin.
    """
    rest: AnyPiece | None = whole
    pieces: list[AnyPiece] = []
    taken_bodies: list[int] = []
    for skin in skins:
        assert rest is not None
        fields = fields_of(rest)
        taken_bodies += skin.bodies
        if bool((fields[taken_bodies].amax(dim=0)[visible_of(rest)] >= 0.5).all()):
            taken, rest = rest, None
        else:
            rest, taken = part(rest, fields[list(skin.bodies)].amax(dim=0))
        pieces.append(taken)
    return rest, pieces
