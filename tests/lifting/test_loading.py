"""A lifted photo from its run, and what is none."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nerfstudio.utils.eval_utils import eval_setup
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.frames import PinholeCamera
from gainer_ns.image.loading import load_baked
from gainer_ns.lifting.loading import load_lifted
from gainer_ns.lifting.model import LiftModel

Fit = Callable[..., Path]


def with_depth(photo: Path) -> Callable[[Any], None]:
    def edit(config: Any) -> None:
        config.pipeline.datamanager.depth_path = photo.with_name("depth.npy")
        config.pipeline.datamanager.focal_length = 60.0
        config.pipeline.datamanager.principal_point = (22.5, 19.25)

    return edit


@pytest.fixture
def run(fit: Fit, lifted_photo: Path, tmp_path: Path) -> Path:
    return fit(lifted_photo, tmp_path / "runs", "gainer-lift", with_depth(lifted_photo))


def test_neither_photo_nor_depth_is_needed(
    run: Path, lifted_photo: Path, camera: PinholeCamera, rays_from: Any, decibel: Any, colours_of: Any
) -> None:
    model = eval_setup(run)[1].model
    assert isinstance(model, LiftModel)
    expected = model.get_outputs(rays_from(camera))
    lifted_photo.unlink()
    lifted_photo.with_name("depth.npy").unlink()
    scene = load_lifted(run, "cpu")
    assert scene.camera == camera and scene.unit == pytest.approx(2.03, abs=0.05)
    outputs = scene.outputs(rays_from(camera), torch.ones(3))
    for name, value in expected.items():
        assert torch.equal(value, outputs[name]), name
    assert decibel(outputs["rgb"] - colours_of(camera).view(-1, 3)) > 40


def test_a_run_can_be_moved(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run.parent, tmp_path / "elsewhere")
    shutil.rmtree(run.parent)
    assert len(load_lifted(tmp_path / "elsewhere" / "config.yml").shown_layers) == 1


def test_runs_of_the_other_kind(fitted_run: Path, run: Path) -> None:
    with pytest.raises(GainerError, match="not a run of gainer-lift"):
        load_lifted(fitted_run)
    with pytest.raises(GainerError, match="not a run of a 2D gainer method"):
        load_baked(run)


def test_what_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("a: 1\n")
    for path, message in ((tmp_path / "missing.yml", "no such file"), (tmp_path / "config.yml", "not a configuration")):
        with pytest.raises(GainerError, match=message) as caught:
            load_lifted(path)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_version(run: Path) -> None:
    (checkpoint,) = (run.parent / "nerfstudio_models").glob("*.ckpt")
    state = torch.load(checkpoint, weights_only=True)
    state["pipeline"]["_model.version"] += 1
    torch.save(state, checkpoint)
    with pytest.raises(GainerError, match="the checkpoint is of version") as caught:
        load_lifted(run)
    assert "\n" not in str(caught.value)


def test_another_photo_cannot_go_on_with_a_run(run: Path, fit: Fit, lifted_photo: Path, tmp_path: Path) -> None:
    mask = Image.new("L", (48, 36))
    mask.paste(255, (10, 10, 30, 20))
    mask.save(tmp_path / "mask.png")

    def resumed(config: Any) -> None:
        with_depth(lifted_photo)(config)
        config.pipeline.datamanager.mask_path = tmp_path / "mask.png"
        config.load_dir = run.parent / "nerfstudio_models"

    with pytest.raises(GainerError, match="does not fit these options or this picture"):
        fit(lifted_photo, tmp_path / "again", "gainer-lift", resumed)
