"""Sand that has come apart is drawn as grains, and as the picture where it has not."""

from collections.abc import Callable

import pytest
import torch

from gainer_ns.motion.grain_map import GrainMap
from gainer_ns.physics.engine import Frame, resting
from gainer_ns.physics.grains import Patches
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.simulated_plane import SimulatedPlane, content_of
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.sheet import Sheet

Simulated = Callable[..., SimulatedPlane]


@pytest.fixture
def simulated(scene: Callable[..., Scene], cut_out: Callable[..., BakedPicture]) -> Simulated:
    """``simulated(material, **words)``: a disc of 16 px in 64 x 48, of 300 particles."""

    def make(material: str = "sand", **words: object) -> SimulatedPlane:
        picture = cut_out()
        return SimulatedPlane(scene(material, size=(64, 48), content=content_of(picture), **words), picture, 300)

    return make


def grains_of(made: SimulatedPlane, frame: Frame) -> GrainMap:
    (sheet,) = made.at(frame).layers
    assert isinstance(sheet, Sheet) and isinstance(sheet.rest_map, GrainMap)
    return sheet.rest_map


@pytest.mark.parametrize("material", ["sand", "snow"])
def test_what_is_loose_comes_loose_without_a_jump(simulated: Simulated, material: str) -> None:
    made = simulated(material)
    rest, before = resting(made.particles), torch.zeros(48, 64, 3)
    way = torch.randn(rest.positions.shape, generator=torch.Generator().manual_seed(0)) * made.particles.spacing
    looseness, changes = [], []
    for share in torch.linspace(0, 0.3, 31).tolist():
        frame = Frame(1.0, rest.positions + share * way, rest.gradients)
        looseness.append(float(grains_of(made, frame).looseness.mean()))
        rgb, alpha = made.at(frame).raster()
        changes.append(float((rgb * alpha - before).abs().mean()))
        before = rgb * alpha
    assert looseness[0] == 0 and looseness[-1] > 0.95 and looseness == sorted(looseness)
    assert max(changes[1:]) < 0.03, "a hundredth of a spacing changes little"


def test_grains_are_as_large_as_the_scene_says(simulated: Simulated) -> None:
    for grain, pixels in (("3px", 3.0), ("10%", 6.4), (None, 1.25 * simulated().particles.spacing * 64)):
        made = simulated(grain=grain)
        rest = resting(made.particles)
        apart = Frame(1.0, 0.5 + 8 * (rest.positions - 0.5), rest.gradients)
        assert float(grains_of(made, apart).radius) * 64 == pytest.approx(pixels / 2, rel=1e-5)
        alpha = made.at(apart).raster(crop=(-300, -200, 364, 248))[1]
        count = int(((8 * (rest.positions - 0.5).abs()) < torch.tensor([5.0, 3.4])).all(dim=1).sum())
        assert float(alpha.sum()) == pytest.approx(count * torch.pi * (pixels / 2) ** 2, rel=0.12)


def test_grains_have_nothing_clear_in_them(simulated: Simulated) -> None:
    """Those of the edge show what is opaque near by."""
    made = simulated()
    rest = resting(made.particles)
    apart = Frame(1.0, 0.5 + 8 * (rest.positions - 0.5), rest.gradients)
    drawn = made.at(apart).at(grains_of(made, apart).positions)
    assert float(drawn.alpha.min()) > 0.95


def test_patches_lie_inside(simulated: Simulated) -> None:
    made = simulated()
    (piece,) = made._pieces
    points = torch.tensor([[32.0, 24.0], [47.9, 24.0], [2.0, 2.0]])
    found = Patches.of(piece, points, spacing=1.6)
    away = (found.origins - torch.tensor([32.0, 24.0])).norm(dim=1)
    assert float(away[0]) == 0 and float(found.radii[0]) == pytest.approx(13, abs=1)
    assert 12 < float(away[1]) < 14.6 and float(found.radii[1]) <= 1
    assert torch.equal(found.origins[2], points[2]) and float(found.radii[2]) == 0, "far from all that is opaque"


@pytest.mark.parametrize("grain", [2, "2", "0px", "-1%", "2 cm", [2]])
def test_a_size_that_is_none_is_refused(scene: Callable[..., Scene], grain: object) -> None:
    with pytest.raises(ValueError, match="diameter of a grain"):
        scene("sand", grain=grain)
