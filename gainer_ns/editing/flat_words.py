"""Refuse in a script for flat pictures what only scripts for lifted photos say, and tell what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gainer_ns.editing.lifted_operations import LIFTED_OPERATIONS
from gainer_ns.editing.vocabulary import OPERATIONS
from gainer_ns.io.places import Loc, PlacedError

_FLAT = "is for photos that gainer-lift lifted, and this picture is flat"


def check_flat_script(script: Any) -> Any:
    """Refuse a camera; return what the script says.

    Raises:
        PlacedError: There is one.
    """
    if isinstance(script, Mapping) and "camera" in script:
        raise PlacedError(("camera",), f"{_FLAT}; leave it out, and write a canvas for what is drawn")
    return script


def check_flat_edit(edit: Any) -> Any:
    """Refuse axes in space, and places and lengths of three numbers; return what the edit says.

    Raises:
        PlacedError: There are some.
    """
    for word, said in edit.items() if isinstance(edit, Mapping) else ():
        in_plane, in_space = OPERATIONS.get(word), LIFTED_OPERATIONS.get(word)
        if in_plane is None or in_space is None or in_plane is in_space or not isinstance(said, Mapping):
            continue
        flat, lifted = in_plane.model_fields, in_space.model_fields
        for name, value in said.items():
            if name in lifted and name not in flat:
                raise PlacedError((word, name), f"{_FLAT}; leave it out")
            deep = _deep_place(value) if name in flat else None
            if deep is not None:
                raise PlacedError((word, name, *deep), f"has three numbers; the third {_FLAT}; write two")
    return edit


def _deep_place(value: Any) -> Loc | None:
    """Return where a place in space stands in the value of a word; None where none does."""
    if isinstance(value, Mapping):
        parts: Any = value.items()
    elif isinstance(value, list | tuple):
        if len(value) == 3 and not any(isinstance(part, list | tuple | Mapping) for part in value):
            return ()
        parts = enumerate(value)
    else:
        return None
    found = ((name, _deep_place(part)) for name, part in parts)
    return next(((name, *deep) for name, deep in found if deep is not None), None)
