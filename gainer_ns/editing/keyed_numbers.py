"""Numbers of an operation that have keyframes of their own: found in what a script says, put in, and written again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel

from gainer_ns.editing.percentages import Percentage
from gainer_ns.io.places import Loc, PlacedError

Tracks: TypeAlias = dict[Loc, dict[float, Any]]
"""Values at times, in order of time, by where in an operation they stand."""


def tracks_in(words: Any, loc: Loc = ()) -> Tracks:
    """Return the mappings of times to values in what a script says of an operation.

    Raises:
        PlacedError: A time is none.
    """
    if isinstance(words, Mapping):
        if words and all(isinstance(key, int | float) and not isinstance(key, bool) for key in words):
            for time in words:
                if not 0 <= time <= 1:
                    raise PlacedError((*loc, str(time)), f"must be a time from 0 to 1, not {time:g}")
            return {loc: {float(time): value for time, value in sorted(words.items())}}
        parts = words.items()
    elif isinstance(words, list | tuple):
        parts = enumerate(words)
    else:
        return {}
    return {place: track for name, part in parts for place, track in tracks_in(part, (*loc, name)).items()}


def replaced(words: Any, loc: Loc, value: Any) -> Any:
    """Return what a script says of an operation, or an operation's own parts, with another value at one place."""
    if not loc:
        return value
    if isinstance(words, BaseModel):
        words = parts_of(words)
    if isinstance(words, Mapping):
        return {**words, loc[0]: replaced(words.get(loc[0]), loc[1:], value)}
    return [replaced(part, loc[1:], value) if i == loc[0] else part for i, part in enumerate(words)]


def parts_of(model: BaseModel) -> dict[str, Any]:
    """Return what was said of a model, by its words."""
    fields = type(model).model_fields
    return {
        field.alias or name: getattr(model, name) for name, field in fields.items() if name in model.model_fields_set
    }


def value_at(model: Any, loc: Loc) -> Any:
    """Return what stands at a place of an operation."""
    for part in loc:
        model = parts_of(model)[str(part)] if isinstance(model, BaseModel) else model[part]
    return model


def read_tracks(tracks: Tracks, words: Any, read: Callable[[Any], Any]) -> tuple[Any, Tracks]:
    """Return an operation as it is at the end, and what its tracks say, in pixels and checked value by value.

    Args:
        tracks: As ``tracks_in`` returns them.
        words: What the script says of the operation.
        read: Reads an operation without keyframes.
    """
    for loc, track in tracks.items():
        words = replaced(words, loc, list(track.values())[-1])
    checked = {
        loc: {time: value_at(read(replaced(words, loc, value)), loc) for time, value in track.items()}
        for loc, track in tracks.items()
    }
    return read(words), checked


def written(value: Any) -> Any:
    """Return a value as a script says it: percentages as they were read."""
    if isinstance(value, list | tuple):
        return [written(part) for part in value]
    return value.text if isinstance(value, Percentage) else value
