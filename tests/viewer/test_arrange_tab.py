"""Order, mode and background of what is edited, as the page changes and shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gainer_ns.editing.selection import Selection
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.arrange_tab import ArrangeTab
from gainer_ns.viewer.edit_chooser import EditChooser

BOX = Selection(box=(30.0, 20.0, 50.0, 40.0))


@pytest.fixture
def tab(panel: Any) -> ArrangeTab:
    panel.session.change(BOX, {"move": {"by": [25, 0]}})
    return ArrangeTab(panel, EditChooser(panel))


def seen(panel: Any) -> tuple[np.ndarray, np.ndarray]:
    assert panel.session.wait()
    colours, opacity = panel.session.shown.raster()
    return colours.numpy(), opacity[..., 0].numpy()


def saved(panel: Any) -> tuple[np.ndarray, np.ndarray]:
    subject, script = panel.subject, panel.session.history.script
    stage = subject.staged(script)
    frame = subject.camera(script, stage).draw(stage.at(1.0))
    return frame.colours.numpy(), frame.opacity.numpy()


def test_order_and_mode_are_words_of_the_edit_and_steps(panel: Any, tab: ArrangeTab) -> None:
    history = panel.session.history
    tab.set_mode("piece")
    tab.set_order("back")
    (edit,) = history.script.edits
    assert (edit.mode, edit.order) == ("piece", "back") and history.is_under_way
    assert (tab._mode.value, tab._order.value) == ("piece", "back")
    panel.session.change(BOX, {"move": {"by": [20, 0]}})
    (edit,) = history.script.edits
    assert (edit.mode, edit.order) == ("piece", "back") and edit.operations[0].by == (20, 0)
    tab.set_mode("by its kind")
    assert history.script.edits[0].mode is None
    for mode in ("piece", None):
        history.undo()
        history.undo() if mode is None else None
        assert history.script.edits[0].mode == mode
    panel.session.refresh()
    assert tab._mode.value == "by its kind" and tab._order.value == "front"


def test_the_page_lays_the_colour_behind_the_hole(panel: Any, tab: ArrangeTab, picture: BakedPicture) -> None:
    tab.set_mode("piece")
    _, opacity = seen(panel)
    assert opacity[30, 35] < 0.01
    tab._colour.value = (255, 0, 128)
    tab.set_background("colour")
    colours, opacity = seen(panel)
    assert opacity.min() > 0.999 and np.abs(colours[30, 35] - [1, 0, 128 / 255]).max() < 0.01
    assert tab._behind.value == "colour"
    np.testing.assert_allclose(colours, saved(panel)[0], atol=0.03)
    panel.session.history.undo()
    panel.session.refresh()
    assert seen(panel)[1][30, 35] < 0.01 and tab._behind.value == "transparent"


@pytest.mark.parametrize("mode", ["piece", "sheet"])
def test_what_is_painted_over_is_seen_as_it_is_saved(panel: Any, tab: ArrangeTab, mode: str) -> None:
    panel.session.change(Selection(all=True), {"bend": {"degrees": 40, "axis": [[48, 64], [48, 0]]}})
    panel.session.history.finish()
    panel.session.change(BOX, {"move": {"by": [15, 0]}})
    tab.set_mode(mode)
    clear = float((seen(panel)[1] < 0.5).mean())
    assert clear > 0.02, "the bent picture leaves corners"
    tab.set_background("inpaint")
    colours, opacity = seen(panel)
    wanted, whole = saved(panel)
    assert opacity.min() > 0.99 and whole.min() > 0.99
    assert np.abs(colours - wanted).mean() < 0.01
    assert float(np.abs(colours - wanted).max(axis=2).mean()) < 0.02


def test_a_script_without_edits_has_a_background_too(panel: Any) -> None:
    tab = ArrangeTab(panel, EditChooser(panel))
    tab.set_background("colour")
    assert seen(panel)[1].min() > 0.999
    tab.set_background("inpaint")
    assert seen(panel)[1].min() > 0.999
