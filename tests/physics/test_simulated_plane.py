import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.physics import simulated_plane
from gainer_ns.physics.body_skins import adjacent_bodies
from gainer_ns.physics.connections import links_through
from gainer_ns.physics.engine import Frame, resting
from gainer_ns.physics.materials import PRESETS
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.simulated_plane import SimulatedPlane, content_of
from gainer_ns.rendering.plane import BakedPicture

CutOut = Callable[..., BakedPicture]


@pytest.fixture
def simulated(scene: Callable[..., Scene], cut_out: CutOut) -> Callable[..., SimulatedPlane]:
    """``simulated(*bodies, radius, count, **words)``: a disc of 16 px in 64 x 48, or an opaque picture, in a scene."""

    def make(*bodies: object, radius: float | None = 16.0, count: int = 200, **words: object) -> SimulatedPlane:
        picture = cut_out(radius=radius)
        shown = scene(*bodies, size=(64, 48), content=content_of(picture), **words)
        return SimulatedPlane(shown, picture, count)

    return make


def moved(simulated: SimulatedPlane, shift: tuple[float, float], turn: float = 0.0) -> Frame:
    """All particles turned about the picture's middle and shifted, in pixels."""
    sine, cosine = math.sin(turn), math.cos(turn)
    rotation, middle = torch.tensor([[cosine, -sine], [sine, cosine]]), torch.tensor([0.5, 0.375])
    rest = resting(simulated.particles)
    positions = (rest.positions - middle) @ rotation.T + middle + torch.tensor(shift) / 64
    return Frame(1.0, positions, rotation.repeat(len(positions), 1, 1))


def premultiplied(drawn: tuple[Tensor, Tensor]) -> Tensor:
    return torch.cat([drawn[0] * drawn[1], drawn[1]], dim=2)


def test_content_is_the_box_of_what_shows(cut_out: CutOut) -> None:
    assert content_of(cut_out(radius=None)) == (0, 0, 64, 48)
    assert content_of(cut_out()) == pytest.approx((16, 8, 48, 40), abs=1)
    picture = cut_out()
    with pytest.raises(GainerError, match="clear all over"):
        content_of(picture.with_gaussians(replace(picture.gaussians, opacities=-torch.ones(64 * 48))))


def test_particles_have_the_area_of_what_shows(simulated: Callable[..., SimulatedPlane]) -> None:
    particles = simulated("medium").particles
    assert 180 <= len(particles) <= 220
    assert float(particles.volumes.sum()) == pytest.approx(math.pi * 16**2 / 64**2, rel=0.02)
    assert particles.spacing == pytest.approx(math.sqrt(float(particles.volumes.mean())), rel=0.1)


def test_particles_are_where_something_shows_not_where_coefficients_swing(
    scene: Callable[..., Scene], cut_out: CutOut
) -> None:
    picture = cut_out()
    gaussians, opacities = picture.gaussians, picture.gaussians.opacities
    assert opacities is not None
    x, y = picture.plane.pixel_from_plane(gaussians.means).unbind(1)
    swing = torch.where((x + y) % 2 < 1, 0.4, -0.6)  # as prefiltered ones do: around what is clear
    far = torch.hypot(x - 32, y - 24) > 20
    picture = picture.with_gaussians(replace(gaussians, opacities=torch.where(far, swing, opacities)))
    particles = SimulatedPlane(scene(size=(64, 48), content=content_of(picture)), picture, 4000).particles
    away = (particles.positions * 64 - torch.tensor([32.0, 24.0])).norm(dim=1)
    assert float(away.max()) < 17.5
    assert particles.links is not None and len(particles.links.unique()) == len(particles)


def test_specks_at_an_edge_hang_on_to_what_is_beside_them() -> None:
    pixels = torch.tensor(
        [[float(x), float(y)] for x in range(6) for y in range(6)] + [[6.8, 2.0], [6.8, 3.0], [20.0, 0.0]]
    )
    links = links_through(pixels, torch.ones(len(pixels)), 1.0, torch.arange(len(pixels)), 1.0)
    assert links is not None
    held = {tuple(pair) for pair in links.tolist()}
    assert {(32, 36), (33, 37), (36, 37)} <= held, "two pixels beside a body"
    assert not any(38 in pair for pair in held), "what is far is on its own"


def test_all_gaussians_that_show_can_be_simulated(scene: Callable[..., Scene], cut_out: CutOut) -> None:
    picture = cut_out()
    whole = SimulatedPlane(scene("soft", size=(64, 48), content=content_of(picture), particles="all"), picture)
    assert len(whole.particles) == int((picture.gaussians.opacities > 0).sum())


@pytest.mark.parametrize("material", ["medium", "liquid", "sand"])
@pytest.mark.parametrize("radius", [16.0, None])
def test_at_rest_the_picture_is_as_it_was_fitted(
    simulated: Callable[..., SimulatedPlane], material: str, radius: float | None
) -> None:
    made = simulated(material, radius=radius)
    assert made.at(resting(made.particles)) is made.picture
    still = made.at(moved(made, (0, 0)))
    assert float((premultiplied(still.raster()) - premultiplied(made.picture.raster())).abs().max()) < 2e-3


@pytest.mark.parametrize("material", ["medium", "liquid", "sand", "rigid"])
def test_what_moves_as_one_is_drawn_elsewhere(simulated: Callable[..., SimulatedPlane], material: str) -> None:
    made = simulated(material)
    drawn = premultiplied(made.at(moved(made, (5, -3))).raster(crop=(5, -3, 69, 45)))
    assert float((drawn - premultiplied(made.picture.raster())).abs().max()) < 5e-3
    half_turn = premultiplied(made.at(moved(made, (0, 0), math.pi)).raster())
    assert float((half_turn.flip(0, 1) - premultiplied(made.picture.raster())).abs().max()) < 5e-3


@pytest.mark.parametrize("material", ["medium", "liquid"])
def test_all_that_is_shown_is_filmed(simulated: Callable[..., SimulatedPlane], material: str) -> None:
    made = simulated(material)
    frames = [resting(made.particles), moved(made, (40.3, -21.7), 0.7), moved(made, (-15.2, 3.1))]
    camera = made.camera(2.0)
    drawn = [camera.draw(picture).opacity for picture in made.shots(lambda: frames, camera)]
    assert all(each.shape == drawn[0].shape for each in drawn) and max(drawn[0].shape) < 2 * (40 + 15 + 32 + 14)
    for alpha in drawn:
        assert float(alpha.sum()) == pytest.approx(4 * math.pi * 16**2, rel=0.05), "nothing is cut"
        assert not alpha[0].any() and not alpha[-1].any() and not alpha[:, 0].any() and not alpha[:, -1].any()
    followed = simulated(material, camera="follow")
    close = followed.camera(1.0)
    assert all(bool(close.draw(shot).opacity.any()) for shot in followed.shots(lambda: frames, close))
    assert close.crop is not None and close.crop[2] - close.crop[0] < 50, "the camera goes along"


def test_a_speck_that_flies_off_widens_no_film(
    scene: Callable[..., Scene], cut_out: CutOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulated_plane, "MIN_PART_AREA", 0.05)
    picture = cut_out()
    assert picture.gaussians.opacities is not None
    opacities = picture.gaussians.opacities.clone()
    opacities.view(48, 64)[1:6, 1:6] = opacities.max()
    picture = picture.with_gaussians(replace(picture.gaussians, opacities=opacities))
    made = SimulatedPlane(scene("medium", size=(64, 48), content=content_of(picture)), picture, 400)
    rest = resting(made.particles)
    is_speck = rest.positions.amax(dim=1) < 0.1
    assert 0 < int(is_speck.sum()) < 20
    flown = torch.where(is_speck[:, None], rest.positions - 3.0, rest.positions + 0.5)
    left, top, right, bottom = made.extent([rest, Frame(1.0, flown, rest.gradients)])
    assert left >= 0 and top >= 0 and right >= 80 and bottom >= 72


def test_a_frame_that_shows_nothing_is_an_error(simulated: Callable[..., SimulatedPlane]) -> None:
    made = simulated("medium")
    rest = resting(made.particles)
    scattered = 4 * torch.rand(len(rest.positions), 2, generator=torch.Generator().manual_seed(1))
    for positions, says in ((scattered, "empty at 1.00 s"), (rest.positions * torch.nan, "nowhere at 1.00 s")):
        frames = [rest, Frame(1.0, positions, rest.gradients)]
        camera = made.camera(1.0)
        with pytest.raises(GainerError, match=says):
            list(map(camera.draw, made.shots(lambda frames=frames: frames, camera)))


def test_what_is_not_a_body_stays_and_shows_a_hole(simulated: Callable[..., SimulatedPlane]) -> None:
    made = simulated({"material": "medium", "select": {"box": [0.25, 0.25, 0.5, 0.5]}}, radius=None)
    hole = made.hole()
    assert bool(hole[16:32, 16:32].all()) and int(hole.sum()) <= 18 * 18
    _, alpha = made.at(moved(made, (0, 20))).raster()
    assert float(alpha[18:30, 18:30].max()) == 0, "behind a body there is nothing"
    assert float(alpha[:12].min()) == 1
    covered = made.at(moved(made, (20, 0))).raster()[0][18:30, 38:50]
    assert float((covered - made.picture.raster()[0][18:30, 18:30]).abs().max()) < 5e-3


def test_two_bodies_that_touch_hold_together(simulated: Callable[..., SimulatedPlane]) -> None:
    made = simulated({"material": "pinned", "part": [0, 0.5, 1, 1]}, "medium")
    assert set(made.particles.bodies.tolist()) == {0, 1}
    lower = made.particles.bodies == 0
    assert float(made.particles.positions[lower, 1].min()) > float(made.particles.positions[~lower, 1].max())
    assert len(made.at(moved(made, (1, 0))).layers) == 1


def test_what_breaks_leaves_gaps_and_smears_nothing(simulated: Callable[..., SimulatedPlane]) -> None:
    made = simulated("sand")
    rest = resting(made.particles)
    is_left = rest.positions[:, 0] < 0.5
    apart = rest.positions + torch.where(is_left[:, None], torch.tensor([-0.2, 0.0]), torch.tensor([0.2, 0.0]))
    _, alpha = made.at(Frame(1.0, apart, rest.gradients)).raster(crop=(-20, 0, 84, 48))
    assert float(alpha[:, 20 + 26 : 20 + 38].max()) == 0, "between the halves"
    assert float(alpha[:, :46].sum()) == pytest.approx(math.pi * 16**2 / 2, rel=0.25)
    elastic = simulated("medium")
    rest = resting(elastic.particles)
    stretched = torch.tensor([1.4, 1.0])
    positions = (rest.positions - 0.5) * stretched + 0.5
    gradients = torch.diag(stretched).repeat(len(positions), 1, 1)
    _, alpha = elastic.at(Frame(1.0, positions, gradients)).raster()
    x, y = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(48) + 0.5, indexing="xy")
    inside = ((x - 32) / (1.4 * 16 - 3)).square() + ((y - 24) / 13).square() < 1
    assert float(alpha[..., 0][inside].min()) > 0.98, "what holds together has no holes"


def test_dense_grains_leave_no_gaps_between_them(simulated: Callable[..., SimulatedPlane]) -> None:
    made = simulated("liquid")
    rest = resting(made.particles)
    shaken = rest.positions + 0.25 * made.particles.spacing * torch.randn(len(rest.positions), 2)
    _, alpha = made.at(Frame(1.0, shaken, rest.gradients)).raster()
    assert float((alpha[12:36, 20:44] > 0.5).float().mean()) > 0.97


def test_centre_is_that_of_what_moves(simulated: Callable[..., SimulatedPlane]) -> None:
    made = simulated("medium")
    assert made.centre(resting(made.particles)) == pytest.approx((32, 24), abs=0.2)
    assert made.centre(moved(made, (3, 7))) == pytest.approx((35, 31), abs=0.2)
    held = simulated({"material": "pinned", "part": [0, 0.5, 1, 1]}, "medium")
    assert held.centre(resting(held.particles))[1] < 20


def test_bodies_side_by_side_hang_together_if_they_are_alike(simulated: Callable[..., SimulatedPlane]) -> None:
    halves: list[object] = [{"material": "soft", "part": [0, 0, 0.5, 1]}, "stiff"]
    made = simulated(*halves)
    assert adjacent_bodies(made.particles, made.materials) == [[0, 1]]
    assert adjacent_bodies(made.particles, (PRESETS["soft"], PRESETS["sand"])) == [[0], [1]]
    ends = simulated({"material": "soft", "part": [0, 0, 0.2, 1]}, {"material": "soft", "part": [0.8, 0, 1, 1]})
    assert adjacent_bodies(ends.particles, ends.materials) == [[0], [1]]


def test_a_body_of_clear_pixels_is_refused(simulated: Callable[..., SimulatedPlane]) -> None:
    corner = {"material": "soft", "select": {"box": [0.25, 0.13, 0.28, 0.16]}}
    with pytest.raises(GainerError, match=r"bodies\[0\].*takes nothing of what the picture shows"):
        simulated(corner)
    with pytest.raises(GainerError, match=r"bodies\[1\]"):
        simulated("soft", "sand")


def test_an_edited_picture_is_refused(scene: Callable[..., Scene], cut_out: CutOut) -> None:
    picture = cut_out()
    with pytest.raises(GainerError, match="as it was fitted"):
        SimulatedPlane(
            scene("soft", size=(64, 48), content=content_of(picture)), replace(picture, layers=picture.layers * 2)
        )


def test_a_body_that_has_torn_opens_where_its_particles_have_parted(simulated: Callable[..., SimulatedPlane]) -> None:
    torn = simulated({"material": {"preset": "soft", "tear": 0.3}})
    whole = torn.at(moved(torn, (3.0, 0.0))).raster()[1][..., 0]
    rest = torn.particles.positions
    right = rest[:, 0] > 0.5
    frame = moved(torn, (0.0, 0.0))
    apart = torch.stack([torch.where(right, 5.0, -5.0) / 64, torch.zeros(len(rest))], dim=1)
    drawn = torn.at(replace(frame, positions=frame.positions + apart)).raster()
    alpha = drawn[1][..., 0]
    assert float(alpha[20:28, 30:34].max()) == 0, "nothing is smeared across"
    assert float(alpha.sum()) == pytest.approx(float(whole.sum()), rel=0.03), "and nothing is lost"
    before = simulated("soft").at(moved(torn, (-5.0, 0.0))).raster()
    shown = (slice(16, 32), slice(14, 24))
    assert float((premultiplied(drawn) - premultiplied(before))[shown].abs().max()) < 0.02
