"""An editing session: a subject, the history of its script, and the picture that is shown of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from nerfstudio.utils.rich_utils import CONSOLE
from pydantic import ValidationError

from gainer_ns.editing.script import Edit, Script
from gainer_ns.editing.selection import Selection
from gainer_ns.errors import GainerError
from gainer_ns.viewer.subject import AnyPicture, AnyStage, Made, Subject
from gainer_ns.viewer.worker import LatestWorker

MAX_UNDO_STEPS = 200
"""How many steps can be undone."""


class ScriptHistory:
    """The script as it is, what it was before, and what was undone.

    Attributes:
        script: The script as it is.
        is_under_way: Whether the last edit may still be changed without a new step.
    """

    def __init__(self, script: Script) -> None:
        self._past: list[Script] = []
        self._future: list[Script] = []
        self._begun_from = script  # what the edit that is under way was put behind
        self._together: tuple[Hashable, Script] | None = None
        self.script = script
        self.is_under_way = False

    def replace(self, script: Script) -> None:
        """Make another script the current one, as a step of its own."""
        self._past = [*self._past[1 - MAX_UNDO_STEPS :], self.script]
        self.script, self._future, self.is_under_way = script, [], False

    def put(self, edit: Edit) -> None:
        """Put the edit that is under way at the end of the script: a new one, or what has become of it."""
        script = self.with_edit(edit)
        if self.is_under_way:
            self.script = script
        else:
            self._begun_from = self.script
            self.replace(script)
        self.is_under_way = True

    def revise(self, script: Script, together: Hashable = None) -> None:
        """Change something else of the script; an edit that is under way goes on.

        Args:
            script: What it becomes.
            together: What is changed; changes of the same, one after the other, are one step. None for a step alone.
        """
        under_way, before = self.is_under_way, self._together
        if together is not None and before is not None and before[0] == together and before[1] is self.script:
            self.script = script
        else:
            self.replace(script)
        self.is_under_way, self._together = under_way, (together, script)

    def with_edit(self, edit: Edit) -> Script:
        """Return the script that ``put`` makes."""
        before = self.script.edits[:-1] if self.is_under_way else self.script.edits
        return self.script.model_copy(update={"edits": (*before, edit)})

    def drop(self) -> None:
        """Take the edit that is under way away, as if it had never begun; as a step where it was revised."""
        if self.is_under_way and self._past[-1] is self._begun_from:
            self.script, self.is_under_way = self._past.pop(), False
        elif self.is_under_way:
            before = self.script.edits[:-1]
            self.replace(self.script.model_copy(update={"edits": before}))

    def finish(self) -> None:
        """End the edit that is under way: the next one is another."""
        self.is_under_way = False

    def undo(self) -> None:
        """Take the last step back, if there is one."""
        self._step(self._past, self._future)

    def redo(self) -> None:
        """Take the last step that was undone again, if there is one."""
        self._step(self._future, self._past)

    def _step(self, source: list[Script], other: list[Script]) -> None:
        before = self.script
        if source:
            other.append(self.script)
            self.script = source.pop()
        self.is_under_way = self.is_under_way and movements(before) == movements(self.script)


def movements(script: Script) -> list[Any]:
    """Return what a script moves and how far, without when, and in which order and mode, it does so."""
    return [(edit.select, edit.operations) for edit in script.edits]


HOW_AND_WHEN = ("order", "mode", "keyframes", "easing")
"""The words of an edit beside what it takes and what it does to that."""
SLIGHT_MOVE_PX, WIDE_MOVE_PX = 1.0, 1e4
"""Pixels of a movement at which hardly anything tears, and at which everything does that can."""
MAX_KEPT_FRAMES = 120
"""Frames that are kept while a film is played, of some megabytes each."""
MAX_READY_SCRIPTS = 3
"""How many scripts stay ready: the one that is shown, and what may become of it, which is one thing while the
surroundings of a soft selection follow it, and another once they tear."""


class KeptFrames:
    """Frames of a film that were made, for as long as the script stays as it is."""

    def __init__(self) -> None:
        self._frames: dict[float, Made] = {}
        self._of: tuple[Subject, Script] | None = None
        self._asked = 0.0

    def get(self, subject: Subject, script: Script, time: float) -> Made | None:
        """Return the frame at a time; None where it has not been put here."""
        if self._of is None or self._of[0] is not subject or self._of[1] is not script:
            self._frames, self._of = {}, (subject, script)
        self._asked = time
        return self._frames.get(time)

    def put(self, made: Made) -> None:
        """Keep the frame that was asked for last, while there is room."""
        if len(self._frames) < MAX_KEPT_FRAMES:
            self._frames[self._asked] = made


class EditSession:
    """What the panel changes, and pages are shown.

    Pictures are made in a thread of their own: calls return at once, and ``redraw`` is called when there is something
    new to be seen.

    Args:
        subject: What is edited.
        redraw: Called from any thread.
        complain: Called from any thread with one line that says what cannot be done.

    Attributes:
        time: Of the film, from 0 to 1.
        is_playing: Whether a film plays, so that pages hurry.
        watchers: Called with the script whenever it, or the time, may have changed.
    """

    def __init__(self, subject: Subject, redraw: Callable[[], None], complain: Callable[[str], None]) -> None:
        self.subject = subject
        self.history = ScriptHistory(subject.empty())
        self.time = 1.0
        self.watchers: list[Callable[[Script], None]] = []
        self._redraw, self._complain = redraw, complain
        self._worker = LatestWorker()
        self._shown: AnyPicture = subject.fitted
        self._staged: tuple[AnyStage, ...] = ()
        self._played: Callable[[float], AnyPicture] | None = None
        self._at_rest = False
        self._keeps = self.is_playing = False
        self._frames = KeptFrames()

    @property
    def shown(self) -> AnyPicture:
        """The picture as it is to be seen."""
        return self.subject.fitted if self._at_rest else self._shown

    def take(self, subject: Subject) -> None:
        """Take what was fitted anew in the place of what is edited, and shows it at once.

        It is made in this thread: while something is fitted there is always something newer before another has done it.
        """
        try:
            staged, made = self._made(subject, (), self.history.script, self.time)
        except GainerError as error:
            self._complain(str(error))
            staged, made = (), Made(subject.fitted, False)
        self.subject, self._staged, self._shown, self._played = subject, staged, made.picture, None

    def show_unedited(self, unedited: bool) -> None:
        """Show the picture as it was fitted, for selecting, or as it is."""
        if unedited != self._at_rest:
            self._at_rest = unedited
            self._redraw()

    def change(self, select: Selection, words: Mapping[str, Any]) -> None:
        """Change the edit that is under way, or begins one. Without words it is taken away.

        Raises:
            GainerError: The words are wrong.
        """
        if not words:
            if self.history.is_under_way:
                self.history.drop()
                self.refresh()
            return
        said: dict[str, Any] = {}
        if self.history.is_under_way:
            under_way = self.history.script.edits[-1]
            said = {word: getattr(under_way, word) for word in HOW_AND_WHEN if word in under_way.model_fields_set}
        self.history.put(self._checked(select, {**words, **said}))
        self.refresh()

    def revise(self, number: int, together: Hashable = None, **changes: Any) -> None:
        """Change other words of an edit than those that move it, as a step.

        Args:
            number: Of the edit.
            together: See :meth:`ScriptHistory.revise`.
            changes: What the words are to say; None for what they say where nobody writes them.

        Raises:
            GainerError: The words are wrong.
        """
        script = self.history.script
        edits = list(script.edits)
        edit = edits[number]
        words = (*edit.words, *(word for word in ("layer", *HOW_AND_WHEN) if word in edit.model_fields_set))
        said = {**{word: getattr(edit, word) for word in words}, **changes}
        edits[number] = self._checked(edit.select, {word: value for word, value in said.items() if value is not None})
        self.history.revise(script.model_copy(update={"edits": tuple(edits)}), together)
        self.refresh()

    def revise_script(self, **changes: Any) -> None:
        """Change words of the script beside its edits, as a step."""
        self.history.revise(self.history.script.model_copy(update=changes))
        self.refresh()

    def _checked(self, select: Selection, words: Mapping[str, Any]) -> Edit:
        """Return an edit; raise GainerError where its words are wrong."""
        try:
            return self.subject.edit(select, words)
        except ValidationError as error:
            raise GainerError(one_line(error)) from None

    def expect(self, select: Selection) -> None:
        """Make ready for an edit of a selection, so that its first movement is seen as soon as all that follow."""
        subject = self.subject
        shifts = [(by, 0.0, 0.0)[: 3 if subject.is_deep else 2] for by in (WIDE_MOVE_PX, SLIGHT_MOVE_PX)]
        self.refresh([self.history.with_edit(subject.edit(select, {"move": {"by": shift}})) for shift in shifts])

    def play(self, played: Callable[[float], AnyPicture] | None) -> None:
        """Show a sequence, by the time from 0 to 1, instead of the script; or the script again."""
        self._played = played
        self.refresh()

    def show(self, make: Callable[[], AnyPicture]) -> None:
        """Show a picture of one's own, until anything else is to be shown; the newest, where several are asked for."""

        def work() -> None:
            with self._complaining():
                self._shown = make()
                self._redraw()

        self._worker.ask(work)

    def seek(self, time: float, *, keep: bool = False) -> None:
        """Go to a time of the film; what is shown then is kept for the next time, if that is asked for."""
        self.time, self._keeps = time, keep
        self.refresh()

    def wait(self) -> bool:
        """Wait until what is shown is what was asked for, and return whether it is."""
        return self._worker.wait()

    def refresh(self, expected: Sequence[Script] = ()) -> None:
        """Show the script as it is now, roughly until there is time for more, and make ready for what it may become."""
        script, time, played = self.history.script, self.time, self._played
        keep, self._keeps = self._keeps, False

        def work(*, is_draft: bool = True) -> Callable[[], Any] | None:
            subject = self.subject
            with self._complaining():
                kept = self._frames.get(subject, script, time) if is_draft else None
                if played is not None:
                    staged, made = self._staged, Made(played(time), False)
                elif kept is not None:
                    staged, made = self._staged, kept
                else:
                    staged, made = self._made(subject, self._staged, script, time, is_draft=is_draft)
                    if keep:
                        self._frames.put(made)
                if subject is self.subject:  # and not one that was fitted meanwhile
                    self._staged, self._shown = staged, made.picture
                    self._redraw()
                for may_be in expected:
                    staged = self._ready(subject, staged, may_be)
                if subject is self.subject:
                    self._staged = staged
                if made.is_rough and not self.is_playing:
                    return partial(work, is_draft=False)
            return None

        self._worker.ask(work)
        for watcher in self.watchers:
            watcher(script)

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        """Say what goes wrong in a thread, which goes on: what is asked for next may well be drawn."""
        try:
            yield
        except GainerError as error:
            self._complain(str(error))
        except Exception as error:
            CONSOLE.log(f"edit panel: {type(error).__name__}: {error}")
            self._complain("This cannot be shown; the terminal says why.")

    @classmethod
    def _made(
        cls,
        subject: Subject,
        staged: tuple[AnyStage, ...],
        script: Script,
        time: float,
        *,
        is_draft: bool = False,
    ) -> tuple[tuple[AnyStage, ...], Made]:
        """Return what is ready, the script among it, and the picture at a time."""
        if not script.edits and not getattr(script, "layers", {}) and script.background.transparent:
            return staged, Made(subject.fitted, False)
        staged = cls._ready(subject, staged, script)
        return staged, subject.at(script, staged[0], time, is_draft=is_draft)

    @staticmethod
    def _ready(subject: Subject, staged: tuple[AnyStage, ...], script: Script) -> tuple[AnyStage, ...]:
        """Make a script ready, out of one that was where that is quick; it comes first."""
        first = next((stage for stage in staged if stage.follow(script)), None) or subject.staged(script)
        return first, *[stage for stage in staged if stage is not first][: MAX_READY_SCRIPTS - 1]


def one_line(error: ValidationError) -> str:
    """Return what pydantic found wrong first, in one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg'].removeprefix('Value error, ')}" if where else first["msg"]
