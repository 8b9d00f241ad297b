"""Hands that pull, in scenes and live; what was done live is a scene that makes the same frames."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gainer_ns.physics.live import LiveSimulation
from gainer_ns.physics.mpm.engine import MpmEngine
from gainer_ns.physics.scene import Scene, read_scene
from gainer_ns.physics.simulated_plane import SimulatedPlane, content_of
from gainer_ns.rendering.plane import BakedPicture

FPS = 20.0


@pytest.fixture
def started(cut_out: Callable[..., BakedPicture]) -> Callable[..., SimulatedPlane]:
    """``started(material, **words)``: a disc of a radius of a quarter of the picture, in a scene."""
    picture = cut_out()

    def start(material: Any = "medium", **words: Any) -> SimulatedPlane:
        given = {"bodies": [{"material": material}], "fps": FPS, "particles": 200, "gravity": 0, "duration": 0.5}
        plane = picture.plane
        scene = read_scene({**given, **words}, plane.width, plane.height, content_of(picture))
        return SimulatedPlane(scene, picture)

    return start


def frames_of(simulated: SimulatedPlane) -> list:
    return list(MpmEngine().run(simulated.config, simulated.particles, simulated.materials))


@pytest.mark.parametrize(("material", "atol"), [("medium", 0.02), ("rigid", 0.02), ("sand", 0.08)])
def test_what_is_held_goes_along_a_path(started: Callable[..., SimulatedPlane], material: str, atol: float) -> None:
    path = {"at": [0.5, 0.375], "radius": 0.2, "to": {0.0: [0.5, 0.375], 0.5: [0.6, 0.325]}}
    simulated = started(material, pulls=[path], duration=0.8)
    frames = frames_of(simulated)
    held = (frames[0].positions - torch.tensor([0.5, 0.375])).norm(dim=1) < 0.1
    moved = (frames[-1].positions - frames[0].positions)[held].mean(dim=0)
    assert torch.allclose(moved, torch.tensor([0.1, -0.05]), atol=atol), moved


def test_a_pull_holds_against_gravity_until_it_lets_go(started: Callable[..., SimulatedPlane]) -> None:
    pin = {"at": [0.5, 0.2], "radius": 0.1, "strength": 1000.0, "from": 0.0, "until": 0.6}
    frames = frames_of(started("medium", pulls=[pin], gravity=2.0, duration=0.9))
    heights = [float(frame.positions[:, 1].mean()) for frame in frames]
    assert heights[12] - heights[0] < 0.06, "it hangs"
    assert heights[-1] - heights[12] > 0.05, "it falls"


def test_a_hand_on_nothing_is_no_part_of_what_was_done(started: Callable[..., SimulatedPlane]) -> None:
    live = LiveSimulation(started())
    for place in ((30.0, 20.0), (0.5, 0.3)):
        live.take_hold(place, 0.1, 400.0)
    live.step()
    assert [pull.at for pull in live.scene.pulls] == [(0.5, 0.3)]


def test_beyond_its_radius_a_pull_does_nothing(started: Callable[..., SimulatedPlane]) -> None:
    away = {"at": [0.9, 0.375], "radius": 0.1, "to": {0.0: [0.9, 0.375], 0.1: [0.9, 0.2]}}
    frames = frames_of(started("medium", pulls=[away], duration=0.2))
    assert torch.allclose(frames[-1].positions, frames[0].positions, atol=3e-4)


def poke(live: LiveSimulation) -> list:
    """Does what a person does, and returns all frames."""
    frames = [live.frame, live.step()]
    pin = live.take_hold((0.5, 0.2), 0.1, 1000.0)
    hand = live.take_hold((0.6, 0.45), 0.1, 400.0)
    for x in (0.62, 0.7, 0.7, 0.65):
        live.move(hand, (x, 0.45 + x / 10))
        frames.append(live.step())
    live.set_gravity(0.0, 4.0)
    live.set_wind(3.0, 0.0, 0.5)
    frames += [live.step(), live.step()]
    live.let_go(hand)
    live.take_hold((0.4, 0.4), 0.1, 400.0)
    live.let_go(2)
    frames.append(live.step())
    live.set_wind(0.0, 0.0)
    live.let_go(pin)
    live.take_hold((0.5, 0.5), 0.1, 400.0)
    return [*frames, live.step(), live.step()]


@pytest.mark.parametrize("material", ["soft", "liquid"])
def test_what_was_done_live_is_a_scene_that_makes_the_same_frames(
    started: Callable[..., SimulatedPlane], material: str, tmp_path: Path, cut_out: Callable[..., BakedPicture]
) -> None:
    live = LiveSimulation(started(material, gravity=1.0))
    frames = poke(live)
    text = live.scene.to_yaml(tmp_path)
    (tmp_path / "poke.yaml").write_text(text)
    picture = cut_out()
    scene = read_scene(tmp_path / "poke.yaml", picture.plane.width, picture.plane.height, content_of(picture))
    assert len(scene.pulls) == 3 and scene.pulls[0].until is not None and scene.pulls[2].until is None
    again = frames_of(SimulatedPlane(scene, picture))
    assert len(again) == len(frames) == scene.frames
    for one, other in zip(frames, again, strict=True):
        assert one.time == other.time and torch.equal(one.positions, other.positions)
        assert one.gradients is not None and torch.equal(one.gradients, other.gradients)
    unpulled = frames_of(started(material, gravity=1.0))
    assert float((unpulled[-1].positions - frames[-1].positions).norm(dim=1).max()) > 0.02


def test_a_simulation_goes_on_in_the_middle_of_a_pull(started: Callable[..., SimulatedPlane]) -> None:
    hand = {"at": [0.6, 0.4], "radius": 0.1, "from": 0.05, "to": {0.1: [0.6, 0.4], 0.4: [0.8, 0.4]}}
    simulated = started("soft", pulls=[hand, {"at": [0.5, 0.5], "from": 0.35}], duration=0.4)
    whole = frames_of(simulated)
    rest = list(MpmEngine().run(simulated.config, simulated.particles, simulated.materials, whole[4]))
    assert torch.equal(rest[-1].positions, whole[-1].positions)


def test_nothing_is_still_that_has_something_before_it(started: Callable[..., SimulatedPlane]) -> None:
    live = LiveSimulation(started("medium"))
    assert not live.is_still, "nobody knows yet"
    live.step()
    assert live.is_still
    for change in (
        lambda: live.set_gravity(0.0, 1.0),
        lambda: live.set_wind(1.0, 0.0),
        lambda: live.take_hold((0.5, 0.4), 0.1, 100.0),
        lambda: live.move(0, (0.6, 0.4)),
    ):
        change()
        assert not live.is_still
        live.step()


def test_a_scene_without_pulls_is_written_as_before(scene: Callable[..., Scene]) -> None:
    assert "pulls" not in scene("soft").to_yaml()
