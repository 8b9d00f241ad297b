"""Parse options that are given more than once: lists take them all, all others refuse."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_type_hints

import tyro

from gainer_ns.errors import GainerError

PointList = tuple[tuple[float, float], ...]
PathList = tuple[Path, ...]
MANY_POINTS = tyro.conf.arg(constructor=cast(type, Annotated[tuple[PointList, ...], tyro.conf.UseAppendAction]))
"""Marks an option of points that may be given more than once (``--click 1 2 --click 5 6``)."""
MANY_PATHS = tyro.conf.arg(constructor=cast(type, Annotated[tuple[PathList, ...], tyro.conf.UseAppendAction]))

T = TypeVar("T")


def flattened_groups(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return points or paths as one tuple, also where they came in groups, one for each time an option was given."""
    groups = (value if isinstance(value, (tuple, list)) and not _is_point(value) else (value,) for value in values)
    return tuple(itertools.chain.from_iterable(groups))


def parsed(command: Callable[..., T], args: Sequence[str] | None = None, *, prog: str | None = None) -> T:
    """Parse a command line (None for that of the process) into a dataclass, with tyro.

    Raises:
        GainerError: If an option that takes no list is given twice.
    """
    check_given_once(command, sys.argv[1:] if args is None else args)
    return tyro.cli(command, args=args, prog=prog)


def check_given_once(command: Callable[..., Any], args: Sequence[str]) -> None:
    """Refuse an option that is given twice and takes no list: the last would count, without a word.

    Raises:
        GainerError: If there is one.
    """
    options, given = _single_options(command), dict[str, str]()
    for word in itertools.takewhile(lambda word: word != "--", args):
        name = word.partition("=")[0].replace("_", "-")
        if name not in options:
            continue
        before = given.get(options[name])
        if before is not None:
            twice = f"{before} and {name}: are one option" if before != name else f"{name}: is given twice"
            raise GainerError(f"{twice}, of which only the last would count; leave out all but one")
        given[options[name]] = name


def _single_options(command: Callable[..., Any], group: str = "") -> dict[str, str]:
    """Return the options of a command that take no list, under all their names, and the field that each is."""
    options, inverted = dict[str, str](), dict[str, str]()
    for field, hint in get_type_hints(command, include_extras=True).items():
        if is_dataclass(hint):
            options |= _single_options(cast(type, hint), f"{group}{field.replace('_', '-')}.")
            continue
        marks = getattr(hint, "__metadata__", ())
        if MANY_POINTS in marks or MANY_PATHS in marks:
            continue
        others = [mark for mark in marks if hasattr(mark, "aliases")]  # what tyro.conf.arg makes
        for name in (field, *(one for mark in others for one in (mark.name or field, *(mark.aliases or ())))):
            name = name.lstrip("-").replace("_", "-")
            options[f"--{group}{name}"], inverted[f"--{group}no-{name}"] = group + field, group + field
    return inverted | options


def _is_point(value: Sequence[Any]) -> bool:
    return len(value) > 0 and isinstance(value[0], (int, float))
