"""Pins that are set by clicks and dragged by hand, as words of an edit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gainer_ns.editing.script import read_script
from gainer_ns.errors import GainerError
from gainer_ns.viewer.edit_chooser import EditChooser
from gainer_ns.viewer.pins_tab import PinsTab


@pytest.fixture
def tab(panel: Any) -> PinsTab:
    return PinsTab(panel, EditChooser(panel))


def test_pins_are_words_of_one_edit_and_steps(panel: Any, tab: PinsTab) -> None:
    history = panel.session.history
    with pytest.raises(GainerError, match="no pins"):
        tab.change("stiffness", 5.0)
    for place in ((20.0, 32.0), (48.0, 32.0), (76.0, 32.0)):
        tab.place(place)
    assert len(history.script.edits) == 1 and len(tab._handles) == 3
    for x in (50.0, 55.0, 60.0):
        tab.drag(2, (76.0, x - 20), 0.0)
    tab.change("stiffness", 12.0)
    tab.change("depth", 2.0)
    tab.drag(1, (48.0, 30.0), 15.0)
    tab._mode.value = "rigid"
    tab._write(tab.pins, "mode")
    pins = history.script.edits[0].pins
    assert pins.mode == "rigid" and [pin.to for pin in pins.pins] == [None, (48, 30), (76, 40)]
    assert (pins.pins[2].stiffness, pins.pins[2].depth, pins.pins[2].rotate) == (12, 2, None)
    assert pins.pins[1].rotate == 15
    read = read_script({"edits": [edit.model_dump(exclude_none=True) for edit in history.script.edits]}, 96, 64)
    expected = panel.subject.staged(read).at(1.0)
    assert panel.session.wait()
    np.testing.assert_allclose(panel.session.shown.raster()[0], expected.raster()[0], atol=1e-5)
    steps = 0
    while history.script.edits:
        history.undo()
        steps += 1
    assert steps == 3 + 1 + 2 + 1 + 1, "three drags of one pin are one"
    panel.session.refresh()
    assert not tab.pins and not tab._handles


def test_pins_are_keyed_at_the_time_that_is_shown(panel: Any, tab: PinsTab) -> None:
    session = panel.session
    for place in ((20.0, 32.0), (76.0, 32.0)):
        tab.place(place)
    session.seek(0.0)
    tab.set_keyframe()
    session.seek(1.0)
    tab.drag(1, (76.0, 50.0), 0.0)
    assert [key.to for key in tab.pins[1].keyframes or ()] == [(76, 32), (76, 50)]
    session.seek(0.5)
    assert np.allclose(tab._now(tab.pins[1]).to, (76, 41), atol=0.1)
    tab.set_keyframe()
    assert len(tab.pins[1].keyframes or ()) == 3
    tab.remove_keyframe()
    with pytest.raises(GainerError, match="no keyframe"):
        tab.remove_keyframe()
    assert len(tab.pins[1].keyframes or ()) == 2


def test_a_hand_on_a_handle_is_a_pin_that_moves(panel: Any, tab: PinsTab) -> None:
    tab.place((48.0, 32.0))
    tab.place((20.0, 32.0))
    handle = tab._handles[0]
    start = np.array(handle.position)
    handle.position = start + [1.0, 0.5, 0.0]  # a tenth of the picture's longer side, in the page's units
    tab._dragged(0)
    assert np.allclose(tab.pins[0].to, (48 + 9.6, 32 - 4.8), atol=0.05)
    tab.remove()
    assert len(tab.pins) == 1 and len(tab._handles) == 1
    with pytest.raises(GainerError, match="undo"):
        tab.remove()
