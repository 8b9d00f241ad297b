"""Bones that are drawn and posed by hand, as words of an edit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gainer_ns.editing.script import read_script
from gainer_ns.errors import GainerError
from gainer_ns.viewer.bones_tab import REACHES, BonesTab
from gainer_ns.viewer.edit_chooser import EditChooser


def box(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """The corners of the box that a drag spans, as pages tell of it: from its top left, whichever way it went."""
    (left, right), (top, bottom) = (sorted(pair) for pair in zip(start, end, strict=True))
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


@pytest.fixture
def tab(panel: Any) -> BonesTab:
    """Two bones, from left to right, the second downwards."""
    tab = BonesTab(panel, EditChooser(panel))
    tab.place_root((20.0, 30.0))
    tab.draw_bone(box((20.5, 30.5), (48.0, 26.0)))
    tab.draw_bone(box((48.0, 26.0), (76.0, 34.0)))
    tab.rest()
    return tab


def test_drags_draw_bones_out_of_joints(panel: Any, tab: BonesTab) -> None:
    rig = panel.session.history.script.edits[0].rig
    assert rig.joints == {"joint 1": (20, 30), "joint 2": (48, 26), "joint 3": (76, 34)}
    assert rig.bones == {"bone 1": ("joint 1", "joint 2"), "bone 2": ("joint 2", "joint 3")}
    assert set(tab._handles) == {"joint 2", "joint 3"}
    with pytest.raises(GainerError, match="no joint is there"):
        tab.draw_bone(box((30, 50), (50, 60)))
    with pytest.raises(GainerError, match="too short"):
        tab.draw_bone(box((76, 34), (76, 35)))
    tab.draw_bone(box((48, 26), (30, 10)))  # up and to the left
    assert tab.rig is not None and tab.rig.bones["bone 3"] == ("joint 2", "joint 4")
    assert tab.rig.joints["joint 4"] == (30, 10)


def test_joints_are_dragged_and_steps_taken_back(panel: Any, tab: BonesTab) -> None:
    history = panel.session.history
    for way in (0.5, 1.0):
        tab.drag("joint 3", (48 + 10 * way, 26 + 20 * way))
    assert tab.rig is not None and set(tab.rig.pose) == {"bone 2"}
    now = tab._bones()
    end = now.skeleton.at("joint 3", now.posed())
    assert math.isclose(math.atan2(20, 10), math.atan2(end.imag - 26, end.real - 48), abs_tol=1e-3)
    tab._hand.value = REACHES
    tab.drag("joint 3", (60.0, 50.0))
    now = tab._bones()
    assert abs(now.skeleton.at("joint 3", now.posed()) - (60 + 50j)) < 0.01
    tab._handles["joint 3"].position = (10 * (64.8 - 48) / 96, 10 * (32 - 50) / 96, 0.0)  # in the page's units
    tab._dragged("joint 3")
    assert np.allclose(tab.rig.ik["joint 3"], (60 + 4.8, 50), atol=0.05)
    tab.change("depth", 2.0)
    read = read_script({"edits": [edit.model_dump(exclude_none=True) for edit in history.script.edits]}, 96, 64)
    expected = panel.subject.staged(read).at(1.0)
    assert panel.session.wait()
    np.testing.assert_allclose(panel.session.shown.raster()[0], expected.raster()[0], atol=1e-5)
    steps = 0
    while history.script.edits:
        history.undo()
        steps += 1
    assert steps == 2 + 1 + 1, "two bones; what one joint is dragged, by turning and by reaching; and a depth"
    panel.session.refresh()
    assert tab.rig is None and not tab._handles


def test_turning_a_joint_that_was_held_keeps_the_pose(tab: BonesTab) -> None:
    tab._hand.value = REACHES
    tab.drag("joint 3", (60.0, 50.0))
    knee = tab._bones()
    before = knee.skeleton.at("joint 2", knee.posed())
    tab._hand.value = "turns its bone"
    tab.drag("joint 3", (70.0, 50.0))
    after = tab._bones()
    assert tab.rig is not None and not tab.rig.ik
    assert abs(after.skeleton.at("joint 2", after.posed()) - before) < 0.05


def test_poses_are_keyed_and_bones_removed_with_what_they_carry(panel: Any, tab: BonesTab) -> None:
    session = panel.session
    session.seek(0.0)
    tab.set_keyframe()
    session.seek(1.0)
    tab._list.value = "bone 2"
    tab.change("pose", 40.0)
    assert tab.rig is not None and [frame.pose for frame in tab.rig.keyframes or ()] == [{}, {"bone 2": 40}]
    tab.remove_keyframe()
    with pytest.raises(GainerError, match="no keyframe"):
        tab.remove_keyframe()
    tab._list.value = "bone 1"
    with pytest.raises(GainerError, match="undo"):
        tab.remove()
    tab._list.value = "bone 2"
    tab.remove()
    assert tab.rig is not None and list(tab.rig.bones) == ["bone 1"] and set(tab._handles) == {"joint 2"}
