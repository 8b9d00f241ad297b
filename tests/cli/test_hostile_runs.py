"""Runs, checkpoints and scripts that come with code: no command runs it, and each says in one line what it refuses."""

import contextlib
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from nerfstudio.scripts.viewer.run_viewer import RunViewer

from gainer_bench.sources import fitted_source
from gainer_ns.errors import GainerError

Gainer = Callable[..., None]
Refusal = Callable[..., str]

EVIL = {
    "apply": "!!python/object/apply:os.system ['touch {marker}']",
    "apply with arguments": "!!python/object/apply:os.system {{args: ['touch {marker}']}}",
    "eval": '!!python/object/apply:builtins.eval [\'open("{marker}", "w")\']',
    "exec": '!!python/object/apply:builtins.exec [\'open("{marker}", "w")\']',
    "new": "!!python/object/new:subprocess.Popen [[touch, '{marker}']]",
    "state": "!!python/object/new:type {{args: [z, !!python/tuple [], {{extend: !!python/name:exec }}], "
    'listitems: \'open("{marker}", "w")\'}}',
    "nested": "[1, {{a: !!python/object/apply:os.system ['touch {marker}']}}]",
    "import": "!!python/name:evil_module.x ''",
    "module": "!!python/module:evil_module ''",
    "object": "!!python/object:evil_module.Thing {{a: 1}}",
}
"""What makes PyYAML's own loader run something, or import a module of the working directory that does."""
PLACES = {
    "root": "",
    "model": "pipeline.model",
    "encoding": "pipeline.model.encoding",
    "number": "pipeline.model.hidden_dim",
    "tuple": "pipeline.model.background",
    "folder": "relative_model_dir",
    "step": "load_step",
}
"""Where a command looks."""
UNREAD = ("logging", "optimizers", "viewer", "output_dir", "pipeline.datamanager.pixel_sampler", "pipeline.model.panel")
"""Where none looks: what stands there is nobody's business."""


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that only evil code makes."""
    folder = tmp_path / "here"
    folder.mkdir()
    path = tmp_path / "ran"
    (folder / "evil_module.py").write_text(f"open({str(path)!r}, 'w')\nx = 1\nclass Thing: pass\n")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return path


@pytest.fixture
def run(fitted_run: Path, tmp_path: Path) -> Path:
    """The config.yml of a copied run, to be harmed."""
    shutil.copytree(fitted_run.parent, tmp_path / "run")
    return tmp_path / "run" / "config.yml"


@pytest.fixture
def commands(
    fitted_run: Path, gainer: Gainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Callable[[Path], tuple[object, ...]]]:
    """Every command that takes a run, as words, by its config.yml."""
    monkeypatch.setattr(RunViewer, "main", lambda viewer: None)
    script, scene, mesh = tmp_path / "edit.yaml", tmp_path / "scene.yaml", tmp_path / "mesh.obj"
    script.write_text("edits: [{rotate: {degrees: 5}}]\n")
    scene.write_text("bodies: [{material: soft}]\nparticles: 300\nduration: 0.05\n")
    gainer("export", "--load-config", fitted_run, "--format", "cage", "--output", mesh)
    frames = tmp_path / "frames"
    frames.mkdir()
    shutil.copy(mesh, frames / "frame_0000.obj")
    out = tmp_path / "out.png"
    return {
        "render": lambda path: ("render", "--load-config", path, "--output", out),
        "edit": lambda path: ("edit", "--load-config", path, "--script", script, "--output", out),
        "simulate": lambda path: ("simulate", "--load-config", path, "--scene", scene, "--output", tmp_path / "film"),
        "bind": lambda path: (
            *("bind", "--load-config", path, "--reference", mesh, "--frames", frames),
            *("--output", tmp_path / "bound"),
        ),
        "export": lambda path: (
            *("export", "--load-config", path, "--format", "safetensors"),
            *("--output", tmp_path / "out.safetensors"),
        ),
        "view": lambda path: ("view", "--load-config", path),
    }


def put(config: Path, place: str, text: str) -> None:
    """Writes a YAML text into a place of a config.yml; the rest stays as it is."""
    if not place:
        config.write_text(f"{text}\n")
        return
    root = yaml.SafeLoader(config.read_text()).get_single_node()
    node, words = root, place.split(".")
    for number, word in enumerate(words):
        index, (key, value) = next((i, pair) for i, pair in enumerate(node.value) if pair[0].value == word)
        if number + 1 == len(words):
            node.value[index] = (key, yaml.SafeLoader(text).get_single_node())
        node = value
    config.write_text(yaml.serialize(root))


@pytest.mark.parametrize("evil", [name for name in EVIL if name != "new"])  # Popen.__new__ alone starts nothing
def test_the_evil_is_evil(evil: str, marker: Path, run: Path) -> None:
    """PyYAML's own loader does run it, so that the tests below would see it."""
    put(run, "logging", EVIL[evil].format(marker=marker))
    with contextlib.suppress(Exception):  # what it makes fits nowhere
        yaml.load(run.read_text(), Loader=yaml.Loader)
    assert marker.exists()
    sys.modules.pop("evil_module", None)


@pytest.mark.parametrize("evil", EVIL)
def test_no_command_runs_what_a_run_says_where_it_looks(
    evil: str, marker: Path, run: Path, commands: dict[str, Any], refusal: Refusal
) -> None:
    """Each in every place, by commands in turn, so that every command meets each and every place too."""
    whole = run.read_text()
    turn = list(EVIL).index(evil)
    for number, place in enumerate(PLACES.values()):
        run.write_text(whole)
        put(run, place, EVIL[evil].format(marker=marker))
        words = list(commands.values())[(turn + number) % len(commands)]
        assert str(run) in refusal(*words(run))
    assert not marker.exists()


@pytest.mark.parametrize("place", UNREAD)
def test_nor_where_it_does_not_look(
    place: str, marker: Path, run: Path, commands: dict[str, Any], gainer: Gainer, refusal: Refusal
) -> None:
    put(run, place, f"[{', '.join(EVIL.values())}]".format(marker=marker))
    assert "trust" in refusal(*commands.pop("view")(run))
    for words in commands.values() if place == UNREAD[0] else [commands["export"]]:
        gainer(*words(run))
    if place != "pipeline.model.panel":
        fitted_source(run)
    assert not marker.exists()


def test_the_picture_that_a_run_names_is_read_as_a_path(marker: Path, run: Path) -> None:
    for evil in EVIL.values():
        put(run, "pipeline.datamanager.data", evil.format(marker=marker))
        with pytest.raises(GainerError, match=r"pipeline\.datamanager\.data"):
            fitted_source(run)
    assert not marker.exists()


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("inside", ["pipeline", "weight", "optimizers"])
def test_no_command_runs_what_a_checkpoint_says(
    inside: str, marker: Path, run: Path, commands: dict[str, Any], refusal: Refusal
) -> None:
    (checkpoint,) = (run.parent / "nerfstudio_models").glob("*.ckpt")
    state = torch.load(checkpoint, weights_only=True)
    if inside == "weight":
        state["pipeline"]["_model.encoding.means"] = Evil(marker)
    else:
        state[inside] = Evil(marker)
    torch.save(state, checkpoint)
    for words in commands.values():
        assert "does not fit" in refusal(*words(run))
    assert not marker.exists()
    torch.load(checkpoint, weights_only=False)
    assert marker.exists(), "the test would have seen it"


def test_a_plain_pickle_is_no_checkpoint(marker: Path, run: Path, commands: dict[str, Any], refusal: Refusal) -> None:
    (checkpoint,) = (run.parent / "nerfstudio_models").glob("*.ckpt")
    checkpoint.write_bytes(pickle.dumps(Evil(marker)))
    for words in commands.values():
        assert "holds no whole checkpoint" in refusal(*words(run))
    assert not marker.exists()


@pytest.mark.parametrize("name", ["evil.yml", "evil.yaml", "evil.ckpt", "evil.pt", "evil"])
def test_a_script_names_picture_files_only(
    name: str, marker: Path, fitted_run: Path, tmp_path: Path, refusal: Refusal
) -> None:
    (tmp_path / name).write_text(EVIL["apply"].format(marker=marker))
    script = tmp_path / "edit.yaml"
    script.write_text(f"edits: [{{rotate: {{degrees: 5}}}}]\nlayers: {{x: {{picture: {name}}}}}\n")
    words = ("edit", "--load-config", fitted_run, "--script", script, "--output", tmp_path / "out.png")
    assert "gainer export --format safetensors" in refusal(*words)
    shutil.copy(tmp_path / name, tmp_path / "evil.safetensors")
    script.write_text("edits: [{rotate: {degrees: 5}}]\nlayers: {x: {picture: evil.safetensors}}\n")
    assert "evil.safetensors: damaged" in refusal(*words)
    assert not marker.exists() and not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("kind", ["edit", "scene", "suite"])
def test_scripts_scenes_and_suites_are_data(
    kind: str, marker: Path, commands: dict[str, Any], fitted_run: Path, tmp_path: Path, refusal: Refusal
) -> None:
    word = {"edit": "edits", "scene": "bodies", "suite": "images"}[kind]
    path = tmp_path / f"{kind}.yaml"
    for evil in EVIL.values():
        path.write_text(f"{word}: {evil.format(marker=marker)}\n")
        words = {
            "edit": commands["edit"](fitted_run),
            "scene": commands["simulate"](fitted_run),
            "suite": ("bench", path, "--output", tmp_path / "bench"),
        }[kind]
        assert str(path) in refusal(*words)
    assert not marker.exists()
