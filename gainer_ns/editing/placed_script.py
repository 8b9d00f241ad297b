"""A script that remembers where in a file it stands, so that a mistake found later is said with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import PrivateAttr

from gainer_ns.editing.selection import ScriptModel, Selection
from gainer_ns.errors import GainerError
from gainer_ns.io.places import PlacedError, Places
from gainer_ns.io.yaml_file import read_document, to_yaml

ScriptT = TypeVar("ScriptT", bound="PlacedScript")


class PlacedScript(ScriptModel):
    """A script that remembers where in a file it stands."""

    _places: Places = PrivateAttr(Places())

    @classmethod
    def read(
        cls: type[ScriptT],
        source: Path | Mapping[str, Any],
        *,
        size: tuple[int, int] | None = None,
        enclosed: bool = False,
    ) -> ScriptT:
        """Read a script, without what only its picture tells.

        Args:
            source: The YAML file, whose paths start at its folder, or what would be in it.
            size: Width and height of its picture, which percentages are of; None where it may have none.
            enclosed: Whether it may name files of its own folder only, since nobody knows who wrote it.

        Raises:
            GainerError: In one line: the file, the line, the place, what is wrong there, and what is allowed.
        """
        script, places = read_document(source, cls, {"enclosed": enclosed, "size": size})
        script._places = places
        return script

    def where(self, *loc: int | str) -> str:
        """Return a place in words, with the script's file and line if it was read from one."""
        return self._places.where(loc)

    def check_selection(self, number: int, selection: Selection, width: int, height: int) -> None:
        """Check the selection of an edit, by its number, against the size of its picture; see ``Selection.check``."""
        try:
            selection.check(width, height)
        except PlacedError as error:
            raise self.mistake(number, error.below("select")) from None

    @contextmanager
    def located(self) -> Iterator[None]:
        """Raise a mistake that is found within this context as the one line that the user sees."""
        try:
            yield
        except PlacedError as error:
            raise self._places.error(error.loc, error.problem) from None

    def mistake(self, number: int, error: PlacedError) -> GainerError:
        """Return a mistake in an edit as the one line that the user sees."""
        error = error.below("edits", number)
        return self._places.error(error.loc, error.problem)

    def to_yaml(self, folder: Path | None = None) -> str:
        """Return YAML text that reads back, without default values; paths are relative to the folder it will be in."""
        return to_yaml(self, folder)
