"""Scene files: what they may say, the one line that is said about everything else, and what they mean on a picture."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gainer_ns.editing.selection import Disc, Selection
from gainer_ns.errors import GainerError
from gainer_ns.physics.bodies import Body
from gainer_ns.physics.colliders import HalfSpace, Obstacle, Plane, SolidDisc, Walls
from gainer_ns.physics.engine import Particles
from gainer_ns.physics.forces import FORCES, Force, Gravity
from gainer_ns.physics.lengths import in_pixels, intersection, share_of
from gainer_ns.physics.materials import BEHAVIOUR_NUMBERS, PRESETS, ChosenMaterial
from gainer_ns.physics.pulls import Pull
from gainer_ns.physics.sampling import members_of
from gainer_ns.physics.scene import Domain, Scene, read_scene

WIDTH, HEIGHT, CONTENT = 200, 150, (50.0, 30.0, 150.0, 110.0)
FOLDER = Path(__file__).parents[2]
PAGE = (FOLDER / "docs" / "physics.md").read_text("utf8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Scene]:
    """Reads a scene from its text, for a picture with a mask beside the file."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[40:80, 60:100] = 255
    Image.fromarray(mask).save(tmp_path / "ear.png")
    Image.fromarray(mask[:50]).save(tmp_path / "small.png")

    def run(text: str) -> Scene:
        (tmp_path / "scene.yaml").write_text(text, "utf8")
        return read_scene(tmp_path / "scene.yaml", WIDTH, HEIGHT, CONTENT)

    return run


@pytest.fixture
def refusal(read: Callable[[str], Scene], tmp_path: Path) -> Callable[[str], str]:
    def run(text: str) -> str:
        with pytest.raises(GainerError) as caught:
            read(text)
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        return message.replace(f"{tmp_path}/", "")

    return run


FULL = """bodies:
- select: {disc: {center: [0.4, 0.3], radius: 0.1}, feather: 0.02}
  material: {preset: sand, friction_angle: 30}
- part: [0, 0.9, 1, 1]
  material: pinned
- material: soft
  velocity: [0.5, -1]
  spin: 90
gravity:
  keyframes:
    0: 5
    1.5: [4, 0]
forces:
- wind: {acceleration: [2, 0], gusts: 0.5}
  region: {box: [0, 0, 0.5, 0.5]}
  from: 0.5
  until: 2
- impulse: {velocity: [0, -1], at: 1}
colliders:
- floor: {top: 0.7}
- disc: {center: [0.9, 0.5], radius: 0.05}
  surface: sticky
domain: {margin: [0.5, 0.5, 0.5, 0.5]}
duration: 2
fps: 24
background: {color: [255, 255, 255]}
canvas: [0, 0, 1, 0.75]
camera: follow
particles: all
cells: 64
seed: 3
"""


def test_a_scene(read: Callable[[str], Scene]) -> None:
    scene = read(FULL)
    assert [material.behaviour for material in scene.materials] == ["sand", "pinned", "elastic"]
    assert scene.materials[0].friction_angle == 30
    config = scene.simulation_config()
    assert (config.low, config.high) == ((-0.25, -0.35), (1.25, 1.05))
    assert (config.frames, config.fps, config.cells, config.dimensions) == (49, 24, 64, 2)
    assert config.gravity.at(0.75) == pytest.approx((2, 2.5))
    assert len(config.forces) == 2 and len(config.colliders) == 5, "floor, disc, and three borders"
    inside, outside = torch.tensor([[0.25, 0.25]]), torch.tensor([[0.75, 0.25]])
    assert float(config.forces[0].field(inside)[0, 0]) == 2 and not config.forces[0].field(outside).any()
    assert (scene.filmed, scene.camera, scene.particles, scene.seed) == ((0, 0, 200, 150), "follow", "all", 3)
    assert scene.background.color == (255, 255, 255)


def test_a_scene_is_written_as_it_is_read(read: Callable[[str], Scene]) -> None:
    scene = read(FULL)
    assert read(scene.to_yaml()) == scene
    assert yaml.safe_load(scene.to_yaml()) == yaml.safe_load(FULL)
    bare = read(
        "bodies: [{material: liquid}]\ngravity: 0\ncolliders: [{floor: {}}, {walls: {}}]\ndomain: {margin: 0.5}\n"
    )
    assert read(bare.to_yaml()) == bare


def test_defaults_look_right(read: Callable[[str], Scene]) -> None:
    scene = read("bodies: [{material: medium}]")
    assert scene.to_yaml() == "bodies:\n- {material: medium}\n"
    config = scene.simulation_config()
    assert config.gravity.at(2) == (0, 5) and (config.frames, config.fps, config.cells) == (91, 30, None)
    assert (*config.low, *config.high) == pytest.approx((0.0, 0.0, 1.0, 0.85))
    assert scene.filmed is None, "all that is shown, which is known at the end"
    assert read("bodies: [{material: medium}]\ncanvas: domain").filmed == pytest.approx((0, 0, 200, 170))
    assert scene.background.transparent and scene.camera == "still" and scene.particles == 20_000


def test_a_setting_in_space_has_borders_in_depth_too(scene: Callable[..., Scene]) -> None:
    config = scene().simulation_config(3, (-0.2, 0.3))
    assert config.dimensions == 3 and (config.low[2], config.high[2]) == (-0.2, 0.3)
    points = torch.tensor([[0.5, 0.4, -0.3], [0.5, 0.4, 0.0], [0.5, 0.4, 0.5]])
    deepest = torch.stack([collider.depth(points) for collider in config.colliders]).amax(dim=0)
    assert deepest.tolist() == pytest.approx([0.1, -0.2, 0.2], abs=1e-6)


def test_the_first_body_has_what_several_select(scene: Callable[..., Scene]) -> None:
    made = scene(
        {"select": {"box": [0.25, 0.15, 0.5, 0.75], "feather": 0.1}, "material": "soft"},
        {"select": {"box": [0.25, 0.15, 0.75, 0.4]}, "material": "liquid"},
        "sand",
    )
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(4000, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT])
    fields = made.body_fields(points)
    assert fields.shape == (3, 4000)
    assert bool(((fields > 0.5).sum(dim=0) == 1).all()), "the last takes the rest"
    own = Selection.model_validate({"box": [50, 30, 100, 150], "feather": 20}).field(points)
    assert torch.allclose(fields[0], own)
    assert torch.allclose(made.body_fields(torch.tensor([[100.0, 60.0]])), torch.tensor([[0.5], [0.5], [-19.5]]))


def test_a_part_is_a_share_of_what_shows(scene: Callable[..., Scene]) -> None:
    made = scene({"part": [0.0, 0.75, 0.5, 1.0], "material": "soft"})
    points = torch.tensor([[51.0, 91], [99, 109], [101, 100], [60, 89], [49, 112]])
    assert (made.body_fields(points)[0] > 0.5).tolist() == [True, True, False, False, True], "the soft edge comes along"


def test_a_part_and_a_selection_must_both_hold(scene: Callable[..., Scene]) -> None:
    body = {"part": [0, 0.5, 1, 1], "select": {"disc": {"center": [0.5, 0.35], "radius": 0.1}}, "material": "soft"}
    points = torch.tensor([[100.0, 80], [100, 60], [60, 100]])
    assert (scene(body).body_fields(points)[0] > 0.5).tolist() == [True, False, False]


SELECTIONS = [
    {"all": True},
    {"box": [0.1, 0.2, 0.5, 0.6]},
    {"disc": {"center": [0.4, 0.3], "radius": 0.2}, "feather": 0.1},
    {"polygon": [[0.1, 0.1], [0.9, 0.2], [0.4, 0.7]]},
    {"minus": [{"box": [0, 0, 1, 0.7]}, {"disc": {"center": [0.5, 0.3], "radius": 0.2}}], "feather": 0.05},
    {"union": [{"box": [0, 0, 0.2, 0.2]}, {"intersect": [{"box": [0.1, 0, 0.9, 0.5]}, {"box": [0.5, 0.1, 1, 0.7]}]}]},
]


@pytest.mark.parametrize("data", SELECTIONS, ids=lambda data: next(iter(data)))
@given(factor=st.floats(10, 4000))
def test_selections_mean_the_same_in_pixels(data: dict, factor: float) -> None:
    """Inside in widths is inside in pixels, and depths are as many times larger."""
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(300, 2, generator=generator, dtype=torch.float64)
    selection = Selection.model_validate(data)
    large = in_pixels(selection, factor)
    assert large.bounds(1, 1) == pytest.approx(
        [each * (1 if selection.all else factor) for each in selection.bounds(1, 1)]
    )
    depth, soft = selection.field(points) - 0.5, large.field(points * factor) - 0.5
    assert torch.equal(depth > 0, soft > 0)
    if selection.feather is not None:
        wide = max(selection.feather * factor, 1.0)
        assert torch.allclose(soft * wide, depth * factor), "over the feather; in widths that is below 1"


def test_a_mask_keeps_its_pixels(read: Callable[[str], Scene]) -> None:
    made = read("bodies: [{select: {mask: ear.png, feather: 0.05}, material: soft}]")
    points = torch.tensor([[80.0, 60.0], [61.0, 60.0], [50.0, 60.0], [60.0, 60.0]])
    fields = made.body_fields(points)[0]
    assert (fields[:3] > 0.5).tolist() == [True, True, False]
    assert fields.tolist() == pytest.approx([2.5, 0.6, -0.5, 0.5], abs=0.06), "over 10 pixels"


def test_a_body_starts_as_a_rigid_body_moves() -> None:
    body = Body.model_validate({"material": "soft", "velocity": [1.0, -2.0], "spin": 180})
    positions = torch.tensor([[1.0, 1.0], [3.0, 1.0], [1.0, 2.0]])
    volumes = torch.tensor([2.0, 1.0, 1.0])
    velocities = body.velocities(positions, volumes)
    assert ((velocities * volumes[:, None]).sum(dim=0) / 4).tolist() == pytest.approx([1, -2], abs=1e-6)
    # Counter-clockwise as seen: what is right of the centre goes up, and up is -y.
    assert (velocities[1] - velocities[0]).tolist() == pytest.approx([0, -2 * math.pi], abs=1e-5)
    assert (velocities[2] - velocities[0]).tolist() == pytest.approx([math.pi, 0], abs=1e-5)
    deep = torch.cat([positions, torch.tensor([[0.0], [1.0], [5.0]])], dim=1)
    assert torch.equal(body.velocities(deep, volumes)[:, :2], velocities)
    assert not body.velocities(deep, volumes)[:, 2].any()


BOX = st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(1, 500), st.floats(1, 500))


@given(BOX)
def test_the_halves_of_what_shows_are_all_of_it(sides: tuple[float, float, float, float]) -> None:
    whole = (sides[0], sides[1], sides[0] + sides[2], sides[1] + sides[3])
    upper, lower = share_of((0, 0, 1, 0.5), whole), share_of((0, 0.5, 1, 1), whole)
    assert upper[3] == lower[1] == pytest.approx(sides[1] + sides[3] / 2)
    assert intersection(whole, share_of((0, 0, 1, 1), whole)) == whole
    quarter = share_of((0.25, 0.25, 0.5, 0.5), whole)
    assert quarter == pytest.approx([sides[0] + sides[2] / 4, sides[1] + sides[3] / 4,
                                     sides[0] + sides[2] / 2, sides[1] + sides[3] / 2])  # fmt: skip


MEDIUM = "bodies: [{material: medium}]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gravity: 5", "scene.yaml, line 1: misses the word bodies"),
        ("bodies: []", "line 1: bodies: must have at least 1 values"),
        (MEDIUM + "speed: 3", "scene.yaml, line 2: speed: unknown word; allowed: bodies, gravity, forces, pulls"),
        ("bodies:\n- {material: cheese}", "line 2: bodies[0].material: there is no material 'cheese'; materials are"),
        (
            "bodies:\n- material:\n    preset: cheese",
            "line 3: bodies[0].material.preset: there is no material 'cheese'; materials are soft, medium, stiff,",
        ),
        ("bodies:\n- material: {preset: soft, E: 0}", "bodies[0].material.E: must be greater than 0, not 0"),
        ("bodies:\n- material: {preset: soft, E: -3}", "bodies[0].material.E: must be greater than 0, not -3"),
        ("bodies:\n- material: {preset: soft, nu: 0.5}", "bodies[0].material.nu: must be less than 0.5, not 0.5"),
        (
            "bodies:\n- material: {preset: liquid, friction_angle: 30}",
            "bodies[0].material.friction_angle: means nothing to liquid; it knows E, density, viscosity, "
            "surface_tension, cohesion, so leave it out",
        ),
        ("bodies: [{material: pinned}]", "bodies: are all pinned, so nothing moves"),
        ("bodies: [{material: pinned, velocity: [1, 0]}, {material: soft}]", "bodies[0].velocity: what is pinned does"),
        ("bodies: [{material: soft, part: [0, 0, 1, 2]}]", "bodies[0].part[3]: must be less than or equal to 1, not 2"),
        ("bodies: [{material: soft, part: [0, 0.5, 1, 0.5]}]", "bodies[0].part: is empty"),
        (
            "bodies:\n- material: soft\n  select: {box: [50, 50, 100, 100]}",
            "line 3: bodies[0].select.box: lies outside the picture, which is 200 x 150 pixels; x points right and y "
            "down, from its top-left corner; lengths in scenes are widths of the picture, so 0.5 is half of it",
        ),
        ("bodies: [{material: soft, select: {box: [0.1, 0.1, 0.101, 0.101]}}]", "select.box: selects no pixel"),
        (
            "bodies: [{material: soft, select: {box: [0, 0, 0.2, 0.1]}}]",
            "bodies[0]: takes nothing of what the picture shows, which is in [0.25, 0.15, 0.75, 0.55]",
        ),
        ("bodies: [{material: soft, select: {mask: small.png}}]", "is 200 x 50 pixels, the picture 200 x 150; save"),
        (
            "bodies: [{material: soft, select: {union: [{box: [0, 0, 1, 1]}, {box: [3, 0, 4, 1]}]}}]",
            "bodies[0].select.union[1].box: lies outside the picture",
        ),
        (MEDIUM + "fps: 0", "line 2: fps: must be greater than 0, not 0"),
        (MEDIUM + "duration: 0", "line 2: duration: must be greater than 0, not 0"),
        (MEDIUM + "duration: 99999", "duration: makes 2999971 frames, but at most 100000"),
        (MEDIUM + "particles: many", "particles: must be how many particles are simulated, from 16 to"),
        (MEDIUM + "particles: 3", "particles: must be how many particles are simulated"),
        (MEDIUM + "cells: 2", "cells: must be greater than or equal to 8, not 2"),
        (MEDIUM + "camera: shaking", "camera: must be 'still' or 'follow', not 'shaking'"),
        (MEDIUM + "gravity: down", "line 2: gravity: must be a number (downwards) or [right, down], or a mapping with"),
        (MEDIUM + "gravity:\n  keyframes:\n    0: 5\n    2: fast", "line 5: gravity.keyframes[2]: must be a number"),
        (MEDIUM + "domain: {box: [0, 0, 0.5, 0.5]}", "domain: [0, 0, 0.5, 0.5] does not hold bodies[0], which"),
        (MEDIUM + "domain: {box: [1, 0, 0, 1]}", "domain.box: is empty"),
        (MEDIUM + "domain: {margin: -0.1}", "domain.margin: must be greater than or equal to 0"),
        (MEDIUM + "domain: {margin: 0.1, box: [0, 0, 1, 1]}", "domain: needs exactly one of margin, box"),
        (MEDIUM + "domain: {margin: 300}", "domain: is 120100 x 120080 pixels of the picture, too many to draw"),
        (MEDIUM + "canvas: [0, 0, 640, 480]", "canvas: is 128000 x 96000 pixels of the picture, too many to draw"),
        (MEDIUM + "colliders:\n- {floor: {top: 90}}", "line 3: colliders[0]: lies outside the domain, which is [0,"),
        (MEDIUM + "colliders:\n- {disc: {center: [0.5, 9], radius: 0.1}}", "colliders[0]: lies outside the domain"),
        (MEDIUM + "colliders:\n- {surface: slip}", "colliders[0]: needs exactly one of floor, walls, plane, disc, box"),
        (MEDIUM + "forces:\n- wind: {acceleration: [1, 0]}\n  region: {box: [5, 5, 6, 6]}", "forces[0].region.box"),
        (MEDIUM + "canvas: [5, 5, 6, 6]", "canvas: shows neither the picture nor the domain, which is ["),
        (MEDIUM + "pulls:\n- {at: [300, 200]}", "line 3: pulls[0]: is never in the domain, which is ["),
        (MEDIUM + "forces:\n- {push: 3}", "forces[0].push: unknown word; allowed: wind, oscillation,"),
        (MEDIUM + "forces:\n- wind: {acceleration: [1]}", "forces[0].wind.acceleration: must have 2 values, not 1"),
        (MEDIUM + "background: {image: no.jpg}", "does not exist"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(text: str, said: str, refusal: Callable[[str], str]) -> None:
    message = refusal(text)
    assert message.startswith("scene.yaml, line ")
    assert said in message


def test_particles_in_the_domain_and_free_of_colliders_are_fine(
    scene: Callable[..., Scene], particles_of: Callable[..., Particles]
) -> None:
    touching = [{"floor": {"top": 0.55}}, {"disc": {"center": [0.85, 0.3], "radius": 0.1}}]
    made = scene("medium", colliders=touching, domain={"margin": [0, 0, 0.1, 0.1]})
    made.check_particles(particles_of(made))


@pytest.mark.parametrize(
    "obstacle",
    [
        {"disc": {"center": [0.8, 0.4], "radius": 0.08}},
        {"floor": {"top": 0.5}},
        {"walls": {"left": 0.3}},
        {"box": [0.4, 0.2, 0.5, 0.3]},
        {"plane": {"point": [0.5, 0.5], "normal": [1, -3]}},
    ],
)
def test_colliders_in_bodies_are_refused(
    obstacle: dict, scene: Callable[..., Scene], particles_of: Callable[..., Particles]
) -> None:
    made = scene("soft", colliders=[{"floor": {}}, obstacle])
    with pytest.raises(GainerError, match=r"^colliders\[1\]: reaches 0\.\d+ widths into bodies\[0\]; move it out"):
        made.check_particles(particles_of(made))


def test_what_is_pinned_may_stand_in_the_ground(
    scene: Callable[..., Scene], particles_of: Callable[..., Particles]
) -> None:
    made = scene({"part": [0, 0.8, 1, 1], "material": "pinned"}, "soft", colliders=[{"floor": {"top": 0.5}}])
    made.check_particles(particles_of(made))


def test_particles_out_of_the_domain_are_refused(
    scene: Callable[..., Scene], particles_of: Callable[..., Particles]
) -> None:
    made = scene("soft", domain={"margin": 0})
    with pytest.raises(GainerError, match=r"^domain: .* does not hold bodies\[0\]"):
        made.check_particles(particles_of(made, content=(50, 30, 156, 110)))


def test_a_body_without_particles_is_refused(read: Callable[[str], Scene]) -> None:
    made = read("bodies:\n- {material: soft}\n- {select: {box: [0.4, 0.2, 0.5, 0.3]}, material: sand}")
    with pytest.raises(GainerError, match=r"line 3: bodies\[1\].*no earlier body has taken"):
        members_of(made, torch.rand(500, 2) * torch.tensor([200, 150]), torch.ones(500, dtype=torch.bool))


SHAPES = [
    ((932, 860), (156.0, 11.0, 777.0, 584.0)),
    ((409, 610), (0.0, 220.0, 409.0, 610.0)),
    ((613, 407), (0.0, 0.0, 613.0, 407.0)),
    ((613, 407), (255.0, 64.0, 300.0, 380.0)),
    ((64, 48), (20.0, 20.0, 30.0, 24.0)),
    ((300, 1200), (3.0, 5.0, 290.0, 1190.0)),
]


@pytest.mark.parametrize(("size", "content"), SHAPES)
def test_shipped_scenes_fit_any_cut_out(
    size: tuple[int, int],
    content: tuple[float, float, float, float],
    shipped_scene: Path,
    particles_of: Callable[..., Particles],
) -> None:
    made = read_scene(shipped_scene, *size, content)
    spacing = math.sqrt((content[2] - content[0]) * (content[3] - content[1]) / 1000)
    particles = particles_of(made, size[0], content, spacing)
    made.check_particles(particles)
    assert len(torch.unique(particles.bodies)) == len(made.bodies)
    assert len(particles) == pytest.approx(1000, rel=0.2)
    config = made.simulation_config()
    assert config.frames > 60 and config.fps == 30
    assert 8_000 <= made.particles <= 20_000 and made.cells is None


def test_shipped_scenes_say_what_they_do(shipped_scene: Path) -> None:
    first, second, *rest = shipped_scene.read_text("utf8").splitlines()
    name = shipped_scene.stem
    assert first.startswith("# ") and first.endswith(".")
    scene, output = f"--scene configs/physics/{name}.yaml", f"--output {name}.mp4"
    assert second == f"#   gainer simulate --load-config outputs/.../config.yml {scene} {output}"
    assert max(map(len, (first, second, *rest))) <= 120
    assert f"`{name}`" in PAGE
    made = read_scene(shipped_scene, WIDTH, HEIGHT, CONTENT)
    assert made.canvas == "auto" and made.domain.margin is not None, "nothing that fits one picture alone"
    assert all(body.select.all for body in made.bodies)


@pytest.mark.parametrize("text", BLOCKS, ids=range(len(BLOCKS)))
def test_scenes_of_the_page_are_read(text: str, read: Callable[[str], Scene]) -> None:
    assert read(text).simulation_config().frames > 1


@pytest.mark.parametrize(
    "model", [Body, ChosenMaterial, Disc, Domain, Force, Obstacle, Plane, Pull, Scene, Walls, *FORCES.values()]
)
def test_each_word_is_on_the_page(model: type) -> None:
    for name, member in model.model_fields.items():  # type: ignore[attr-defined]
        word = member.alias or name
        assert re.search(rf"`[^`\n]*\b{word}\b[^`\n]*`", PAGE), word


@pytest.mark.parametrize("name", PRESETS)
def test_each_material_is_on_the_page_with_its_numbers(name: str) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    material, cells = PRESETS[name], [cell.strip() for cell in row.strip("|").split("|")][2:]
    for word, cell in zip(("E", "nu", "density", "friction_angle"), cells, strict=True):
        assert cell == (f"{getattr(material, word):g}" if word in BEHAVIOUR_NUMBERS[material.behaviour] else "")
    if material.behaviour == "liquid":
        numbers = (f"{each:g}" for each in (material.viscosity, material.surface_tension, material.cohesion))
        assert re.search(rf"^\| {name} \| .* \| {' [|] '.join(numbers)} \|$", PAGE, re.MULTILINE)


def test_defaults_are_on_the_page() -> None:
    made = Scene.model_validate({"bodies": [{"material": "soft"}]})
    table = PAGE.split("## The scene")[1].split("## Bodies")[0]
    rows = {
        row.split("`")[1]: row.strip("| ").split("|")[-1].strip() for row in table.splitlines() if row.startswith("| `")
    }
    assert list(rows) == list(Scene.model_fields)
    assert rows["domain"] == "margin " + ", ".join(f"{each:g}" for each in made.domain.margin or ())
    for word in ("duration", "fps", "particles", "seed", "camera", "canvas"):
        value = getattr(made, word)
        assert rows[word] == (value if isinstance(value, str) else f"{value:g}")
    assert rows["gravity"] == f"{Gravity().at(0)[1]:g}"
    (floor,) = Obstacle.model_validate({"floor": {}}).colliders((0, 0, 1, 1))
    (disc,) = Obstacle.model_validate({"disc": {"center": [0, 0], "radius": 1}}).colliders((0, 0, 1, 1))
    assert isinstance(floor, HalfSpace) and isinstance(disc, SolidDisc)
    assert f"({floor.friction:g} of floors, {disc.friction:g} of all else)" in PAGE
