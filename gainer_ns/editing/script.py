"""What an edit script may say, checked on reading: edits, background, further pictures, and the film's length."""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationError,
    create_model,
    model_serializer,
    model_validator,
)

from gainer_ns.editing.backgrounds import Background
from gainer_ns.editing.film_length import (
    DEFAULT_FPS,
    Duration,
    FrameCount,
    FrameRate,
    Loop,
    check_length,
    frame_times,
    frames_in,
)
from gainer_ns.editing.flat_or_lifted import check_in_space, check_on_plane
from gainer_ns.editing.operation import Operation
from gainer_ns.editing.percentages import has_percentages
from gainer_ns.editing.placed_script import PlacedScript
from gainer_ns.editing.selection import WORD_OR_BOX, Box, Point, ScriptModel, Selection, words_beside_box
from gainer_ns.editing.timing import Timed
from gainer_ns.editing.vocabulary import OPERATIONS
from gainer_ns.io.image_io import MAX_PIXELS
from gainer_ns.io.outputs import is_exported
from gainer_ns.io.places import PlacedError
from gainer_ns.io.yaml_file import ExistingFile

Order = Literal["front", "back"]
"""Whether something lies before or behind the main picture."""

Mode = Literal["sheet", "piece"]
"""Whether a selection pulls its surroundings along, or is cut out."""

_OUTERMOST_DEPTH = 1e6


def _checked_order(order: Any) -> Any:
    """Refuse what is no order of depth."""
    if isinstance(order, Mapping):
        if not order:
            raise ValueError("is empty; write times and orders, such as {0: front, 0.5: back}")
        for time, value in order.items():
            if not isinstance(time, int | float) or not 0 <= time <= 1:
                raise PlacedError((str(time),), f"must be a time from 0 to 1, not {str(time)[:40]!r}")
            _checked_depth(value, (str(time),))
        return dict(sorted(order.items()))
    _checked_depth(order, ())
    return order


def _checked_depth(value: Any, loc: tuple[str, ...]) -> None:
    if isinstance(value, str):
        if value not in ("front", "back"):
            raise PlacedError(loc, f"must be 'front' or 'back', or a number, not {value[:40]!r}")
    elif isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _OUTERMOST_DEPTH:
        raise PlacedError(loc, f"must be 'front' or 'back', or a number of at most 1e6, not {str(value)[:40]}")


Depth = Order | float
"""How near something is: the larger the number the nearer, what has not moved has 0, front is 1, back is -1."""
DepthOrder = Annotated[Depth | dict[float, Depth], BeforeValidator(_checked_order)]
"""Field type: a depth, or depths from times on, each until the next."""


def _fitted(path: Path) -> Path:
    """Refuse what is no picture file, by its name: a script may come from anyone, and is no way to a run."""
    if not is_exported(path):
        raise ValueError(f"{path} is no picture file; name a .safetensors of gainer export --format safetensors")
    return path


class ScriptLayer(ScriptModel):
    """A further fitted picture, laid over or under the main one.

    Attributes:
        picture: A .safetensors file of ``gainer export``.
        place: Where its top-left corner goes, in pixels of the main picture.
        scale: Pixels of the main picture that each of its pixels covers.
        order: Over the main picture (front) or under it (back).
    """

    picture: Annotated[ExistingFile, AfterValidator(_fitted)]
    place: Point = (0.0, 0.0)
    scale: Annotated[float, Field(strict=True, gt=0, le=1000, allow_inf_nan=False)] = 1.0
    order: Order = "front"


_words: dict[str, Any] = {word: (operation | None, None) for word, operation in OPERATIONS.items()}
_Words = create_model("_Words", __base__=Timed, **_words)


class Edit(_Words):
    """One edit: what it takes, what it does to that, and when. Each operation is a field, by its word.

    Attributes:
        select: What moves.
        layer: What it is taken from: a layer of the script, or of a lifted photo the object or the background alone;
            the main picture, or what a photo shows, if None.
        order: Whether what moves passes before everything else, or behind it, or how near it is; or that from times on.
            In space what covers what follows from depth.
        mode: What happens around the selection. ``sheet``: the picture stays one sheet, and what surrounds the
            selection follows it, less and less. ``piece``: the selection is cut out and leaves a hole. None for what
            its kind of picture and of selection asks for.
    """

    select: Selection = Selection(all=True)
    layer: str | None = None
    order: DepthOrder = "front"
    mode: Mode | None = None

    _written: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, data: Any, read: ModelWrapValidatorHandler[Any]) -> Any:
        edit = read(data)
        if isinstance(data, Mapping):
            edit._written = tuple(word for word in data if word in OPERATIONS)
        if not edit.operations:
            raise ValueError(f"does nothing; write one or more of {', '.join(OPERATIONS)}")
        if edit.mode == "sheet" and "cut" in edit.words:
            raise PlacedError(("mode",), "must be 'piece' beside cut, which parts what it selects; leave mode out")
        if edit.is_keyed and "cut" in edit.words:
            raise PlacedError(("cut",), "parts things once, so no number beside it varies; give the edit keyframes")
        return edit

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the operations, in the order in which they are applied: the order written."""
        words = dict.fromkeys((*self._written, *OPERATIONS))
        return tuple(word for word in words if getattr(self, word) is not None)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What it does, in the order in which that is applied: the order written."""
        return tuple(getattr(self, word) for word in self.words)

    @property
    def is_keyed(self) -> bool:
        """Whether an operation has keyframes of its own."""
        return any(operation.is_keyed for operation in self.operations)

    @property
    def is_timed(self) -> bool:
        """Whether it says what is so at which time of a film."""
        return self.keyframes is not None or self.is_keyed

    def operations_at(self, t: float) -> tuple[Operation, ...]:
        """What it does at a time, wholly."""
        return tuple(operation.at_time(t, self.easing) for operation in self.operations)

    @property
    def extreme_operations(self) -> list[tuple[Operation, ...]]:
        """What it does at each of the operations' own keyframes, or at all times."""
        times = {time for operation in self.operations for time in operation.times}
        return [self.operations_at(time) for time in sorted(times)] or [self.operations]

    def amount(self, t: float) -> float:
        """Return how much of it there is; all of it where operations alone have keyframes."""
        return 1.0 if self.keyframes is None and self.is_keyed else super().amount(t)

    @property
    def takes(self) -> tuple[Any, ...]:
        """Everything that decides which pieces it moves."""
        return self.select, self.layer, self.mode, self.order

    @property
    def cuts(self) -> bool:
        """Whether what is selected is cut out: a painted outline, or what is cut in two, unless the script says it."""
        if self.mode is None or self.select.matte:
            return self.select.is_painted or "cut" in self.words
        return self.mode == "piece"

    def depth(self, t: float) -> float:
        """Return how near what moves is at a time: 1 in front, -1 behind, 0 for what does not move."""
        order = self.order
        if isinstance(order, Mapping):
            times = list(order)
            order = order[times[max(0, bisect_right(times, t) - 1)]]
        return float({"front": 1.0, "back": -1.0}.get(order, 0.0) if isinstance(order, str) else order)

    @model_serializer(mode="wrap")
    def _write_in_order(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values = write(self)
        order = ("select", "layer", *self.words, "order", "mode", "keyframes", "easing")
        return {word: values[word] for word in order if word in values}


def _drawable(canvas: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Refuse more pixels than a picture may have."""
    pixels = (canvas[2] - canvas[0]) * (canvas[3] - canvas[1])
    if pixels > MAX_PIXELS:
        raise ValueError(f"has {pixels:.3g} pixels, but at most {MAX_PIXELS // 10**6} megapixels can be drawn")
    return canvas


Canvas = Annotated[
    Annotated[Literal["auto"], Tag("word")] | Annotated[Box, AfterValidator(_drawable), Tag("box")],
    WORD_OR_BOX,
    words_beside_box("auto"),
]
"""Field type: left, top, right and bottom of what is drawn, or all that is shown."""


class Script(PlacedScript):
    """An edit script, of a flat picture or of a lifted photo; see :mod:`gainer_ns.editing.flat_or_lifted`.

    Attributes:
        edits: What is done, in this order.
        layers: Further pictures, by the names that edits use for them.
        background: What shows through holes and beyond the picture, or where nothing was lifted.
        canvas: Left, top, right and bottom of what is drawn, in pixels of the main picture, and perhaps beyond it;
            ``auto`` for all that the film ever shows; the whole picture if None.
        camera: A camera path of nerfstudio that films a lifted photo; the photo's own camera if None.
        frames: How many pictures a film has; None for as many as the camera path has, or else one, of its end.
        seconds: How long a film is, instead.
        fps: Frames a second; None for those of the camera path, or else 24.
        loop: Whether the film begins again after its end, or goes there and back (pingpong).
    """

    edits: tuple[Edit, ...] = ()
    layers: dict[Annotated[str, Field(min_length=1)], ScriptLayer] = Field({})
    background: Background = Background(transparent=True)
    canvas: Canvas | None = None
    camera: ExistingFile | None = None
    frames: FrameCount | None = None
    seconds: Duration | None = None
    fps: FrameRate | None = None
    loop: Loop = False

    @model_validator(mode="after")
    def _does_something(self) -> Script:
        check_length(self.frames, self.seconds, self.fps or DEFAULT_FPS)
        if not self.edits and not self.layers and self.camera is None:
            raise ValueError("has neither edits nor layers nor a camera; write at least one")
        return self

    @property
    def times(self) -> list[float]:
        """Times of the frames, from 0 to 1; just 1 for a single picture."""
        return frame_times(self.frame_count(), self.loop)

    def frame_count(self, fps: float | None = None) -> int | None:
        """Return how many pictures a film has, at so many a second; None where the script does not say."""
        return self.frames if self.seconds is None else frames_in(self.seconds, fps or self.fps or DEFAULT_FPS)

    def on_plane(self, width: int, height: int) -> Script:
        """Return the script of a flat picture of so many pixels, its selections checked.

        Selections in further layers are left to ``on_layer``, once the size of those pictures is known.

        Raises:
            GainerError: It speaks of space, or a selection does not fit the picture.
        """
        with self.located():
            check_on_plane(self)
        return self.on_layer(None, width, height)

    def in_space(self, width: int, height: int, layers: int) -> Script:
        """Return the script of a photo of so many pixels, lifted into so many layers, its selections checked.

        Raises:
            GainerError: It speaks of a plane, or a selection does not fit the photo.
        """
        with self.located():
            check_in_space(self, layers)
        for number, edit in enumerate(self.edits):
            self.check_selection(number, edit.select, width, height)
        return self

    def on_layer(self, layer: str | None, width: int, height: int) -> Script:
        """Check the selections in a layer, None for the main picture, against its size in pixels.

        Returns:
            The script, its percentages in these selections those of the layer's own picture.

        Raises:
            GainerError: A selection does not fit the layer's picture.
        """
        edits = list(self.edits)
        for i, edit in enumerate(edits):
            if edit.layer != layer:
                continue
            if layer is not None and has_percentages(edit.select):
                edits[i] = edit.model_copy(update={"select": self._selection_on(i, (width, height))})
            self.check_selection(i, edits[i].select, width, height)
        return self if all(map(operator.is_, edits, self.edits)) else self.model_copy(update={"edits": tuple(edits)})

    def _selection_on(self, number: int, size: tuple[int, int]) -> Selection:
        """Return an edit's selection on another picture than the main one."""
        try:
            return Selection.model_validate(self.edits[number].select.model_dump(), context={"size": size})
        except ValidationError:
            problem = f"does not fit its layer, which is {size[0]} x {size[1]} pixels; its percentages are of that"
            raise self.mistake(number, PlacedError(("select",), problem)) from None


def read_script(
    source: Path | Mapping[str, Any],
    width: int,
    height: int,
    *,
    lifted_layers: int | None = None,
    enclosed: bool = False,
) -> Script:
    """Read an edit script and check it against its picture; see :meth:`PlacedScript.read`.

    Args:
        source: See there.
        width: Of the picture in pixels.
        height: Likewise.
        lifted_layers: Into how many layers it was lifted; None for a flat picture.
        enclosed: See there.
    """
    script = Script.read(source, size=(width, height), enclosed=enclosed)
    return script.on_plane(width, height) if lifted_layers is None else script.in_space(width, height, lifted_layers)
