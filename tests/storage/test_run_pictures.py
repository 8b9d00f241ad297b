"""The picture beside a run's config.yml: read instead of the checkpoint, but never where it is older or another's."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gainer_ns.image.loading import load_baked
from gainer_ns.io.yaml_file import MAX_YAML_BYTES
from gainer_ns.loading import load_run
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage import run_pictures
from gainer_ns.storage.picture_files import load_picture, save_picture
from gainer_ns.storage.run_pictures import RUN_PICTURE, load_run_picture

Fit = Callable[..., Path]
BRIEF = "fit_seconds", 1.0


@pytest.fixture
def run(fitted_run: Path, tmp_path: Path) -> Path:
    """The config.yml of a copy of the fitted run."""
    shutil.copytree(fitted_run.parent, tmp_path / "copy")
    return tmp_path / "copy" / "config.yml"


def checkpoint(config: Path) -> Path:
    (found,) = (config.parent / "nerfstudio_models").glob("*.ckpt")
    return found


def same(a: BakedPicture, b: BakedPicture) -> bool:
    drawn = [one.raster(2.5, (3, 4, 40, 30)) for one in (a, b)]
    return all(torch.equal(x, y) for x, y in zip(*drawn, strict=True)) and (a.plane, a.profile) == (b.plane, b.profile)


def half(picture: BakedPicture) -> BakedPicture:
    return picture.coarse(0.5)


def test_it_is_the_picture_of_the_checkpoint(run: Path) -> None:
    kept = load_run_picture(run)
    assert kept is not None and same(kept, load_baked(run, "cpu"))
    assert run.with_name(RUN_PICTURE).stat().st_size < checkpoint(run).stat().st_size


def test_of_every_method_with_opacity_too(fit: Fit, photo: Path, tmp_path: Path) -> None:
    rgb = np.asarray(Image.open(photo))[:24, :32]
    alpha = np.where(np.hypot(*np.mgrid[-12:12, -16:16]) < 10, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack((rgb, alpha))).save(tmp_path / "cut.png")
    for method, within in (("gainer", 0), ("gainer-compact", 1e-5)):
        config = fit(tmp_path / "cut.png", tmp_path, method, lambda config: setattr(config.pipeline.model, *BRIEF))
        kept = load_run_picture(config)
        assert kept is not None
        for a, b in zip(kept.raster(2.5), load_baked(config, "cpu").raster(2.5), strict=True):
            assert float((a - b).abs().max()) <= within, method


def test_a_fit_that_is_not_finished_keeps_none(fit: Fit, photo: Path, tmp_path: Path) -> None:
    config = fit(photo, tmp_path, "gainer-compact", lambda config: setattr(config, "max_num_iterations", 3))
    assert checkpoint(config).is_file() and not config.with_name(RUN_PICTURE).exists()


def test_a_run_that_was_moved_or_copied_is_read_so_too(run: Path, tmp_path: Path) -> None:
    run.parent.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "config.yml"
    for path in tmp_path.rglob("*"):  # whatever the times of files are
        os.utime(path, (1e9, 1e9))
    assert load_run_picture(moved) is not None


def newer(run: Path) -> None:
    shutil.copy(checkpoint(run), checkpoint(run).with_name("step-000000999.ckpt"))


def another(run: Path) -> None:
    state = torch.load(checkpoint(run), weights_only=True)
    state["pipeline"]["_model.encoding.features_table"] *= 0.5
    torch.save(state, checkpoint(run))


def gone(run: Path) -> None:
    checkpoint(run).unlink()


def edited(run: Path) -> None:
    run.write_text(run.read_text("utf8") + "\n", "utf8")


def vast(run: Path) -> None:
    run.write_text("#" * (MAX_YAML_BYTES + 1))


def marked(run: Path, **words: object) -> None:
    mark = run_pictures._mark(run, Path("nerfstudio_models")) | words
    save_picture(half(load_baked(run, "cpu")), run.with_name(RUN_PICTURE), run=mark)


def of_another_step(run: Path) -> None:
    marked(run, step=3)


def elsewhere(run: Path) -> None:
    shutil.copytree(run.parent / "nerfstudio_models", run.parent.parent / "outside")
    marked(run, checkpoints="../outside")


def of_no_run(run: Path) -> None:
    save_picture(half(load_baked(run, "cpu")), run.with_name(RUN_PICTURE))


def of_nonsense(run: Path) -> None:
    marked(run, checkpoints=[1])


def cut(run: Path) -> None:
    path = run.with_name(RUN_PICTURE)
    path.write_bytes(path.read_bytes()[:-100])


CHANGES = [newer, another, gone, edited, vast, of_another_step, elsewhere, of_no_run, of_nonsense, cut]


@pytest.mark.parametrize("change", CHANGES)
def test_it_counts_only_as_long_as_nothing_has_changed(change: Callable[[Path], None], run: Path) -> None:
    change(run)
    assert load_run_picture(run) is None


def test_what_changed_is_drawn(run: Path) -> None:
    before = load_run(run, "cpu")
    another(run)
    after = load_run(run, "cpu")
    assert isinstance(before, BakedPicture) and isinstance(after, BakedPicture)
    assert not same(before, after) and same(after, load_baked(run, "cpu"))


def test_a_newer_checkpoint_that_is_cut_short_counts_for_nothing(run: Path) -> None:
    whole = checkpoint(run)
    whole.with_name("step-000000999.ckpt").write_bytes(whole.read_bytes()[:-100])
    kept = load_run_picture(run)
    assert kept is not None and same(kept, load_baked(run, "cpu"))


def test_it_is_a_picture_like_others(run: Path) -> None:
    path, stored = run.with_name(RUN_PICTURE), run.with_name("other.safetensors")
    assert same(load_picture(path), load_baked(run, "cpu"))
    save_picture(load_picture(path), stored)
    assert "run" not in json.loads(json.dumps(run_pictures.picture_header(stored)))


@pytest.mark.parametrize(
    "words",
    [["render", "--scale", "0.5"], ["edit", "--script", "edit.yaml"], ["export", "--output", "out.safetensors"]],
    ids=lambda words: words[0],
)
def test_it_is_drawn_without_nerfstudio(words: list[str], run: Path, tmp_path: Path) -> None:
    """Nor what compiles and logs for those who train networks, nor what films need."""
    (tmp_path / "edit.yaml").write_text("edits: [{rotate: {degrees: 20}}]")
    code = (
        "import sys; from gainer_ns.cli.main import entrypoint; entrypoint(sys.argv[1:])\n"
        "heavy = {'nerfstudio', 'viser', 'gsplat', 'tensorboard', 'torch._dynamo', 'torch._inductor', 'matplotlib'}\n"
        "heavy |= {'av', 'transformers', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    output = [] if "--output" in words else ["--output", "out.png"]
    command = [sys.executable, "-c", code, words[0], "--load-config", run, *words[1:], *output]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
