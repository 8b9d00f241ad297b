"""Lifted photos in scenes: what is simulated of them, and what they show when it has moved."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gainer_ns.editing.shots import Shot
from gainer_ns.errors import GainerError
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.physics.engine import Frame, resting
from gainer_ns.physics.mpm.engine import MpmEngine
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.simulated_space import SimulatedSpace, content_of_lifted
from gainer_ns.physics.simulation import simulated_picture

OBJECT = 14, 8, 34, 24
"""The box of the near plane in the photo of 48 x 36 pixels."""


@pytest.fixture
def simulated(scene: Callable[..., Scene], lifted_scene: Callable[..., LiftedScene]) -> Callable[..., SimulatedSpace]:
    """``simulated(*bodies, count, depths, **words)``: a plane in front of another one, in a scene."""

    def make(*bodies: Any, count: int = 400, depths: tuple[float, ...] = (1.0, 1.5), **words: Any) -> SimulatedSpace:
        photo = lifted_scene(depths, OBJECT)
        shown = scene(*bodies, size=(48, 36), content=content_of_lifted(photo), **words)
        made = simulated_picture(shown, photo, count)
        assert isinstance(made, SimulatedSpace)
        return made

    return make


def shifted(simulated: SimulatedSpace, *shift: float) -> Frame:
    """All particles moved, in pixels."""
    rest = resting(simulated.particles)
    return Frame(1.0, rest.positions + torch.tensor(shift) / 48, rest.gradients)


def test_what_shows_is_what_is_simulated(simulated: Callable[..., SimulatedSpace]) -> None:
    particles = simulated("medium").particles
    assert content_of_lifted(simulated("medium").lifted) == OBJECT
    assert 250 < len(particles) < 600
    low, high = 48 * particles.positions.amin(dim=0), 48 * particles.positions.amax(dim=0)
    assert float(low[0]) > 13.5 and float(high[0]) < 34.5 and float(low[1]) > 7.5 and float(high[1]) < 24.5
    thickness = 0.15 * 16
    assert float(high[2]) == pytest.approx(0, abs=1e-3) and -thickness < float(low[2]) < -0.5 * thickness
    assert float(particles.volumes.sum()) * 48**3 == pytest.approx(20 * 16 * thickness, rel=0.1)
    on_surface = particles.gaussian_ids >= 0
    assert 0 < int(on_surface.sum()) <= len(particles) / 3


def test_at_rest_it_is_the_photo(simulated: Callable[..., SimulatedSpace]) -> None:
    made = simulated("medium")
    assert made.at(resting(made.particles)) is made.lifted


def test_the_object_moves_and_the_background_stays(simulated: Callable[..., SimulatedSpace]) -> None:
    made = simulated("medium")
    before, after = made.lifted.raster()[0], made.at(shifted(made, 3, 5, 0)).raster()[0]
    assert torch.allclose(after[15:27, 19:35], before[10:22, 16:32], atol=0.02), "the object"
    assert torch.allclose(after[:, :12], before[:, :12], atol=1e-5), "the background"


def test_what_several_photos_show_moves_in_all(
    scene: Callable[..., Scene], joined_scene: Callable[..., LiftedScene]
) -> None:
    photos = joined_scene((16, 12, 32, 24))
    shown = scene("medium", size=(48, 36), content=content_of_lifted(photos))
    made = simulated_picture(shown, photos, 400)
    assert isinstance(made, SimulatedSpace)
    after = made.at(shifted(made, 3, 5, 0))
    for view in photos.views:
        was, now = (each.seen_by(view, torch.zeros(3))["median_depth"].view(36, 48) < 1 for each in (photos, after))
        assert int((now != was.roll((5, 3), (0, 1))).sum()) < 20 and int(was.sum()) == 16 * 12


def test_nearer_is_larger(simulated: Callable[..., SimulatedSpace]) -> None:
    made = simulated("medium", depths=(1.0,))
    far = made.at(shifted(made, 0, 0, -12)).raster()[1].sum()
    near = made.at(shifted(made, 0, 0, 12)).raster()[1].sum()
    assert float(near) > 1.5 * float(far)


def test_what_no_body_has_stays(simulated: Callable[..., SimulatedSpace]) -> None:
    made = simulated({"material": "soft", "part": [0, 0, 0.5, 1]}, depths=(1.0,))
    before, after = made.lifted.raster(), made.at(shifted(made, -6, 0, 0)).raster()
    assert torch.allclose(after[0][10:22, 26:32], before[0][10:22, 26:32], atol=0.01)
    assert float(after[1][10:22, 20:23].max()) < 0.1, "a gap"
    assert float(after[1][10:22, 10:17].min()) > 0.9


@pytest.mark.parametrize("material", ["medium", "sand"])
def test_it_falls_onto_the_floor(simulated: Callable[..., SimulatedSpace], material: str) -> None:
    made = simulated(material, duration=0.5, fps=20, domain={"margin": [0.2, 0.1, 0.2, 0.2]})
    for frame in MpmEngine().run(made.config, made.particles, made.materials):
        assert bool((frame.positions >= torch.tensor(made.config.low) - 1e-5).all())
        assert bool((frame.positions <= torch.tensor(made.config.high) + 1e-5).all())
    drawn = made.at(frame).raster()[0]
    assert bool(drawn.isfinite().all())
    fallen = 48 * float((frame.positions - made.particles.positions)[:, 1].mean())
    assert fallen > 4, "of 9.6 pixels"
    if material == "medium":
        sizes = torch.linalg.svdvals(frame.gradients)
        assert float(sizes.min()) > 0.5 and float(sizes.max()) < 2, "in one piece"


def test_a_camera_that_follows_moves_along(simulated: Callable[..., SimulatedSpace]) -> None:
    made = simulated("medium", camera="follow")
    camera = made.camera(1.0)
    film = list(made.shots(lambda: [resting(made.particles), shifted(made, 3, 5, 0)], camera))
    assert isinstance(film[1], Shot)
    assert film[1].shift == pytest.approx((3, 5), rel=0.03), "less, as its middle is farther away"
    assert camera.draw(film[1]).opacity.shape == (36, 48)


def test_an_object_is_filmed_wherever_it_goes(simulated: Callable[..., SimulatedSpace]) -> None:
    made = simulated("medium", depths=(1.0,))
    camera = made.camera(1.0)
    near = shifted(made, -30, 20, 10)
    for picture in made.shots(lambda: [resting(made.particles), near], camera):
        drawn = camera.draw(picture).opacity
        assert not drawn[0].any() and not drawn[-1].any() and not drawn[:, 0].any() and not drawn[:, -1].any()
        assert bool((drawn > 0.9).any())


def test_what_selects_nothing_that_was_lifted_is_refused(simulated: Callable[..., SimulatedSpace]) -> None:
    with pytest.raises(GainerError, match="takes nothing") as refused:
        simulated({"material": "soft", "select": {"box": [0, 0, 0.1, 0.1]}})
    assert "\n" not in str(refused.value)
    with pytest.raises(GainerError, match="lift it with its background"):
        simulated("soft", background={"inpaint": "telea"}).camera(1.0)
    with pytest.raises(GainerError, match="does not hold"):
        simulated("soft", domain={"box": [0.2, 0.1, 0.5, 0.6]})
