"""What an edit script for a lifted photo may say: as for flat pictures, with edits in space and a moving camera."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, field_validator, model_validator

from gainer_ns.editing.backgrounds import Background, PlainBackground
from gainer_ns.editing.film_length import (
    DEFAULT_FPS,
    Duration,
    FrameCount,
    FrameRate,
    Loop,
    check_length,
    frames_in,
)
from gainer_ns.editing.lifted_operations import LIFTED_OPERATIONS
from gainer_ns.editing.placed_script import PlacedScript
from gainer_ns.editing.script import Edit, Script, with_words
from gainer_ns.io.places import PlacedError
from gainer_ns.io.yaml_file import ExistingFile

LayerName = Literal["object", "background"]
"""What a photo was lifted into: what its mask shows, and what is behind that."""
LAYERS: tuple[LayerName, ...] = ("object", "background")


def _without_flat_words(data: Any, flat: type[BaseModel], lifted: type[BaseModel]) -> Any:
    """Refuse words that only scripts for flat pictures know."""
    if isinstance(data, Mapping):
        allowed = list(lifted.model_fields)
        for word in data:
            if word in flat.model_fields and word not in allowed:
                raise PlacedError((word,), f"is for flat pictures; on a lifted photo write {', '.join(allowed)}")
    return data


class LiftedEdit(with_words(LIFTED_OPERATIONS)):
    """One edit of a lifted photo; see :class:`BaseEdit`.

    What it selects by the pixels of the photo moves with what the object hides of it, where that was lifted too.

    Attributes:
        layer: Moves the object or the background alone, and of the background also what the object hides; what the
            photo shows there if None.
    """

    layer: LayerName | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_space(cls, data: Any) -> Any:
        return _without_flat_words(data, Edit, cls)

    @model_validator(mode="after")
    def _as_lifted(self) -> LiftedEdit:
        if self.select.matte:
            raise PlacedError(("select", "matte"), "is for flat pictures; lift the photo with a matted mask instead")
        return self


class LiftedScript(PlacedScript):
    """An edit script for a lifted photo.

    Attributes:
        edits: What is done, in this order.
        background: What shows where nothing was lifted.
        camera: A camera path of nerfstudio that films it; the photo's own camera if None.
        frames: How many pictures a film has; None for as many as the camera path has, or else one, of the end.
        seconds: How long a film is, instead.
        fps: Frames a second; None for those of the camera path, or else 24.
        loop: Whether the film begins again after its end, or goes there and back (pingpong).
    """

    edits: tuple[LiftedEdit, ...] = ()
    background: PlainBackground = PlainBackground(transparent=True)
    camera: ExistingFile | None = None
    frames: FrameCount | None = None
    seconds: Duration | None = None
    fps: FrameRate | None = None
    loop: Loop = False

    @model_validator(mode="before")
    @classmethod
    def _in_space(cls, data: Any) -> Any:
        return _without_flat_words(data, Script, cls)

    @field_validator("background", mode="before")
    @classmethod
    def _no_painting(cls, data: Any) -> Any:
        return _without_flat_words(data, Background, PlainBackground)

    @model_validator(mode="after")
    def _does_something(self) -> LiftedScript:
        check_length(self.frames, self.seconds, self.fps or DEFAULT_FPS, self.loop, is_film=True)
        if not self.edits and self.camera is None:
            raise ValueError("has neither edits nor a camera; write at least one")
        return self

    def frame_count(self, fps: float) -> int | None:
        """Return how many pictures a film has at so many a second; None where the script does not say."""
        return self.frames if self.seconds is None else frames_in(self.seconds, fps)

    def check(self, width: int, height: int, layers: int) -> None:
        """Check the edits against the size of the photo, in pixels, and into how many layers it was lifted.

        Raises:
            GainerError: A selection does not fit the photo, or there is no layer of that name.
        """
        for number, edit in enumerate(self.edits):
            if edit.layer is not None and LAYERS.index(edit.layer) >= layers:
                problem = (
                    "the photo was lifted without its background; leave layer out, or lift it with a mask and "
                    "background inpaint"
                )
                raise self.mistake(number, PlacedError(("layer",), problem))
            self.check_selection(number, edit.select, width, height)


def read_lifted_script(
    source: Path | Mapping[str, Any], width: int, height: int, layers: int, *, enclosed: bool = False
) -> LiftedScript:
    """Read an edit script and check it against its photo; see :meth:`PlacedScript.read`, :meth:`LiftedScript.check`."""
    script = LiftedScript.read(source, size=(width, height), enclosed=enclosed)
    script.check(width, height, layers)
    return script
