"""What pictures in a plane and photos in space have in common when they are simulated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.editing.extent import even, in_whole_pixels
from gainer_ns.editing.shots import Camera, Shot
from gainer_ns.errors import GainerError
from gainer_ns.frames import Bounds
from gainer_ns.physics.body_skins import BodySkin, body_skins
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig, centre_of_mass
from gainer_ns.physics.scene import Scene
from gainer_ns.rendering.raster import RasterSource

if TYPE_CHECKING:
    from gainer_ns.lifting.scene import LiftedScene
    from gainer_ns.lifting.views import CameraPath
    from gainer_ns.rendering.plane import BakedPicture

AnyPiece = TypeVar("AnyPiece")

EXTENT_RIM = 0.02
"""Room around what has moved in a film of all that is shown, in widths."""
SHOWN_ALPHA = 0.5 / 255
"""Below this nothing is to be seen."""


class Take(NamedTuple):
    """A frame that is to be drawn.

    Attributes:
        frame: Where the particles are.
        number: Of the frame.
        shift: How far the camera has gone, in pixels; None where it stays, or follows a path.
        is_in_view: Whether something of what moves must be seen.
    """

    frame: Frame
    number: int
    shift: tuple[float, float] | None
    is_in_view: bool


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
        self._width, self._skins = width, body_skins(particles, scene.materials, width)
        self._pose_number = 0
        self._expected: float | None = None  # when the frame is that is drawn, if it must show something

    @abstractmethod
    def camera(self, scale: float, path: CameraPath | None = None) -> Camera:
        """Return what films the simulation, checked for whether it can.

        Where it films all that is shown, :meth:`shots` finds out what that is, once all frames are there.

        Args:
            scale: Output pixels per source pixel.
            path: Along which a lifted photo is filmed; None for the camera that took it.

        Raises:
            GainerError: The background cannot be had, or there would be no picture.
        """

    @abstractmethod
    def at(self, frame: Frame, max_nodes: int | None = None) -> BakedPicture | LiftedScene:
        """Return the picture in a frame.

        Args:
            frame: Where the particles are.
            max_nodes: See :meth:`gainer_ns.editing.pieces.Piece.posed`; what has no nodes takes no notice.
        """

    @abstractmethod
    def places(self, points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 2"]:
        """Return where points of the world are in the plane of the scene, in widths."""

    @abstractmethod
    def _drawn(self, frame: Frame, number: int, path: CameraPath | None) -> RasterSource:
        """Return the picture in a frame of a number, as the camera sees it."""

    @abstractmethod
    def _pixel(self, place: Float[Tensor, " d"]) -> tuple[float, float]:
        """Return where a place, in widths, is seen, in pixels."""

    @abstractmethod
    def films_all(self, path: CameraPath | None) -> bool:
        """Tell whether a camera takes in all that is shown in any frame."""

    @abstractmethod
    def _reach(self, frame: Frame) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
        """Return left and top, right and bottom of what moves in a frame, in pixels."""

    def extent(self, frames: Iterable[Frame], progress: Callable[[float], None] | None = None) -> Bounds:
        """Return left, top, right and bottom of all that a camera sees in frames, in whole pixels, even in number.

        Args:
            frames: Where the particles are, the first at rest.
            progress: Called with the share, 0 to 1, of the frames that is done.
        """
        rim, start = EXTENT_RIM * self._width, None
        left, top, right, bottom = self.scene.rest_extent(rim)
        low, high = torch.tensor([left, top]).double(), torch.tensor([right, bottom]).double()
        for number, frame in enumerate(map(_sound, frames), start=1):
            start, shift = self._shift(frame, start)
            if number > 1:
                first, last = (each.cpu().double() - low.new_tensor(shift) for each in self._reach(frame))
                low, high = torch.minimum(low, first - rim), torch.maximum(high, last + rim)
            if progress is not None:
                progress(number / self.config.frames)
        return even(in_whole_pixels(low, high))

    def centre(self, frame: Frame) -> tuple[float, float]:
        """Return the centre of mass of what moves, in pixels."""
        return self._pixel(centre_of_mass(frame, self.particles, self.materials))

    def shots(
        self,
        frames: Callable[[], Iterable[Frame]],
        camera: Camera,
        path: CameraPath | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[RasterSource | Shot]:
        """Yield the picture in each frame, and where the camera has gone with it; arguments as of :meth:`takes`."""
        return (self.shot(take, path) for take in self.takes(frames, camera, path, progress))

    def takes(
        self,
        frames: Callable[[], Iterable[Frame]],
        camera: Camera,
        path: CameraPath | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[Take]:
        """Yield what :meth:`shot` has to be told of each frame.

        Args:
            frames: Return where the particles are, the first at rest. Where the camera films all that is shown they are
                asked for twice: at first it is found what that is.
            camera: That of :meth:`camera`.
            path: Along which a lifted photo is filmed, once in all; None for the camera that took it.
            progress: Called with the share, 0 to 1, of what comes before the first frame.
        """
        if self.films_all(path) and camera.crop is None:
            camera.crop = self.extent(frames(), progress)
        start: tuple[float, float] | None = None
        follows = self.scene.camera != "still" and path is None
        for number, frame in enumerate(map(_sound, frames())):
            start, shift = self._shift(frame, start)
            is_in_view = self._is_in_view(frame, camera.crop, path)
            yield Take(replace(frame, state={}), number, shift if follows else None, is_in_view)

    def shot(self, take: Take, path: CameraPath | None = None) -> RasterSource | Shot:
        """Return the picture in a frame, and where the camera has gone with it; frames may come in any order."""
        self._expected = take.frame.time if take.is_in_view else None
        picture = self._drawn(take.frame, take.number, path)
        return picture if take.shift is None else Shot(picture, take.shift)

    def _shift(
        self, frame: Frame, start: tuple[float, float] | None
    ) -> tuple[tuple[float, float] | None, tuple[float, float]]:
        """Return where the camera started, and how far it has gone since, in pixels."""
        if self.scene.camera == "still":
            return None, (0.0, 0.0)
        x, y = self.centre(frame)
        start = start or (x, y)
        return start, (x - start[0], y - start[1])

    def _is_in_view(self, frame: Frame, crop: Bounds | None, path: CameraPath | None) -> bool:
        """Tell whether something of what moves must be seen in a frame."""
        return self.films_all(path)

    def _check_shown(self, alpha: Float[Tensor, "h w 1"]) -> None:
        """Raise a GainerError if a frame shows nothing although particles are in it."""
        if self._expected is not None and not bool((alpha > SHOWN_ALPHA).any()):
            raise GainerError(
                f"the picture is empty at {self._expected:.2f} s, though there are particles in it; write more "
                "particles, or a lower E, and simulate with --restart"
            )

    def _show(self, frame: Frame) -> list[int]:
        """Take the skins to a frame, and return the amounts of a new pose, by which pieces keep their last one."""
        for skin in self._skins:
            skin.show(frame)
        self._pose_number += 1
        return [self._pose_number]


def _sound(frame: Frame) -> Frame:
    """Return a frame in which all particles are somewhere.

    Raises:
        GainerError: If one is nowhere.
    """
    lost = int((~frame.positions.isfinite()).any(dim=1).sum())
    if lost:
        raise GainerError(
            f"{lost} of {len(frame.positions):,} particles are nowhere at {frame.time:.2f} s; simulate with --restart, "
            "or take them out of the other program's frames"
        )
    return frame


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
