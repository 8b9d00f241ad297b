"""The registered methods: how ns-train finds them, what importing them costs, and a short fit with each."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import torch
import tyro
from nerfstudio.configs.method_configs import AnnotatedBaseConfigUnion, all_descriptions, all_methods
from nerfstudio.plugins.types import MethodSpecification
from nerfstudio.scripts.eval import ComputePSNR

import gainer_bench.methods as bench_methods
from gainer_ns import methods
from gainer_ns.image.model import GainerModelConfig
from gainer_ns.image.trainer import PictureTrainerConfig

SPECIFICATIONS = {
    kind.config.method_name: kind
    for kind in (vars(methods) | vars(bench_methods)).values()
    if isinstance(kind, MethodSpecification)
}
IN_2D = [name for name, kind in SPECIFICATIONS.items() if isinstance(kind.config.pipeline.model, GainerModelConfig)]
"""Those that need nothing but a picture; see tests/lifting/test_lift_training.py for the other."""


def test_nerfstudio_finds_every_method() -> None:
    registered = {
        entry.name: entry.load()
        for entry in entry_points(group="nerfstudio.method_configs")
        if entry.value.startswith(("gainer_ns.", "gainer_bench."))
    }
    assert registered == SPECIFICATIONS
    assert {"gainer", "gainer-compact", "gainer-paper", "gainer-lift"} <= set(registered)
    for name, kind in SPECIFICATIONS.items():
        assert all_methods[name] is kind.config
        assert all_descriptions[name] == kind.description
        assert kind.description.endswith(".") and "\n" not in kind.description


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_defaults_that_do_no_harm(name: str) -> None:
    config = SPECIFICATIONS[name].config
    assert config.vis == "viewer+tensorboard"  # nerfstudio's own default wants an account
    assert config.viewer.websocket_host == "127.0.0.1"
    assert config.viewer.quit_on_train_completion
    assert config.machine.device_type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", IN_2D)
def test_a_few_steps_and_back(name: str, fit: Callable[..., Path], photo: Path, tmp_path: Path) -> None:
    def short(config: Any) -> None:
        config.max_num_iterations = 3
        config.pipeline.model.num_gaussians = 2000

    config = fit(photo, tmp_path, name, short)
    ComputePSNR(config, tmp_path / "output.json").main()
    assert json.loads((tmp_path / "output.json").read_text())["results"]["psnr"] > 5


def test_options_on_the_command_line() -> None:
    options = [
        *("gainer", "--data", "picture.png", "--pipeline.datamanager.dataparser.downscale-factor", "2"),
        *("--pipeline.model.gaussians-per-pixel", "0.5", "--pipeline.model.encoding.num-neighbours", "9"),
        *("--pipeline.model.background", "0", "0", "1"),
    ]
    config: Any = tyro.cli(AnnotatedBaseConfigUnion, args=options)
    assert config.data == Path("picture.png")
    assert config.pipeline.datamanager.dataparser.downscale_factor == 2
    assert config.pipeline.model.gaussians_per_pixel == 0.5
    assert config.pipeline.model.encoding.num_neighbours == 9
    assert config.pipeline.model.background == (0, 0, 1)


def test_options_of_lifting_on_the_command_line() -> None:
    options = [
        *("gainer-lift", "--data", "photo.jpg", "--pipeline.datamanager.depth-path", "depth.npy"),
        *("--pipeline.datamanager.mask-path", "mask.png", "--pipeline.datamanager.focal-length", "994.978"),
        *("--pipeline.datamanager.principal-point", "311.7", "255.4", "--pipeline.datamanager.background", "inpaint"),
        *("--pipeline.datamanager.click", "10", "20", "30", "40", "--pipeline.datamanager.depth.model", "some/model"),
        *("--pipeline.datamanager.dataparser.downscale-factor", "2", "--pipeline.model.encoding.sigma", "0.7"),
    ]
    config: Any = tyro.cli(AnnotatedBaseConfigUnion, args=options)
    data = config.pipeline.datamanager
    assert (data.depth_path, data.mask_path) == (Path("depth.npy"), Path("mask.png"))
    assert (data.focal_length, data.principal_point, data.background) == (994.978, (311.7, 255.4), "inpaint")
    assert data.click == ((10, 20), (30, 40)) and data.depth.model == "some/model"
    assert data.dataparser.downscale_factor == 2 and config.pipeline.model.encoding.sigma == 0.7


def _python(code: str, folder: Path, sitecustomize: str) -> str:
    (folder / "sitecustomize.py").write_text(sitecustomize)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    ("options", "adam_steps", "more_steps"),
    [
        ({}, 0, 1),
        ({"hidden_layers": 2}, 0, 12),
        ({"hidden_layers": 2, "finish_steps": 5}, 0, 5),
        ({"gaussians_per_pixel": 0.4}, 1000, 12),
        ({"adam_steps": 7}, 7, 12),
    ],
)
def test_the_loop_is_as_long_as_the_fit(
    options: dict[str, Any], adam_steps: int, more_steps: int, photo: Path, tmp_path: Path
) -> None:
    config = deepcopy(methods.gainer.config)
    assert isinstance(config, PictureTrainerConfig)
    config.vis, config.output_dir, config.pipeline.datamanager.data = "tensorboard", tmp_path, photo
    for name, value in options.items():
        setattr(config.pipeline.model, name, value)
    config.set_timestamp()
    config.setup()
    assert config.max_num_iterations == adam_steps + more_steps
    for group in config.optimizers.values():
        assert (0 if group["scheduler"] is None else group["scheduler"].max_steps) == adam_steps
    shared = methods.gainer.config.optimizers["features"]["scheduler"]
    assert shared.max_steps == 1000, "the registered method stays as it is"


def test_importing_the_methods_costs_little(tmp_path: Path) -> None:
    """Nothing heavy comes along, and ns-train's own imports take many times as long."""
    hidden = (
        "import importlib.metadata as metadata\n"
        "real = metadata.entry_points\n"
        "def entry_points(**wanted):\n"
        "    found = real(**wanted)\n"
        "    if wanted.get('group') != 'nerfstudio.method_configs': return found\n"
        "    ours = ('gainer_ns', 'gainer_bench')\n"
        "    return metadata.EntryPoints(one for one in found if not one.value.startswith(ours))\n"
        "metadata.entry_points = entry_points\n"
    )
    code = (
        "import json, sys, time\n"
        "start = time.process_time(); import nerfstudio.scripts.train; theirs = time.process_time() - start\n"
        "before = set(sys.modules)\n"
        "assert 'gainer_ns' not in before\n"
        "start = time.process_time(); import gainer_ns.methods; ours = time.process_time() - start\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)\n"
        "optional = {'transformers', 'segment_anything', 'matplotlib.pyplot'}\n"
        "late = sorted(optional & (set(sys.modules) - before))\n"
        "print(json.dumps([theirs, ours, sorted(new), late]))\n"
    )
    theirs, ours, new, late = json.loads(_python(code, tmp_path, hidden).splitlines()[-1])
    assert late == []
    assert ours < 0.3 * theirs
    assert set(new) <= {"gainer_ns", "nerfstudio", "warp", "PIL", "psutil", "safetensors", "scipy", "_ni_label"}


def test_drawing_imports_nothing(fitted_run: Path, tmp_path: Path) -> None:
    """The viewer may interrupt a picture at any line, and a package that was half imported can stay broken."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from gainer_ns.image.loading import load_baked\n"
        f"picture = load_baked(Path({str(fitted_run)!r}), 'cpu')\n"
        "before = set(sys.modules)\n"
        "picture.raster()\n"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before} - {'warp'}))\n"
    )
    assert _python(code, tmp_path, "").splitlines()[-1] == "[]"


@pytest.mark.slow
def test_help_without_the_optional_packages(tmp_path: Path) -> None:
    blocked = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('tinycudann', 'segment_anything', 'transformers', 'bpy', 'ray'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )
    for method in ("", *SPECIFICATIONS):
        arguments = ["ns-train", *([method] if method else []), "--help"]
        code = f"import sys; sys.argv = {arguments}; from nerfstudio.scripts.train import entrypoint; entrypoint()"
        text = _python(code, tmp_path, blocked)
        assert all(name in text for name in SPECIFICATIONS) if not method else "--pipeline.model." in text
        assert "fitted-size" not in text
