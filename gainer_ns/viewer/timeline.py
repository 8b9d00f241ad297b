"""The keyframes of an edit, set and taken away at the time that is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from gainer_ns.editing.timing import Easing
from gainer_ns.errors import GainerError
from gainer_ns.viewer.context import PanelContext, show_text, show_value
from gainer_ns.viewer.edit_chooser import EditChooser
from gainer_ns.viewer.keyframes import SAME_TIME

AMOUNT_LIMITS = -2.0, 2.0
UNWRITTEN = {0.0: 0.0, 1.0: 1.0}
"""The keyframes of an edit that has none."""


class Timeline:
    """The keyframes' controls, built where the page is just being built.

    Args:
        chooser: Whose edit.
        seek: Goes to a time, in the page too.
    """

    def __init__(self, context: PanelContext, chooser: EditChooser, seek: Callable[[float], None]) -> None:
        self._context, self._chooser, self._seek = context, chooser, seek
        gui, by_hand = context.server.gui, context.by_hand
        self._amount = gui.add_slider(
            "Amount", *AMOUNT_LIMITS, 0.01, 1.0, hint="Of the edit at this time: 0 nothing, 1 all, -1 the opposite"
        )
        actions = {"set": self.set, "remove": self.remove, "clear": self.clear}
        context.buttons(
            "Keyframe",
            {name: lambda _, action=action: action() for name, action in actions.items()},
            hint="At the time that is shown",
        )
        context.buttons(
            "Go to", {"previous": lambda _: self.go(-1), "next": lambda _: self.go(1)}, hint="A keyframe of the edit"
        )
        self._easing = gui.add_dropdown("Easing", get_args(Easing), initial_value="smooth", hint="Between keyframes")
        self._easing.on_update(by_hand(lambda: chooser.revise(easing=self._easing.value)))
        self._list = gui.add_markdown("")
        chooser.listeners.append(self.show)
        self.show()

    @property
    def keyframes(self) -> dict[float, float]:
        """Amounts by times."""
        edit = self._chooser.edit
        return UNWRITTEN if edit is None or edit.keyframes is None else edit.keyframes

    def set(self) -> None:
        """Set a keyframe at the time that is shown; one that is there is set anew."""
        self._chooser.chosen()
        time = round(self._context.session.time, 4)
        kept = {at: amount for at, amount in self.keyframes.items() if abs(at - time) > SAME_TIME}
        self._chooser.revise(keyframes={**kept, time: float(self._amount.value)})
        self._context.say(f"A keyframe at {time:g}.")

    def remove(self) -> None:
        """Take away the keyframe at the time that is shown."""
        edit, time = self._chooser.chosen(), self._context.session.time
        kept = {at: amount for at, amount in self.keyframes.items() if abs(at - time) > SAME_TIME}
        if edit.keyframes is None or len(kept) == len(edit.keyframes):
            raise GainerError(f"there is no keyframe at {time:g}; go to one first")
        self._chooser.revise(keyframes=kept or None)
        self._context.say(f"No keyframe at {time:g}.")

    def clear(self) -> None:
        """Take all keyframes away: the edit then goes from nothing to all of it."""
        if self._chooser.chosen().keyframes is not None:
            self._chooser.revise(keyframes=None)
        self._context.say("No keyframes.")

    def go(self, step: int) -> None:
        """Go to the next keyframe, or with -1 to the one before, if there is one."""
        times, now = list(self.keyframes), self._context.session.time
        further = [at for at in times if step * (at - now) > SAME_TIME]
        if further:
            self._seek(min(further, key=lambda at: step * at))

    def show(self) -> None:
        """Show the keyframes, and how much of the edit there is at the time that is shown."""
        edit, now = self._chooser.edit, self._context.session.time
        show_value(self._amount, 1.0 if edit is None else round(edit.amount(now), 3))
        show_value(self._easing, "smooth" if edit is None else edit.easing)
        if edit is None:
            show_text(self._list, "")
            return
        marked = [
            f"**{at:g}: {amount:g}**" if abs(at - now) <= SAME_TIME else f"{at:g}: {amount:g}"
            for at, amount in self.keyframes.items()
        ]
        unwritten = " (as without keyframes)" if edit.keyframes is None else ""
        show_text(self._list, f"Keyframes: {' · '.join(marked)}{unwritten}")
