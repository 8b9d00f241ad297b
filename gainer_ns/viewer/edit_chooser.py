"""The list of the script's edits, of which one is chosen to say when and how it is done."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from gainer_ns.editing.script import Edit, Script
from gainer_ns.editing.selection import Selection
from gainer_ns.errors import GainerError
from gainer_ns.viewer.context import PanelContext, show_value

NO_EDITS = "none yet"


class EditChooser:
    """The list, built where the page is just being built; a new edit is chosen as it begins.

    Attributes:
        listeners: Called when another edit is chosen, or the time or anything of the script has changed.
    """

    def __init__(self, context: PanelContext) -> None:
        self._context = context
        self._seen: tuple[Script, float] | None = None
        self.listeners: list[Callable[[], None]] = []
        self._list = context.server.gui.add_dropdown(
            "Edit",
            tuple(str(name) for name in (NO_EDITS,)),
            hint="Whose keyframes, order and mode the tabs Film and Arrange change",
        )
        self._list.on_update(context.by_hand(lambda: self._tell()))
        context.session.watchers.append(self._follow)

    @property
    def edit(self) -> Edit | None:
        """The edit; None where there is none."""
        edits = self._context.session.history.script.edits
        return edits[self._number] if self._number < len(edits) else None

    def choose(self, number: int) -> None:
        """Choose an edit by its number, from 0."""
        self._list.value = self._list.options[number]
        self._tell()

    def chosen(self) -> Edit:
        """Return the edit; raise GainerError where there is none."""
        if self.edit is None:
            raise GainerError("there is no edit yet; move something in the tab Move first")
        return self.edit

    def revise(self, together: Hashable = None, **changes: Any) -> None:
        """Change words of the edit; see :meth:`gainer_ns.viewer.session.EditSession.revise`."""
        self.chosen()
        self._context.session.revise(self._number, together, **changes)

    def begin(self, words: Mapping[str, Any]) -> None:
        """Begin an edit that is whole at once, of what is selected or else of all."""
        context, history = self._context, self._context.session.history
        history.finish()
        context.session.change(context.picker.selection or Selection(all=True), words)
        history.finish()
        context.changed()

    @property
    def _number(self) -> int:
        return self._list.options.index(self._list.value)

    def _follow(self, script: Script) -> None:
        """List the edits of a script."""
        seen, time = self._seen, self._context.session.time
        if seen is not None and seen[0] is script and seen[1] == time:
            return
        self._seen = script, time
        names = [f"{number}: {', '.join(edit.words)}" for number, edit in enumerate(script.edits, start=1)]
        names = names or [NO_EDITS]
        number = self._number if len(names) == len(self._list.options) else len(names) - 1
        if tuple(names) != self._list.options:
            self._list.options = tuple(names)
            show_value(self._list, names[number])
        self._tell()

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()
