"""What the parts of the panel share: the page, the session, the selection, the files, and a line to say things in."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import viser
from nerfstudio.utils.rich_utils import CONSOLE

from gainer_ns.editing.script import Script
from gainer_ns.errors import GainerError
from gainer_ns.viewer.picking import Picker
from gainer_ns.viewer.run_files import RunFiles
from gainer_ns.viewer.session import EditSession
from gainer_ns.viewer.subject import Subject

_MARKUP = re.compile(r"[\\`*_{}<>\[\]#|~]")


@dataclass
class PanelContext:
    """What the parts of one panel share.

    Attributes:
        server: The viewer's server.
        files: The folder of the panel's files.
        session: The editing session.
        picker: The selection.
        listeners: Called, with the lock held, when the selection or the script has changed.
        before_moving: Called so when what is selected begins to move.
    """

    server: viser.ViserServer
    files: RunFiles
    session: EditSession = field(init=False)
    picker: Picker = field(init=False)
    listeners: list[Callable[[], None]] = field(default_factory=list)
    before_moving: list[Callable[[], None]] = field(default_factory=list)
    _message: viser.GuiMarkdownHandle | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def subject(self) -> Subject:
        """The picture that is edited."""
        return self.session.subject

    def open(self) -> None:
        """Put the line of messages into the page, where the page is just being built."""
        self._message = self.server.gui.add_markdown("Choose a pointer, and select something.")

    def say(self, text: str, emphasis: str = "") -> None:
        """Show a message in the page, with files of the panel by their names alone."""
        if self._message is not None:
            text = _MARKUP.sub(r"\\\g<0>", text.replace(f"{self.files.folder}/", ""))
            show_text(self._message, f"{emphasis}{text}{emphasis}")

    def complain(self, text: str) -> None:
        """Show in the page what cannot be done."""
        self.say(text, emphasis="**")

    def changed(self) -> None:
        """Tell all listeners that the selection or the script has changed."""
        for listener in self.listeners:
            listener()

    def take(self, script: Script) -> None:
        """Make another script the current one, as a step of the history."""
        self.session.history.replace(script)
        self.session.refresh()
        self.changed()

    def buttons(
        self, label: str, actions: Mapping[str, Callable[[Any], None]], hint: str | None = None, visible: bool = True
    ) -> None:
        """Put a row of buttons into the page, where it is just being built.

        Args:
            label: Of the row.
            actions: What each button does, given the event.
            hint: What the row is for.
            visible: Whether it is to be seen.
        """
        row = self.server.gui.add_button_group(label, tuple(actions), hint=hint, visible=visible)
        row.value = ""  # viser tells of a button only where it was not the last one, and at first it is the first

        def pressed(event: Any) -> None:
            action = actions[row.value]
            row.value = ""
            action(event)

        row.on_click(self.by_user(pressed))

    def by_user(self, action: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a callback for what users do: one at a time; what cannot be done is said in the page.

        Values that the program itself sets come without a client, and are left out.
        """

        def run(event: Any) -> None:
            if getattr(event, "client", self) is not None:
                self.attempt(lambda: action(event))

        return run

    def by_hand(self, action: Callable[[], None]) -> Callable[[Any], None]:
        """Return a callback for what users drag, which may come faster than it is done.

        Args:
            action: Looks for itself where the hand is now, so that of several that wait one is enough.
        """
        waiting = threading.Lock()

        def act(_: Any) -> None:
            waiting.release()  # before it looks: what the hand does from here on is for the next one
            action()

        do = self.by_user(act)

        def run(event: Any) -> None:
            if getattr(event, "client", self) is not None and waiting.acquire(blocking=False):
                do(event)

        return run

    def handle(
        self, name: str, size: float, dragged: Callable[[], None], *, is_deep: bool = False, **options: Any
    ) -> viser.TransformControlsHandle:
        """Add what can be taken hold of in the picture, along two axes or, in space, three.

        Args:
            name: Of the node.
            size: In the page's units.
            dragged: Called where the hand has moved it.
            is_deep: Whether it moves in space.
            options: Of viser's.
        """
        handle = self.server.scene.add_transform_controls(
            name, scale=size, active_axes=(True, True, is_deep), depth_test=False, **options
        )
        handle.on_update(self.by_hand(dragged))
        return handle

    def attempt(self, action: Callable[[], None]) -> None:
        """Do something, one at a time; what goes wrong is said in the page."""
        with self._lock:
            try:
                action()
            except GainerError as error:
                self.complain(str(error))
            except Exception as error:
                CONSOLE.log(f"edit panel: {type(error).__name__}: {error}")
                self.complain("That did not work; the terminal says why.")


def show_value(control: Any, value: Any) -> None:
    """Let a control of the page show a value. Where it does, the page is told nothing, and has nothing to draw anew."""
    if control.value != value:
        control.value = value


def show_text(markdown: viser.GuiMarkdownHandle, text: str) -> None:
    """Let a text of the page say something, likewise."""
    if markdown.content != text:
        markdown.content = text
