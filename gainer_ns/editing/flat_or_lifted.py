"""What a script may say of a flat picture alone, and what of a photo in space alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from gainer_ns.io.places import Loc, PlacedError

if TYPE_CHECKING:
    from gainer_ns.editing.operation import Operation
    from gainer_ns.editing.script import Edit, Script

LayerName = Literal["object", "background"]
"""What a photo was lifted into: what its mask shows, and what is behind that."""
LAYERS: tuple[LayerName, ...] = get_args(LayerName)
_FLAT = "is for photos that gainer-lift lifted, and this picture is flat"
_WORDS_OF_PLANES = "layers", "canvas", "order", "inpaint"


def check_on_plane(script: Script) -> None:
    """Refuse cameras, axes in space, places and lengths of three numbers, and layers that a script does not have.

    Raises:
        PlacedError: There are some.
    """
    if script.camera is not None:
        raise PlacedError(("camera",), f"{_FLAT}; leave it out, and write a canvas for what is drawn")
    if script.loop and script.frame_count() is None:
        raise PlacedError(("loop",), "is for films; write how many frames, or seconds, it has")
    for number, edit in enumerate(script.edits):
        for word in edit.words:
            _check_flat(getattr(edit, word), ("edits", number, word))
        if edit.layer is not None and edit.layer not in script.layers:
            known = f"layers are {', '.join(script.layers)}" if script.layers else "the script has no layers"
            if edit.layer in LAYERS:
                known += ", and those of lifted photos are not in a flat picture"
            raise PlacedError(("edits", number, "layer"), f"there is no layer {edit.layer[:40]!r}; {known}")


def check_in_space(script: Script, layers: int) -> None:
    """Refuse what a photo, lifted into so many layers, has no use for.

    Raises:
        PlacedError: There is such.
    """
    _check_words(script, ())
    if script.background.inpaint is not None:
        _check_words(script.background, ("background",))
    for number, edit in enumerate(script.edits):
        _check_words(edit, ("edits", number))
        if edit.layer is not None and edit.layer not in LAYERS:
            problem = f"must be {' or '.join(map(repr, LAYERS))}, not {edit.layer[:40]!r}"
            raise PlacedError(("edits", number, "layer"), problem)
        if edit.layer is not None and LAYERS.index(edit.layer) >= layers:
            problem = (
                "the photo was lifted without its background; leave layer out, or lift it with a mask and "
                "background inpaint"
            )
            raise PlacedError(("edits", number, "layer"), problem)
        if edit.select.matte:
            problem = "is for flat pictures; lift the photo with a matted mask instead"
            raise PlacedError(("edits", number, "select", "matte"), problem)


def _check_words(part: Script | Edit | Any, loc: Loc) -> None:
    """Refuse words of planes in a part of a script, and tell those that it may have."""
    for word in _WORDS_OF_PLANES:
        if word in part.model_fields_set:
            allowed = (name for name in type(part).model_fields if name not in _WORDS_OF_PLANES)
            raise PlacedError((*loc, word), f"is for flat pictures; on a lifted photo write {', '.join(allowed)}")


def _check_flat(operation: Operation, loc: Loc) -> None:
    """Refuse what an operation says of space."""
    if operation.is_planar:
        return
    said = {(name,): getattr(operation, name) for name in operation.model_fields_set}
    keyed = {place: tuple(track.values()) for place, track in operation.tracks.items()}
    for place, value in (*said.items(), *keyed.items()):
        if place[0] in operation.words_of_space:
            raise PlacedError((*loc, *place), f"{_FLAT}; leave it out")
        deep = None if (place in said and any(one[0] == place[0] for one in keyed)) else _deep_place(value)
        if deep is not None:
            where = place if place in keyed else (*place, *deep)
            raise PlacedError((*loc, *where), f"has three numbers; the third {_FLAT}; write two")


def _deep_place(value: Any) -> Loc | None:
    """Return where a place of three numbers stands in a value; None where none does."""
    if not isinstance(value, list | tuple):
        return None
    if len(value) == 3 and not any(isinstance(part, list | tuple) for part in value):
        return ()
    found = ((number, _deep_place(part)) for number, part in enumerate(value))
    return next(((number, *deep) for number, deep in found if deep is not None), None)
