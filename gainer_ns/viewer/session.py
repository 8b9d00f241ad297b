"""An editing session: a subject, the history of its script, and the picture that is shown of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nerfstudio.utils.rich_utils import CONSOLE
from pydantic import ValidationError

from gainer_ns.editing.selection import Selection
from gainer_ns.errors import GainerError
from gainer_ns.viewer.history import History
from gainer_ns.viewer.latest import Latest
from gainer_ns.viewer.subject import AnyScript, Shown, Staged, Subject

NEAR, FAR = 1.0, 1e4
"""Pixels of a movement at which hardly anything tears, and at which everything does that can."""
KEPT = 3
"""How many scripts stay ready: the one that is shown, and what may become of it, which is one thing while the
surroundings of a soft selection follow it, and another once they tear."""


class EditSession:
    """What the panel changes, and the model asks for.

    Pictures are made in a thread of their own: calls return at once, and ``redraw`` is called when there is something
    new to be seen.

    Args:
        subject: What is edited.
        redraw: Called from any thread.
        complain: Called from any thread with one line that says what cannot be done.

    Attributes:
        time: Of the film, from 0 to 1.
        keep: Called with the script whenever it may have changed.
    """

    def __init__(self, subject: Subject, redraw: Callable[[], None], complain: Callable[[str], None]) -> None:
        self.subject = subject
        self.history = History(subject.empty())
        self.time = 1.0
        self.keep: Callable[[AnyScript], None] = lambda _: None
        self._redraw, self._complain = redraw, complain
        self._latest = Latest()
        self._shown: Shown = subject.fitted
        self._staged: tuple[Staged, ...] = ()
        self._played: Callable[[float], Shown] | None = None
        self._at_rest = False

    @property
    def shown(self) -> Shown:
        """The picture as it is to be seen."""
        return self.subject.fitted if self._at_rest else self._shown

    def take(self, subject: Subject) -> None:
        """Takes what was fitted anew in the place of what is edited, and shows it at once.

        It is made in this thread: while something is fitted there is always something newer before another has done it.
        """
        try:
            staged, shown = self._made(subject, (), self.history.script, self.time)
        except GainerError as error:
            self._complain(str(error))
            staged, shown = (), subject.fitted
        self.subject, self._staged, self._shown, self._played = subject, staged, shown, None

    def show_unedited(self, unedited: bool) -> None:
        """Shows the picture as it was fitted, for selecting, or as it is."""
        if unedited != self._at_rest:
            self._at_rest = unedited
            self._redraw()

    def change(self, select: Selection, words: Mapping[str, Any]) -> None:
        """Changes the edit that is under way, or begins one. Without words it is taken away.

        Raises:
            GainerError: The words are wrong.
        """
        if not words:
            if self.history.is_under_way:
                self.history.drop()
                self._show()
            return
        try:
            edit = self.subject.edit(select, words)
        except ValidationError as error:
            raise GainerError(one_line(error)) from None
        self.history.put(edit)
        self._show()

    def expect(self, select: Selection) -> None:
        """Makes ready for an edit of a selection, so that its first movement is seen as soon as all that follow."""
        subject = self.subject
        ways = [(by, 0.0, 0.0)[: 3 if subject.is_deep else 2] for by in (FAR, NEAR)]
        self._show([self.history.with_edit(subject.edit(select, {"move": {"by": way}})) for way in ways])

    def play(self, played: Callable[[float], Shown] | None) -> None:
        """Shows a sequence, by the time from 0 to 1, instead of the script; or the script again."""
        self._played = played
        self._show()

    def seek(self, time: float) -> None:
        """Goes to a time of the film."""
        self.time = time
        self._show()

    def refresh(self) -> None:
        """Shows the script as it is now, after the history has changed."""
        self._show()

    def wait(self) -> bool:
        """Waits until what is shown is what was asked for."""
        return self._latest.wait()

    def _show(self, expected: Sequence[AnyScript] = ()) -> None:
        """Shows the script as it is, and then makes ready for what it may become."""
        script, time, played = self.history.script, self.time, self._played
        self.keep(script)

        def work() -> None:
            subject = self.subject
            try:
                if played is not None:
                    staged, shown = self._staged, played(time)
                else:
                    staged, shown = self._made(subject, self._staged, script, time)
                if subject is self.subject:  # and not one that was fitted meanwhile
                    self._staged, self._shown = staged, shown
                    self._redraw()
                for may_be in expected:
                    staged = self._ready(subject, staged, may_be)
                if subject is self.subject:
                    self._staged = staged
            except GainerError as error:
                self._complain(str(error))
            except Exception as error:  # the thread goes on: what is asked for next may well be drawn
                CONSOLE.log(f"edit panel: {type(error).__name__}: {error}")
                self._complain("This cannot be shown; the terminal says why.")

        self._latest.ask(work)

    @classmethod
    def _made(
        cls, subject: Subject, staged: tuple[Staged, ...], script: AnyScript, time: float
    ) -> tuple[tuple[Staged, ...], Shown]:
        """What is ready, the script among it, and the picture at a time."""
        if not script.edits and not getattr(script, "layers", {}):
            return staged, subject.fitted
        staged = cls._ready(subject, staged, script)
        return staged, staged[0].at(time)

    @staticmethod
    def _ready(subject: Subject, staged: tuple[Staged, ...], script: AnyScript) -> tuple[Staged, ...]:
        """Makes a script ready, out of one that was where that is quick; it comes first."""
        first = next((stage for stage in staged if stage.follow(script)), None) or subject.staged(script)
        return first, *[stage for stage in staged if stage is not first][: KEPT - 1]


def one_line(error: ValidationError) -> str:
    """What pydantic found wrong first, in one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg'].removeprefix('Value error, ')}" if where else first["msg"]
