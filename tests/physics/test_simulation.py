import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig
from gainer_ns.physics.exchange.folder import SimulationFolder
from gainer_ns.physics.materials import Material
from gainer_ns.physics.mpm.engine import MpmEngine
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.simulation import fingerprint_of, simulated_frames

Made = tuple[Scene, Particles, SimulationFolder]


class Counting:
    """The default engine, which counts the frames that it makes and fails at one of them."""

    def __init__(self, fails_at: int | None = None, error: BaseException | None = None) -> None:
        self.made: list[int] = []
        self._fails_at, self._error = fails_at, error

    def run(
        self,
        config: SimulationConfig,
        particles: Particles,
        materials: tuple[Material, ...],
        start: Frame | None = None,
    ) -> Iterator[Frame]:
        for frame in MpmEngine().run(config, particles, materials, start):
            number = round(frame.time * config.fps)
            if number == self._fails_at:
                assert self._error is not None
                raise self._error
            self.made.append(number)
            yield frame


@pytest.fixture
def made(
    scene: Callable[..., Scene],
    particles_of: Callable[..., Particles],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Made:
    shown = scene(getattr(request, "param", "medium"), duration=0.2)
    particles = particles_of(shown, spacing=8.0)
    folder = SimulationFolder(tmp_path / "kept", 200, 150)
    mark = fingerprint_of(shown, particles, "mpm")
    folder.create(particles, shown.materials, shown.simulation_config(), engine="mpm", fingerprint=mark)
    return shown, particles, folder


def run(made: Made, engine: Counting) -> list[Frame]:
    scene, particles, folder = made
    return list(simulated_frames(engine, scene.simulation_config(), particles, scene.materials, folder))


def ending(folder: SimulationFolder) -> tuple[str, int]:
    result = json.loads((folder.path / "result.json").read_text())
    return result["status"], result["frames"]


def test_frames_are_kept_and_not_made_again(made: Made) -> None:
    first, second = Counting(), Counting()
    frames, again = run(made, first), run(made, second)
    assert first.made == list(range(7)) and second.made == []
    assert [frame.time for frame in again] == [number / 30 for number in range(7)]
    for one, other in zip(frames, again, strict=True):
        assert one.gradients is not None and other.gradients is not None
        assert torch.equal(one.positions, other.positions), "bit by bit, or what goes on shows something else"
        assert torch.equal(one.gradients, other.gradients)
    assert float(frames[-1].positions[:, 1].mean() - frames[0].positions[:, 1].mean()) == pytest.approx(0.1, rel=0.02)
    assert ending(made[2]) == ("finished", 7)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GainerError("too stiff")])
@pytest.mark.parametrize("made", ["medium", "liquid", "sand"], indirect=True)
def test_what_was_stopped_goes_on_as_if_it_had_not_been(made: Made, error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)):
        run(made, Counting(4, error))
    assert ending(made[2]) == ("failed" if isinstance(error, GainerError) else "interrupted", 4)
    engine = Counting()
    resumed = run(made, engine)
    assert engine.made == [4, 5, 6]
    scene, particles, _ = made
    other = SimulationFolder(tmp_path / "whole", 200, 150)
    other.create(particles, scene.materials, scene.simulation_config(), engine="mpm", fingerprint="")
    for one, expected in zip(resumed, run((scene, particles, other), Counting()), strict=True):
        assert torch.equal(one.positions, expected.positions), "bit by bit"


class Forgetful(Counting):
    """It tells no state, and so begins again each time."""

    def run(
        self,
        config: SimulationConfig,
        particles: Particles,
        materials: tuple[Material, ...],
        start: Frame | None = None,
    ) -> Iterator[Frame]:
        for frame in super().run(config, particles, materials):
            yield Frame(frame.time, frame.positions, frame.gradients)


def test_an_engine_without_a_state_begins_again_and_makes_only_what_is_not_there(made: Made) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(made, Forgetful(4, KeyboardInterrupt()))
    first = (made[2].path / "frames" / "frame_00003.ply").stat().st_mtime_ns
    engine = Forgetful()
    assert [round(30 * frame.time) for frame in run(made, engine)] == list(range(7))
    assert engine.made == list(range(7)) and made[2].frames == 7
    assert (made[2].path / "frames" / "frame_00003.ply").stat().st_mtime_ns == first, "left as it was"
    engine = Forgetful()
    assert len(run(made, engine)) == 7 and engine.made == [], "all are there"


@pytest.mark.parametrize("fails_at", [0, 1])
def test_what_fails_before_anything_moves_leaves_nothing(made: Made, fails_at: int) -> None:
    with pytest.raises(GainerError, match="too stiff"):
        run(made, Counting(fails_at, GainerError("too stiff")))
    assert not made[2].path.exists()


def test_a_film_that_ends_early_leaves_its_frames(made: Made) -> None:
    scene, particles, folder = made
    frames = simulated_frames(Counting(), scene.simulation_config(), particles, scene.materials, folder)
    next(frames)
    next(frames)
    frames.close()
    assert ending(folder) == ("interrupted", 2)


def test_a_fingerprint_is_of_what_moves_and_not_of_how_it_is_drawn(
    scene: Callable[..., Scene], particles_of: Callable[..., Particles]
) -> None:
    plain = scene("soft")
    particles = particles_of(plain)
    mark = fingerprint_of(plain, particles, "mpm")
    drawn = scene("soft", background={"color": [1, 2, 3]}, camera="follow", canvas=[0, 0, 1, 1])
    assert fingerprint_of(drawn, particles, "mpm") == mark
    assert fingerprint_of(plain, particles, "files") != mark
    for other in (scene("stiff"), scene("soft", gravity=1.0), scene("soft", domain={"margin": 0.5})):
        assert fingerprint_of(other, particles, "mpm") != mark
    assert fingerprint_of(plain, particles_of(plain, spacing=4.0), "mpm") != mark
    linked = replace(particles, links=torch.tensor([[0, 1]]))
    assert fingerprint_of(plain, linked, "mpm") != mark
    mark = fingerprint_of(plain, linked, "mpm")
    for name, value in vars(linked).items():
        assert fingerprint_of(plain, replace(linked, **{name: value + 1}), "mpm") != mark
