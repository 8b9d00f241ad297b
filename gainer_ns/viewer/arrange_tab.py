"""The tab that says what passes before what: order and mode of an edit, and what lies behind all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gainer_ns.editing.backgrounds import Background
from gainer_ns.viewer.context import PanelContext, show_value
from gainer_ns.viewer.edit_chooser import EditChooser

AS_WRITTEN, BY_KIND = "as written", "by its kind"
ORDERS = ("front", "back", AS_WRITTEN)
MODES = (BY_KIND, "sheet", "piece")
TRANSPARENT, COLOUR, INPAINT = "transparent", "colour", "inpaint"
WHITE = (255, 255, 255)


class ArrangeTab:
    """The tab, built where the page is just being built.

    Args:
        chooser: Whose order and mode it changes.
    """

    def __init__(self, context: PanelContext, chooser: EditChooser) -> None:
        self._context, self._chooser = context, chooser
        gui, by_hand, is_deep = context.server.gui, context.by_hand, context.subject.is_deep
        self._order = gui.add_dropdown(
            "Order",
            ORDERS,
            hint="Whether what the edit moves passes before the rest, or behind it",
            visible=not is_deep,
        )
        self._order.on_update(by_hand(lambda: self.set_order(self._order.value)))
        self._mode = gui.add_dropdown(
            "Mode", MODES, hint="Whether it pulls its surroundings along (sheet), or is cut out (piece)"
        )
        self._mode.on_update(by_hand(lambda: self.set_mode(self._mode.value)))
        kinds = [str(kind) for kind in (TRANSPARENT, COLOUR, INPAINT, AS_WRITTEN) if not is_deep or kind != INPAINT]
        self._behind = gui.add_dropdown(
            "Background", tuple(kinds), hint="What shows through holes and beyond the picture"
        )
        self._behind.on_update(by_hand(lambda: self.set_background(self._behind.value)))
        self._colour = gui.add_rgb("Colour", WHITE, hint="Of the background")
        self._colour.on_update(by_hand(lambda: self.set_background(COLOUR)))
        chooser.listeners.append(self.show)
        self.show()

    def set_order(self, order: str) -> None:
        """Let the edit pass in front or at the back."""
        if order == AS_WRITTEN:
            self.show()
            return
        self._chooser.revise(order=order)
        self._context.say(f"Order: {order}.")

    def set_mode(self, mode: str) -> None:
        """Let the edit pull its surroundings along, or cut out what it moves."""
        self._chooser.revise(mode=None if mode == BY_KIND else mode)
        self._context.say(f"Mode: {mode}.")

    def set_background(self, kind: str) -> None:
        """Put something behind all, in the script."""
        words: dict[str, Any] = {
            TRANSPARENT: {"transparent": True},
            COLOUR: {"color": [float(part) for part in self._colour.value]},
            INPAINT: {"inpaint": "telea"},
        }
        if kind not in words:
            self.show()
            return
        self._context.session.revise_script(background=Background.model_validate(words[kind]))
        self._context.say(f"Background: {kind}.")

    def show(self) -> None:
        """Show what the script says."""
        edit, background = self._chooser.edit, self._context.session.history.script.background
        order = "front" if edit is None else edit.order
        show_value(self._order, order if order in ("front", "back") else AS_WRITTEN)
        show_value(self._mode, BY_KIND if edit is None or edit.mode is None else edit.mode)
        show_value(self._behind, _kind_of(background))
        if background.color is not None:
            show_value(self._colour, tuple(round(part) for part in background.color))


def _kind_of(background: Background) -> str:
    known: Mapping[str, bool] = {
        TRANSPARENT: background.transparent,
        COLOUR: background.color is not None,
        INPAINT: background.inpaint is not None,
    }
    return next((kind for kind, is_it in known.items() if is_it), AS_WRITTEN)
