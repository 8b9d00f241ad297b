"""Scripts that were and may be again: undo, redo, and an edit that is still under way."""

from __future__ import annotations

from collections.abc import Callable

from gainer_ns.editing.lifted_script import LiftedEdit
from gainer_ns.editing.script import Edit
from gainer_ns.viewer.subject import AnyScript

LONGEST = 200
"""How many steps can be undone."""


class History:
    """The script as it is, what it was before, and what was undone.

    Args:
        script: The first.

    Attributes:
        is_under_way: Whether the last edit may still be changed without a new step.
    """

    def __init__(self, script: AnyScript) -> None:
        self._past: list[AnyScript] = []
        self._future: list[AnyScript] = []
        self._script = script
        self.is_under_way = False

    @property
    def script(self) -> AnyScript:
        """The script as it is."""
        return self._script

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken back."""
        return bool(self._future)

    def replace(self, script: AnyScript) -> None:
        """Makes another script the current one, as a step of its own."""
        self._past = [*self._past[1 - LONGEST :], self._script]
        self._script, self._future, self.is_under_way = script, [], False

    def put(self, edit: Edit | LiftedEdit) -> None:
        """Puts the edit that is under way at the end of the script: a new one, or what has become of it."""
        script = self.with_edit(edit)
        if self.is_under_way:
            self._script = script
        else:
            self.replace(script)
        self.is_under_way = True

    def with_edit(self, edit: Edit | LiftedEdit) -> AnyScript:
        """The script that ``put`` makes."""
        before = self._script.edits[:-1] if self.is_under_way else self._script.edits
        return self._script.model_copy(update={"edits": (*before, edit)})

    def drop(self) -> None:
        """Takes the edit that is under way away, as if it had never begun."""
        if self.is_under_way:
            self._script, self.is_under_way = self._past.pop(), False

    def finish(self) -> None:
        """Ends the edit that is under way: the next one is another."""
        self.is_under_way = False

    def undo(self) -> None:
        """Takes the last step back, if there is one."""
        self._step(self._past.pop, self._past, self._future)

    def redo(self) -> None:
        """Takes the last step that was undone again, if there is one."""
        self._step(self._future.pop, self._future, self._past)

    def _step(self, take: Callable[[], AnyScript], source: list[AnyScript], other: list[AnyScript]) -> None:
        if source:
            other.append(self._script)
            self._script = take()
        self.is_under_way = False
