"""A picture that is let go in the panel, pulled at and pinned; what was done is a scene."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.physics.mpm.engine import MpmEngine
from gainer_ns.physics.simulated_plane import SimulatedPlane
from gainer_ns.physics.simulation import scene_for, simulated_picture
from gainer_ns.viewer.picking import Picker
from gainer_ns.viewer.session import EditSession
from gainer_ns.viewer.simulate_tab import SimulateTab
from gainer_ns.viewer.subject import LiftedSubject


@pytest.fixture
def tab(panel: Any) -> Iterator[SimulateTab]:
    made = SimulateTab(panel)
    made._particles.value, made._gravity.value = 150, 0.0
    yield made
    made.stop()


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_pulled_moves_and_is_repeated_by_its_scene(panel: Any, tab: SimulateTab) -> None:
    with pytest.raises(GainerError, match="press start"):
        tab.save_scene()
    tab.start()
    player = tab.player
    until(lambda: player.is_resting)
    count = len(player.frames)
    time.sleep(0.2)
    assert len(player.frames) == count and not panel.session.is_playing, "nothing moves"
    tab.pin((20.0, 20.0))
    tab.click((60.0, 30.0))
    for x in range(61, 70):
        tab.drag((float(x), 30.0))
        time.sleep(0.02)
    until(lambda: len(player.frames) > count + 8)
    until(lambda: panel.session.shown is not panel.subject.fitted)
    tab.click((70.0, 30.0))
    assert tab._held is None, "a click lets go"
    tab._gravity.value, tab._wind.value = 1.0, 2.0
    tab.push()
    until(lambda: len(player.frames) > count + 14)
    with player.paused():
        tab.save_scene()
        frames = list(player.frames)
    tab._name.value = "poked"
    tab.save_film()
    assert (panel.files.folder / "poked.mp4").is_file()
    scene = scene_for(panel.files.folder / "poke.scene.yaml", panel.subject.fitted)
    again = SimulatedPlane(scene, panel.subject.fitted)
    assert len(scene.pulls) == 2 and scene.frames == len(frames)
    made = list(MpmEngine().run(again.config, again.particles, again.materials))
    assert all(torch.equal(one.positions, other.positions) for one, other in zip(frames, made, strict=True))
    assert float((frames[-1].positions - frames[0].positions).norm(dim=1).max()) > 0.02


def test_only_what_is_selected_is_let_go_and_edits_end_it(panel: Any, tab: SimulateTab) -> None:
    panel.picker.polygon([(30.0, 20.0), (60.0, 20.0), (60.0, 50.0), (30.0, 50.0)])
    tab._gravity.value = 3.0
    tab.start()
    player = tab.player
    until(lambda: len(player.frames) > 4)
    low, high = player.frames[0].positions.amin(dim=0) * 96, player.frames[0].positions.amax(dim=0) * 96
    assert float(low[0]) > 29 and float(high[0]) < 61
    panel.changed()
    with pytest.raises(GainerError):
        tab.player  # noqa: B018
    assert panel.session.wait()
    np.testing.assert_array_equal(panel.session.shown.raster()[0], panel.subject.fitted.raster()[0])


def test_the_hand_is_a_square_that_is_dragged(panel: Any, tab: SimulateTab) -> None:
    tab.start()
    tab.click((48.0, 32.0))
    assert tab._hand is not None
    tab._hand.position = np.array(tab._hand.position) + [0.5, 0.25, 0.0]  # of the 10 of the longer side
    tab._dragged()
    assert np.allclose(tab._place, (48 + 4.8, 32 - 2.4), atol=0.05) and tab._held is not None
    tab.click((50.0, 50.0))
    tab._hand.position = np.array(tab._hand.position) + [0.5, 0.0, 0.0]
    tab._dragged()
    assert tab._held is None, "what comes late is left out"


def test_a_lifted_photo_is_pulled_where_it_is_seen(panel: Any, lifted_scene: Callable[..., LiftedScene]) -> None:
    scene = lifted_scene((1.0, 1.5), (14, 8, 34, 24))
    panel.session = EditSession(LiftedSubject(scene), lambda: None, panel.complain)
    panel.picker = Picker(scene.plane.width, scene.plane.height, panel.files.write_mask)
    tab = SimulateTab(panel)
    tab._particles.value, tab._gravity.value, tab._radius.value = 300, 0.0, 0.3
    tab.start()
    player = tab.player
    until(lambda: player.is_resting)
    tab.click((24.0, 16.0))
    start = tab._place
    assert tab._hand is not None
    tab._hand.position = np.array(tab._hand.position) + [1.0, 0.0, 0.0]  # a tenth of the photo's longer side
    tab._dragged()
    assert tab._place[0] > start[0] + 3 and abs(tab._place[1] - start[1]) < 0.1
    until(lambda: len(player.frames) > 8)
    until(lambda: panel.session.shown is not scene)
    with player.paused():
        tab.save_scene()
        frames = list(player.frames)
    tab.stop()
    moved = frames[-1].positions - frames[0].positions
    assert float(moved[:, 0].max()) > 0.01 > float(moved[:, 2].abs().max()), "to the right"
    again = simulated_picture(scene_for(panel.files.folder / "poke.scene.yaml", scene), scene)
    made = list(MpmEngine().run(again.config, again.particles, again.materials))
    assert all(torch.equal(one.positions, other.positions) for one, other in zip(frames, made, strict=False))
