"""What goes wrong around a fit: one clear line, and nothing lost or half-written."""

import contextlib
import copy
import dataclasses
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nerfstudio.configs import experiment_config
from nerfstudio.pipelines.base_pipeline import VanillaPipeline
from nerfstudio.scripts.eval import ComputePSNR
from nerfstudio.scripts.render import DatasetRender
from nerfstudio.utils.eval_utils import eval_setup
from PIL import Image

from gainer_ns import methods
from gainer_ns.errors import GainerError
from gainer_ns.image import run_checks, trainer
from gainer_ns.image.loading import load_baked
from gainer_ns.interrupts import STOPPING_NOTICE
from gainer_ns.rendering.plane import BakedPicture

Fit = Callable[..., Path]


@pytest.fixture
def run(fit: Fit, photo: Path, tmp_path: Path) -> Path:
    """The config.yml of a fit that a test may harm."""
    return fit(photo, tmp_path)


@pytest.fixture
def many(fit: Fit, photo: Path, tmp_path: Path) -> Path:
    """Likewise, of a fit that kept its checkpoints of steps 1 to 5."""

    def keep_all(config: Any) -> None:
        sparse(config)
        config.max_num_iterations, config.steps_per_save, config.save_only_latest_checkpoint = 6, 1, False

    return fit(photo, tmp_path, edit=keep_all)


def sparse(config: Any) -> None:
    """A recipe with steps of Adam, and quick ones."""
    config.pipeline.model.gaussians_per_pixel = 0.3
    config.pipeline.model.adam_steps = 12
    config.pipeline.model.finish_steps = 2


def checkpoints(config: Path) -> list[str]:
    """Everything in the run's folder of checkpoints."""
    return sorted(path.name for path in (config.parent / "nerfstudio_models").iterdir())


def newest(config: Path) -> Path:
    return config.parent / "nerfstudio_models" / checkpoints(config)[-1]


def cut(path: Path) -> None:
    """Leaves the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def resuming(config: Path, step: int | None = None, more: Callable[[Any], None] = lambda config: None) -> Any:
    def edit(resumed: Any) -> None:
        more(resumed)
        resumed.load_dir, resumed.load_step = config.parent / "nerfstudio_models", step

    return edit


def assert_same(one: BakedPicture, other: BakedPicture) -> None:
    """Equal in every bit."""
    for field in dataclasses.fields(one.gaussians):
        a, b = getattr(one.gaussians, field.name), getattr(other.gaussians, field.name)
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, field.name
    decoders = [picture.only_layer.decoder.state_dict() for picture in (one, other)]
    for (name, a), b in zip(decoders[0].items(), decoders[1].values(), strict=True):
        assert torch.equal(a, b), name


def assert_one_line(caught: pytest.ExceptionInfo[GainerError]) -> None:
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("recipe", [sparse, lambda config: None], ids=["sparse", "exact"])
def test_the_same_seed_gives_the_same_bits(fit: Fit, photo: Path, tmp_path: Path, recipe: Any) -> None:
    def jittered(config: Any) -> None:
        recipe(config)
        config.pipeline.model.jitter = 0.25

    one, other = (load_baked(fit(photo, tmp_path, edit=jittered)) for _ in range(2))
    assert_same(one, other)


def test_another_seed_gives_another_fit(fit: Fit, photo: Path, tmp_path: Path) -> None:
    def seeded(config: Any) -> None:
        sparse(config)
        config.pipeline.model.seed = 1

    one, other = load_baked(fit(photo, tmp_path, edit=sparse)), load_baked(fit(photo, tmp_path, edit=seeded))
    assert not torch.equal(one.gaussians.features, other.gaussians.features)


def test_a_finished_fit_can_be_resumed(fit: Fit, photo: Path, tmp_path: Path, run: Path) -> None:
    again = fit(photo, tmp_path, edit=resuming(run))
    ComputePSNR(again, tmp_path / "output.json").main()


def test_a_resumed_run_loads_its_own_checkpoint(fit: Fit, photo: Path, tmp_path: Path, many: Path) -> None:
    resumed = fit(photo, tmp_path, edit=resuming(many, 2, sparse))
    config, _, checkpoint, _ = eval_setup(resumed)
    assert config.load_dir == resumed.parent / "nerfstudio_models"
    assert checkpoint == newest(resumed)
    load_baked(resumed)


def test_an_unknown_step(fit: Fit, photo: Path, tmp_path: Path, many: Path) -> None:
    with pytest.raises(GainerError, match=r"no whole checkpoint of step 9; there are those of steps 1, 2") as caught:
        fit(photo, tmp_path, edit=resuming(many, 9, sparse))
    assert_one_line(caught)


def test_a_folder_that_is_not_there(fit: Fit, photo: Path, tmp_path: Path) -> None:
    def edit(config: Any) -> None:
        config.load_dir = tmp_path / "nowhere"

    with pytest.raises(GainerError, match="no such folder") as caught:
        fit(photo, tmp_path / "out", edit=edit)
    assert_one_line(caught)
    assert list((tmp_path / "out").rglob("config.yml")) == []


def test_the_folder_above_the_checkpoints(fit: Fit, photo: Path, tmp_path: Path, run: Path) -> None:
    def edit(config: Any) -> None:
        config.load_dir = run.parent

    with pytest.raises(GainerError, match=r"holds no whole checkpoint; name .*nerfstudio_models") as caught:
        fit(photo, tmp_path, edit=edit)
    assert_one_line(caught)


def test_a_cut_checkpoint_is_passed_over(
    fit: Fit, photo: Path, tmp_path: Path, many: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(newest(many))
    assert eval_setup(many)[3] == 4
    assert "step-000000005.ckpt" in "".join(capsys.readouterr().out.split())
    load_baked(many)
    assert "cut short" in capsys.readouterr().out
    resumed = fit(photo, tmp_path, edit=resuming(many, more=sparse))
    assert "cut short" in capsys.readouterr().out
    assert eval_setup(resumed)[0].load_step is not None


@pytest.mark.parametrize("place", [0.02, 0.5, 0.99])
def test_a_damaged_checkpoint_is_passed_over(many: Path, place: float) -> None:
    damaged = bytearray(newest(many).read_bytes())
    start = int(place * len(damaged))
    damaged[start : start + 64] = bytes(255 - value for value in damaged[start : start + 64])
    newest(many).write_bytes(damaged)
    assert eval_setup(many)[3] == 4


def test_nothing_but_cut_checkpoints(fit: Fit, photo: Path, tmp_path: Path, run: Path) -> None:
    cut(newest(run))
    for load in (
        lambda: ComputePSNR(run, tmp_path / "output.json").main(),
        lambda: DatasetRender(run, tmp_path / "renders").main(),
        lambda: load_baked(run),
        lambda: fit(photo, tmp_path, edit=resuming(run)),
    ):
        with pytest.raises(GainerError, match="holds no whole checkpoint") as caught:
            load()
        assert_one_line(caught)


def test_a_run_without_a_checkpoint(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run.parent / "nerfstudio_models")
    for load in (lambda: ComputePSNR(run, tmp_path / "output.json").main(), lambda: load_baked(run)):
        with pytest.raises(GainerError, match="no such folder") as caught:
            load()
        assert_one_line(caught)


def _rewritten(config: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = newest(config)
    state = torch.load(path)
    change(state)
    torch.save(state, path)


def test_a_checkpoint_of_another_version(fit: Fit, photo: Path, tmp_path: Path, run: Path) -> None:
    _rewritten(run, lambda state: state["pipeline"].update({"_model.version": torch.tensor(99)}))
    for load in (
        lambda: eval_setup(run),
        lambda: load_baked(run),
        lambda: fit(photo, tmp_path, edit=resuming(run)),
    ):
        with pytest.raises(GainerError, match="version 99, this program reads version") as caught:
            load()
        assert_one_line(caught)


def test_a_checkpoint_of_another_method(fit: Fit, photo: Path, tmp_path: Path, run: Path) -> None:
    _rewritten(run, lambda state: state.update(pipeline={"_model.field.weight": torch.zeros(3)}))
    for load in (lambda: eval_setup(run), lambda: load_baked(run), lambda: fit(photo, tmp_path, edit=resuming(run))):
        with pytest.raises(GainerError) as caught:
            load()
        assert_one_line(caught)


def test_other_options_than_the_checkpoint(fit: Fit, photo: Path, tmp_path: Path, run: Path) -> None:
    def wider(config: Any) -> None:
        config.pipeline.model.feature_dim = 5

    with pytest.raises(GainerError, match="does not fit these options") as caught:
        fit(photo, tmp_path, edit=resuming(run, more=wider))
    assert_one_line(caught)


def test_another_picture_than_the_checkpoint(fit: Fit, photo: Path, tmp_path: Path, run: Path) -> None:
    Image.open(photo).resize((40, 30)).save(tmp_path / "other.png")
    with pytest.raises(GainerError, match="of a picture of 96 x 64 pixels, this one has 40 x 30") as caught:
        fit(tmp_path / "other.png", tmp_path, edit=resuming(run))
    assert_one_line(caught)


def test_absurd_learning_rates(fit: Fit, photo: Path, tmp_path: Path) -> None:
    def absurd(config: Any) -> None:
        sparse(config)
        for group in config.optimizers.values():
            group["optimizer"].lr = 1e8

    with pytest.raises(GainerError, match="lower the learning rates") as caught:
        fit(photo, tmp_path, edit=absurd)
    assert_one_line(caught)


@pytest.mark.parametrize("also_last", [False, True])
def test_a_fit_that_diverges_keeps_its_last_good_checkpoint(
    fit: Fit, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, also_last: bool
) -> None:
    def often(config: Any) -> None:
        sparse(config)
        config.steps_per_save = 1
        if also_last:
            config.max_num_iterations = 5

    def diverging(self: VanillaPipeline, step: int) -> Any:
        taken = take_step(self, step)
        if step == 4:
            model: Any = self.model
            model.decoder.linear.bias.data += torch.nan
        return taken

    take_step = VanillaPipeline.get_train_loss_dict
    monkeypatch.setattr(VanillaPipeline, "get_train_loss_dict", diverging)
    with pytest.raises(GainerError, match=r"lower the learning rates .* add --load-dir") as caught:
        fit(photo, tmp_path, edit=often)
    assert_one_line(caught)
    (config,) = tmp_path.rglob("config.yml")
    assert checkpoints(config) == ["step-000000003.ckpt"]
    load_baked(config)


def test_a_picture_that_vanished(fit: Fit, photo: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    shutil.copy(photo, picture)
    config = fit(picture, tmp_path)
    picture.unlink()
    with pytest.raises(GainerError, match=r"picture\.png: does not exist") as caught:
        DatasetRender(config, tmp_path / "renders").main()
    assert_one_line(caught)
    load_baked(config)


def test_a_picture_that_changed_is_read_again(fit: Fit, photo: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.open(photo).save(picture)
    fit(picture, tmp_path)
    Image.open(photo).crop((0, 0, 20, 10)).save(picture)
    assert load_baked(fit(picture, tmp_path)).plane.width == 20


@pytest.mark.parametrize("name", [None, "nowhere.png", "text.png", "empty.png", "folder"])
def test_no_picture_leaves_nothing_behind(fit: Fit, tmp_path: Path, name: str | None) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(GainerError, match="--data PICTURE" if name is None else name) as caught:
        fit(None if name is None else tmp_path / name, tmp_path / "out")
    assert_one_line(caught)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be(fit: Fit, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GainerError, match="choose another --output-dir") as caught:
        fit(photo, tmp_path / "file")
    assert_one_line(caught)


def named(picture: Path, folder: Path, **names: str) -> Path:
    """The folder of a run, as ns-train names it before it begins."""
    config = copy.deepcopy(methods.gainer.config)
    config.data, config.output_dir = picture, folder
    for name, value in names.items():
        setattr(config, name, value)
    config.pipeline.datamanager.data = picture
    config.set_timestamp()
    return config.get_base_dir()


@pytest.mark.parametrize("name", ["...png", "..", ".png", "a.b.png"])
def test_runs_stay_in_the_output_folder_whatever_the_picture_is_called(photo: Path, tmp_path: Path, name: str) -> None:
    picture = tmp_path / "pictures" / "below" / name
    picture.parent.mkdir(parents=True)
    shutil.copy(photo, picture.parent if name == ".." else picture)
    if name == "..":  # a folder is no picture; whatever is said, nothing may be made elsewhere
        with pytest.raises(GainerError):
            named(picture, tmp_path / "out" / "runs")
        assert not list(tmp_path.glob("out/*"))
        return
    folder = named(picture, tmp_path / "out" / "runs")
    assert folder.resolve().is_relative_to(tmp_path / "out" / "runs") and folder.is_dir()
    assert len(folder.resolve().relative_to(tmp_path / "out" / "runs").parts) == 3


@pytest.mark.parametrize(
    "names", [{"experiment_name": "../../x"}, {"timestamp": "../../../x"}, {"method_name": "../../x"}]
)
def test_names_of_runs_that_lead_out_are_refused(photo: Path, tmp_path: Path, names: dict[str, str]) -> None:
    with pytest.raises(GainerError, match="lies outside"):
        named(photo, tmp_path / "out", **names)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("which", ["picture", "output"])
def test_names_that_are_not_utf_8_are_refused_before_the_fit(photo: Path, tmp_path: Path, which: str) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    shutil.copy(photo, odd)
    with pytest.raises(GainerError, match="not UTF-8") as caught:
        named(*((odd, tmp_path / "out") if which == "picture" else (photo, odd.with_suffix(".out"))))
    assert_one_line(caught)
    assert list(tmp_path.iterdir()) == [odd]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_folder(fit: Fit, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(GainerError, match="choose another --output-dir") as caught:
        fit(photo, tmp_path / "out")
    assert_one_line(caught)


def test_a_disk_with_too_little_room(fit: Fit, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_checks.shutil, "disk_usage", lambda folder: SimpleNamespace(free=63 << 20))
    with pytest.raises(GainerError, match="63 MiB are free there, at least 64 are needed") as caught:
        fit(photo, tmp_path)
    assert_one_line(caught)


def test_a_disk_that_fills_up_keeps_the_checkpoint_before(
    fit: Fit, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.save
    saved: list[int] = []

    def fills_up(state: dict[str, Any], file: io.BufferedWriter) -> None:
        if state["step"] < 4:
            saved.append(state["step"])
            return save(state, file)
        file.write(b"half a checkpoint")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def often(config: Any) -> None:
        sparse(config)
        config.steps_per_save = 1

    monkeypatch.setattr(trainer.torch, "save", fills_up)
    with pytest.raises(GainerError, match="No space left on device") as caught:
        fit(photo, tmp_path, edit=often)
    assert_one_line(caught)
    assert saved[-1] == 3
    (config,) = tmp_path.rglob("config.yml")
    assert checkpoints(config) == ["step-000000003.ckpt"]
    load_baked(config)


def test_runs_of_the_same_second(fit: Fit, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=lambda: datetime(2030, 1, 2, 3, 4, 5))
    monkeypatch.setattr(experiment_config, "datetime", clock)
    runs = [fit(photo, tmp_path) for _ in range(3)]
    assert [run.parent.name for run in runs] == [f"2030-01-02_030405{number}" for number in ("", "-2", "-3")]
    for run in runs:
        assert eval_setup(run)[2].parent.parent == run.parent


def test_evaluation_during_the_fit(fit: Fit, photo: Path, tmp_path: Path) -> None:
    def evaluated(config: Any) -> None:
        sparse(config)
        config.steps_per_eval_batch = config.steps_per_eval_image = config.steps_per_eval_all_images = 3

    assert_same(load_baked(fit(photo, tmp_path, edit=evaluated)), load_baked(fit(photo, tmp_path, edit=sparse)))


def test_control_c_ends_in_one_line(
    fit: Fit, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = VanillaPipeline.get_train_loss_dict

    def interrupted(self: VanillaPipeline, step_number: int) -> Any:
        if step_number == 5:
            raise KeyboardInterrupt
        return step(self, step_number)

    def often(config: Any) -> None:
        sparse(config)
        config.steps_per_save = 2

    monkeypatch.setattr(VanillaPipeline, "get_train_loss_dict", lambda self, step: interrupted(self, step))
    with pytest.raises(SystemExit) as caught:
        fit(photo, tmp_path, edit=often)
    assert caught.value.code == 130
    printed = capsys.readouterr()
    assert "Interrupted in step 5" in printed.out and "Traceback" not in printed.out + printed.err
    (config,) = tmp_path.rglob("config.yml")
    assert checkpoints(config) == ["step-000000004.ckpt"]


class Program:
    """A real ns-train in its own process."""

    def __init__(self, picture: Path, folder: Path, *options: str) -> None:
        command = Path(sys.executable).with_name("ns-train")
        self.folder = folder
        self.out, self.error = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115 (as long as it runs)
        self.process = subprocess.Popen(
            [command, "gainer", "--data", picture, "--output-dir", folder, "--vis", "tensorboard", *options],
            env={**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"},
            stdout=self.out,
            stderr=self.error,
        )

    def saved(self) -> list[Path]:
        return sorted(self.folder.rglob("step-*.ckpt"))

    def wait_for_checkpoint(self) -> None:
        for _ in range(600):
            if self.saved():
                return
            assert self.process.poll() is None, self.end()
            time.sleep(0.1)
        self.process.kill()
        raise TimeoutError(self.end())

    def end(self, patience: float = 300) -> tuple[int, str, str]:
        """Exit status, standard output and standard error, less what Warp says where there is no graphics card."""
        try:
            status = self.process.wait(patience)
        finally:
            self.process.kill()
        self.out.seek(0)
        self.error.seek(0)
        return status, self.out.read(), "".join(line for line in self.error if not line.startswith("Warp CUDA warning"))


LONG = [
    *("--pipeline.model.gaussians-per-pixel", "0.3", "--pipeline.model.adam-steps", "400"),
    *("--pipeline.model.finish-steps", "2", "--steps-per-save", "50"),
]


@pytest.mark.slow
def test_killed_and_resumed(photo: Path, tmp_path: Path) -> None:
    whole = Program(photo, tmp_path / "whole", *LONG)
    assert whole.end()[0] == 0
    killed = Program(photo, tmp_path / "killed", *LONG)
    killed.wait_for_checkpoint()
    killed.process.kill()
    assert killed.end()[0] == -signal.SIGKILL
    (checkpoint,) = killed.saved()
    assert int(checkpoint.stem[5:]) < 400
    resumed = Program(photo, tmp_path / "resumed", *LONG, "--load-dir", str(checkpoint.parent))
    assert resumed.end()[0] == 0
    configs = [next((tmp_path / name).rglob("config.yml")) for name in ("whole", "resumed")]
    assert_same(*(load_baked(config) for config in configs))


@pytest.mark.slow
@pytest.mark.parametrize("vis", ["tensorboard", "viewer+tensorboard"])
def test_a_real_control_c(photo: Path, tmp_path: Path, vis: str) -> None:
    program = Program(photo, tmp_path, *LONG, "--pipeline.model.adam-steps", "100000", "--vis", vis)
    program.wait_for_checkpoint()
    program.process.send_signal(signal.SIGINT)
    status, out, error = program.end()
    assert status == 130 and error in ("", STOPPING_NOTICE.decode()), "a step was under way"
    assert "Interrupted in step" in out and "--load-dir" in out
    load_baked(next(tmp_path.rglob("config.yml")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--data", "/nowhere.png"], "/nowhere.png: does not exist"),
        (["--output-dir", "/dev/null/out"], "/dev/null/out"),
        (["--load-dir", "/nowhere"], "/nowhere: there is no such folder"),
        (["--pipeline.model.gaussians-per-pixel", "-1"], "choose a number from 0 to 1000"),
    ],
)
def test_one_line_and_an_exit_status(photo: Path, tmp_path: Path, options: list[str], complaint: str) -> None:
    status, _, error = Program(photo, tmp_path, *options).end()
    assert status == 1
    assert error.count("\n") == 1 and complaint in error


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 80 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
def test_a_disk_that_really_fills_up(photo: Path, small_disk: Path) -> None:
    program = Program(photo, small_disk, *LONG, "--pipeline.model.adam-steps", "100000")
    program.wait_for_checkpoint()
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb") as filler:
        while True:
            filler.write(bytes(4096))
            filler.flush()
    status, _, error = program.end()
    assert status == 1
    assert "No space left on device" in error.splitlines()[-1]  # before it, what tensorboard's own thread has to say
    load_baked(next(small_disk.rglob("config.yml")))
    assert [path for path in small_disk.rglob(".*.part")] == []


@pytest.mark.slow
def test_a_disk_mounted_read_only(photo: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    status, _, error = Program(photo, small_disk / "out").end()
    assert status == 1
    assert error.count("\n") == 1 and "Read-only file system" in error
