"""Checkpoints whose tensors are not what a fit leaves: one line, or a picture that can be drawn."""

import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nerfstudio.utils.eval_utils import eval_setup
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gainer_ns.errors import GainerError
from gainer_ns.image.loading import load_baked
from gainer_ns.image.stock_tools import named_run

FACTS = "_model.picture_facts"


@pytest.fixture(scope="module")
def compact_run(fit: Callable[..., Path], photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config.yml of a fit that has tensors of all kinds."""

    def short(config: Any) -> None:
        config.pipeline.model.finish_steps = 3

    return fit(photo, tmp_path_factory.mktemp("compact"), "gainer-compact", short)


@pytest.fixture(params=["gainer", "compact"])
def run(request: pytest.FixtureRequest, fitted_run: Path, compact_run: Path, tmp_path: Path) -> Path:
    source = fitted_run if request.param == "gainer" else compact_run
    shutil.copytree(source.parent, tmp_path / "run")
    return tmp_path / "run" / "config.yml"


@pytest.fixture
def state(run: Path) -> dict[str, Tensor]:
    """The tensors of a run's checkpoint."""
    return torch.load(checkpoint_of(run), weights_only=True)["pipeline"]


def checkpoint_of(run: Path) -> Path:
    (path,) = (run.parent / "nerfstudio_models").glob("*.ckpt")
    return path


def put(run: Path, state: dict[str, Any]) -> None:
    torch.save({"step": 1, "pipeline": state}, checkpoint_of(run))


def refused(run: Path) -> str:
    with pytest.raises(GainerError) as caught:
        load_baked(run, "cpu")
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    return message


def learned(state: dict[str, Tensor]) -> list[str]:
    """The tensors of numbers that say what is drawn."""
    parts = ("encoding.", "decoder.")
    return [name for name, value in state.items() if any(part in name for part in parts) and value.numel() > 0]


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_numbers_that_cannot_be_drawn(number: float, run: Path, state: dict[str, Tensor]) -> None:
    for name in learned(state):
        if name.endswith("spacing") and number == 3e38:
            continue  # of a lattice it is only a scale, which the next test harms
        harmed = {key: value.clone() for key, value in state.items()}
        harmed[name].view(-1)[0] = number
        put(run, harmed)
        refused(run)


def test_tensors_of_other_shapes(run: Path, state: dict[str, Tensor]) -> None:
    for name in learned(state):
        value = state[name]
        shapes = [value[None], value[..., None], torch.zeros(0), value.flatten()]
        if value.dim() > 0:
            shapes += [value[:-1], torch.cat([value, value]), value[..., :-1]]
        for other in shapes:
            if other.shape != value.shape:
                put(run, state | {name: other})
                try:
                    load_baked(run, "cpu").raster(0.2)
                except GainerError:
                    refused(run)
        put(run, {key: tensor for key, tensor in state.items() if key != name})
        refused(run)


@pytest.mark.parametrize(
    "facts",
    [
        *([0, 64, 8, 0], [-96, 64, 8, 0], [96, 64, 12, 0], [96, 64, 8], [], [[96, 64, 8, 0]]),
        *([10**9, 10**9, 8, 0], [10**9, 10**9, 8, 1], [2**62, 1, 8, 1], [23000, 24000, 8, 1]),
    ],
)
def test_pictures_that_are_none(facts: list[int], run: Path, state: dict[str, Tensor]) -> None:
    put(run, state | {FACTS: torch.tensor(facts)})
    with Largest() as largest:
        refused(run)
    assert largest.elements < 200_000


def test_sizes_that_only_a_configuration_claims(run: Path) -> None:
    whole = run.read_text()
    with Largest() as largest:
        for word, value in (("hidden_dim", 10**6), ("hidden_layers", 10**7), ("num_neighbours", 10**9)):
            was = next(line for line in whole.splitlines() if line.strip().startswith(f"{word}:"))
            run.write_text(whole.replace(was, f"{was.split(':')[0]}: {value}"))
            try:
                load_baked(run, "cpu")  # a decoder without an MLP has no hidden layers to be wide
            except GainerError:
                refused(run)
    assert largest.elements < 200_000


def test_nerfstudio_says_it_in_one_line_too(run: Path, state: dict[str, Tensor]) -> None:
    for name in (learned(state)[0], learned(state)[-1]):
        harmed = {key: value.clone() for key, value in state.items()}
        harmed[name].view(-1)[0] = torch.nan
        for other in (harmed, state | {name: torch.zeros(5, 7, 9)}, state | {FACTS: torch.zeros(3)}):
            put(run, other)
            with named_run(run), pytest.raises(GainerError, match="checkpoint") as caught:
                eval_setup(run)
            assert "\n" not in str(caught.value)


def test_flipped_bytes(run: Path) -> None:
    """Zip archives know when they are damaged, so the bytes of tensors are changed inside of a whole one."""
    chance = random.Random(0)
    original = torch.load(checkpoint_of(run), weights_only=True)["pipeline"]
    for _ in range(40):
        state = {key: value.clone() for key, value in original.items()}
        for name in chance.sample(learned(state), 2):
            raw = state[name].view(-1).view(torch.uint8)
            for _ in range(3):
                raw[chance.randrange(len(raw))] = chance.randrange(256)
        put(run, state)
        try:
            rgb, alpha = load_baked(run, "cpu").raster(0.2)
        except GainerError:
            refused(run)
        else:
            assert bool(rgb.isfinite().all() & alpha.isfinite().all())


def test_pickles_that_are_cut_or_changed(run: Path, state: dict[str, Tensor]) -> None:
    """Of an archive that is whole: as a program that is no longer the same writes them."""
    put(run, state)
    path, chance = checkpoint_of(run), random.Random(0)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in parts if name.endswith("data.pkl"))
    whole = parts[name]
    read = 0
    for number in range(60):
        place = chance.randrange(len(whole))
        changed = bytes([chance.randrange(256)]) + whole[place + 1 :] if number % 3 else b""
        with zipfile.ZipFile(path, "w") as archive:
            for other, data in parts.items():
                archive.writestr(other, whole[:place] + changed if other == name else data)
        try:
            load_baked(run, "cpu")
            read += 1
        except GainerError:
            refused(run)
    assert read < 30


class Largest(TorchDispatchMode):
    """Keeps account of the largest tensor that is made, in elements."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor) and tensor.device.type != "meta":
                self.elements = max(self.elements, tensor.numel())
        return out
