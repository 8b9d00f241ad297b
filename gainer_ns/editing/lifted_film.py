"""Frames of a film of a lifted photo: the scene at a time, as a camera sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.lifted_script import LiftedScript
from gainer_ns.editing.lifted_stage import LiftedStage
from gainer_ns.editing.timing import frame_times
from gainer_ns.frames import ImagePlane
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import CameraPath, View

FPS = 24.0
"""Frames a second, where nobody says."""


@dataclass(frozen=True)
class Shot:
    """A lifted photo as a camera sees it: what frames are drawn from.

    Attributes:
        scene: The photo.
        view: The camera.
    """

    scene: LiftedScene
    view: View

    @property
    def plane(self) -> ImagePlane:
        """The camera's pixels."""
        return ImagePlane(self.view.camera.width, self.view.camera.height)

    @property
    def profile(self) -> ColourProfile | None:
        """What its colours mean; None for sRGB."""
        return self.scene.profile

    @property
    def device(self) -> torch.device:
        """Where it is drawn."""
        return self.scene.device

    def raster(
        self, scale: float = 1.0, crop: tuple[float, float, float, float] | None = None
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Colours, not multiplied by alpha, and alpha."""
        return self.scene.raster(scale, crop, view=self.view)


class LiftedFilm:
    """The shots of a script.

    Args:
        script: What is done.
        scene: The photo.
        path: The camera that films it; None for the one that took the photo.

    Raises:
        GainerError: A selection takes nothing that was lifted.
    """

    def __init__(self, script: LiftedScript, scene: LiftedScene, path: CameraPath | None = None) -> None:
        self._stage = LiftedStage(script, scene)
        self._views = (View(scene.camera),) if path is None else path.views
        self.frames = script.frames or len(self._views)
        self.fps = script.fps or (FPS if path is None else path.fps)

    @property
    def first(self) -> Shot:
        """The photo as it was lifted, as the camera sees it at first."""
        return Shot(self._stage.scene, self._views[0])

    def shots(self) -> Iterator[Shot]:
        """One a frame; a camera path is gone along once, however long the film is."""
        for t in frame_times(self.frames):
            yield Shot(self._stage.at(t), self._views[round(t * (len(self._views) - 1))])
