"""The scripts in configs/edits are read and drawn as they are."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gainer_ns.editing.backdrops import BackgroundPlate
from gainer_ns.editing.lifted_stage import LiftedStage
from gainer_ns.editing.script import Script, read_script
from gainer_ns.editing.shots import Camera
from gainer_ns.editing.stage import Stage
from gainer_ns.editing.vocabulary import OPERATIONS
from gainer_ns.fields.decoder import Decoder
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import save_picture

FOLDER = Path(__file__).parents[1] / "configs" / "edits"
EVERY = sorted(path.name for path in FOLDER.glob("*.yaml"))
LIFTED = [name for name in EVERY if name.startswith("lifted_")]
NAMES = [name for name in EVERY if name not in LIFTED]


@pytest.fixture(scope="session")
def coarse() -> Callable[[int, int], BakedPicture]:
    """Makes a random picture of any size of few Gaussians."""

    def make(width: int, height: int) -> BakedPicture:
        plane = ImagePlane(width, height)
        means = lattice_means(plane, 1 / 64)
        pixel = plane.pixel_size
        gaussians = GaussianSet(means, isotropic(8 * 0.64 * pixel, 2), torch.randn(len(means), 8), 80 * pixel)
        return BakedPicture(plane, (Layer(gaussians, Decoder(8).eval(), 16, plane.half_extent),))

    return make


@pytest.fixture
def scripts(coarse: Callable[[int, int], BakedPicture], tmp_path: Path) -> Path:
    """The folder of scripts with the picture that one of them names."""
    folder = tmp_path / "edits"
    shutil.copytree(FOLDER, folder)
    save_picture(coarse(64, 64), folder / "sticker.safetensors")
    return folder


def test_every_operation_has_a_script_of_its_name() -> None:
    assert {f"{word}.yaml" for word in OPERATIONS} <= set(NAMES)


@pytest.mark.parametrize("name", EVERY)
def test_a_script_says_what_it_does(name: str) -> None:
    text = (FOLDER / name).read_text("utf8")
    assert text.startswith("# ")
    assert max(map(len, text.splitlines())) <= 120


SIZES = {"small": (40, 32), "large": (560, 380), "tall": (48, 240), "wide": (400, 50)}
"""Width and height of pictures that every script fits."""


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_a_script_fits_any_picture(
    name: str, size: tuple[int, int], coarse: Callable[[int, int], BakedPicture], scripts: Path
) -> None:
    """It selects something, is drawn, changes the picture, and keeps its percentages when it is written."""
    script: Script = read_script(scripts / name, *size)
    word = name.removesuffix(".yaml")
    assert word not in OPERATIONS or [word] == [done for edit in script.edits for done in edit.words]
    picture, scale = coarse(*size), min(1.0, 64 / max(size))
    stage = Stage(script, picture, {layer: coarse(40, 24) for layer in script.layers})
    camera = Camera(BackgroundPlate.of(script.background, picture, stage.hole), scale, script.canvas)
    before, after = (camera.draw(shown) for shown in (replace(picture), stage.at(script.times[len(script.times) // 2])))
    assert bool(after.colours.isfinite().all()) and bool(after.opacity.isfinite().all())
    assert float(after.opacity.mean()) > 0.3
    assert float((before.colours - after.colours).abs().max()) > 0.05, "something changes"
    (scripts / "again.yaml").write_text(script.to_yaml(scripts), "utf8")
    assert read_script(scripts / "again.yaml", *size[::-1]) == read_script(scripts / name, *size[::-1])


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", LIFTED)
def test_a_script_for_lifted_photos_fits_any(
    name: str, size: tuple[int, int], lifted_scene: Callable[..., LiftedScene]
) -> None:
    scene = lifted_scene((1.0,), size=size, spacing=max(1, max(size) // 128))
    script = read_script(FOLDER / name, *size, lifted_layers=1)
    edited = LiftedStage(script, scene).at(0.4 if script.seconds else 1.0)
    scale = min(1.0, 64 / max(size))
    (before, _), (after, alpha) = scene.raster(scale), edited.raster(scale)
    assert bool(after.isfinite().all()) and float(alpha.mean()) > 0.3
    assert float((before - after).abs().max()) > 0.005, "something changes"
