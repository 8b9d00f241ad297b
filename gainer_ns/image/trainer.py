"""nerfstudio's trainer and its configuration, with names and checks that suit single pictures."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
import yaml
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.utils import writer
from nerfstudio.utils.decorators import check_main_thread
from nerfstudio.utils.writer import EventName

from gainer_ns.errors import LOAD_ERRORS, GainerError, memory_in_words
from gainer_ns.fitting.loop import FitLoop
from gainer_ns.fitting.recipe import Recipe
from gainer_ns.frames import ImagePlane
from gainer_ns.image.checkpoints import keep_picture, newest_whole_checkpoint
from gainer_ns.image.datamanager import PictureDataManagerConfig
from gainer_ns.image.fitted_model import FittedModel
from gainer_ns.image.run_checks import SPARE_BYTES, check_bounds, check_machine, check_names, check_output, check_start
from gainer_ns.image.stock_tools import named_folder, refuse_export
from gainer_ns.image.terminal import StepBar, hushed, say, silence_known_noise
from gainer_ns.interrupts import StopRequest
from gainer_ns.io.files import cannot_write, whole_file
from gainer_ns.memory import check_free
from gainer_ns.standard_output import keep_standard_output

_LESS_MEMORY = "close other programs, or reduce the picture: --pipeline.datamanager.dataparser.downscale-factor 2"
"""What to do where a fit gets no more memory."""
_MAX_THUMBNAIL_ASPECT = 100
"""Above this ratio of sides, the viewer shows no thumbnail of a picture while it is fitted."""


@dataclass
class PictureTrainerConfig(TrainerConfig):
    """nerfstudio's trainer, whose runs are named after the picture and can be loaded from any folder."""

    _target: type = field(default_factory=lambda: PictureTrainer)

    _fits = False  # not a field: whether this configuration was set up to fit, and not only loaded
    _folder = None  # type: Path | None  # nor is this one: where a loaded run lies, if it was moved or copied

    def __post_init__(self) -> None:
        """Look at the configuration that is to be loaded in place of this one, before nerfstudio opens it."""
        if self.load_config is not None:
            from gainer_ns.image.run_file import RunFile  # pydantic, which the list of methods does not need
            from gainer_ns.io.inputs import check_run

            try:
                check_run(self.load_config)
                RunFile(self.load_config)
            except GainerError as error:
                sys.exit(str(error))  # tyro would take the ValueError that it is for its own

    def set_experiment_name(self) -> None:
        """Name the run after the picture's file, where nerfstudio takes its folder, and make its paths absolute."""
        data_config = self._data
        if data_config.data is None and data_config.dataparser.data != Path():
            data_config.data = data_config.dataparser.data
        try:
            self.output_dir = self.output_dir.absolute()
        except FileNotFoundError:
            raise GainerError("the working folder does not exist any more; cd to one that does") from None
        if data_config.data is None:
            return super().set_experiment_name()
        data_config.data = data_config.data.absolute()
        if self.experiment_name is None:
            name = data_config.data.stem
            self.experiment_name = name if name.strip(".") else f"picture{name}"  # of "...png" it is ".."

    @memory_in_words(_LESS_MEMORY)
    def set_timestamp(self) -> None:
        """Name the run by the time, apart from any that started in the same second.

        ns-train calls this before it prints or writes anything, so what can go wrong is looked at here.

        Raises:
            GainerError: If the picture cannot be read, the output folder cannot be written or has too little room, or
                there is no whole checkpoint where one is to be loaded.
        """
        keep_standard_output()
        self.set_experiment_name()
        self._check()
        if self.timestamp != "{timestamp}":
            return
        super().set_timestamp()
        second = self.timestamp
        for number in itertools.count(2):
            with contextlib.suppress(FileExistsError):
                self.get_base_dir().mkdir(parents=True)
                break
            self.timestamp = f"{second}-{number}"

    def print_to_terminal(self) -> None:
        """Say what is fitted; config.yml says how."""
        width, height = self._data.dataparser.fitted_size or (0, 0)
        device = self.machine.device_type
        say(f"Fitting {self._data.data}, {width} x {height} pixels, by {self.method_name} on {device}")

    def save_config(self) -> None:
        """Save the configuration to the run's folder, whole or not at all, and what its data have to add."""
        path = self.get_base_dir() / "config.yml"
        with whole_file(path) as file:
            file.write(yaml.dump(self).encode("utf8"))
        self._data.write_beside(path)

    def get_base_dir(self) -> Path:
        """Return the run's folder: of a loaded run the one that the user has named, wherever it was fitted."""
        return self._folder or super().get_base_dir()

    def get_checkpoint_dir(self) -> Path:
        """Return the run's folder of checkpoints.

        A loaded configuration is asked for it only by what is about to load from it, such as ns-eval, ns-render and
        ns-viewer: then the newest checkpoint that is whole, beside the config.yml that was named, becomes the one to
        load. A copied run never takes those of the original.

        Raises:
            GainerError: If there is none, or if ns-export asks, which cannot export pictures.
        """
        is_loaded = not self._fits and self.timestamp != "{timestamp}"
        if is_loaded:
            self._folder = named_folder()
        folder = super().get_checkpoint_dir()
        if is_loaded:
            refuse_export()
            # A resumed run was told which step to load from the folder of another run.
            self.load_step = newest_whole_checkpoint(folder, self.load_step if self.load_dir is None else None)
        return folder

    @memory_in_words(_LESS_MEMORY)
    def setup(self, **kwargs: Any) -> Any:
        """Make the trainer, after a look at what can go wrong: see :meth:`set_timestamp`."""
        self._fits = True
        self.set_experiment_name()
        self._check()
        self._plan()
        silence_known_noise()
        with hushed():
            return super().setup(**kwargs)

    @property
    def _data(self) -> PictureDataManagerConfig:
        data_config = self.pipeline.datamanager
        assert isinstance(data_config, PictureDataManagerConfig)
        return data_config

    def _check(self) -> None:
        path, model = self.pipeline.datamanager.data, self.pipeline.model
        assert isinstance(model, Recipe)
        if path is None:
            raise GainerError("no picture is named; add --data PICTURE")
        check_machine(self.machine)
        check_bounds(self)
        check_names(self, path)
        width, height = self._data.check()
        model.check(width * height)
        needed = model.model_bytes(ImagePlane(width, height))
        check_free(needed, "what this fit learns", "choose fewer Gaussians, or smaller features, layers or grids")
        check_output(self.get_base_dir().parent, SPARE_BYTES + needed)
        check_start(self)

    def _plan(self) -> None:
        """Fit the loop's length, and with it the time left that nerfstudio shows, to the steps of the recipe."""
        model = self.pipeline.model
        assert isinstance(model, Recipe)
        width, height = self._data.dataparser.fitted_size or (1, 1)
        adam_steps = model.planned_adam_steps(width * height)
        if model.fit_seconds is None or adam_steps == 0:
            self.max_num_iterations = min(self.max_num_iterations, model.planned_steps(width * height))
        self.optimizers = {name: _scheduled(group, adam_steps) for name, group in self.optimizers.items()}
        if max(width, height) > _MAX_THUMBNAIL_ASPECT * min(width, height):
            self.viewer.max_num_display_images = 0  # a thumbnail has 100 pixels along its shorter side


def _scheduled(group: dict[str, Any], steps: int) -> dict[str, Any]:
    """Return an optimizer whose schedule is as long as the steps that it takes, and none where it takes none."""
    scheduler = group["scheduler"]  # torch warns about the schedules of optimizers that never step
    return group | {"scheduler": None if scheduler is None or steps == 0 else replace(scheduler, max_steps=steps)}


class PictureTrainer(Trainer):
    """nerfstudio's trainer, that writes checkpoints whole and ends in one line where it cannot go on.

    Attributes:
        left_open_callbacks: Called once nothing is fitted any more and the viewer is left open.
    """

    config: PictureTrainerConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stop = StopRequest(at_once=lambda: self._is_left_open or self._is_paused())
        self._is_left_open, self._bar = False, StepBar()
        self.left_open_callbacks: list[Callable[[], None]] = []

    @memory_in_words(_LESS_MEMORY)
    def setup(self, test_mode: Literal["test", "val", "inference"] = "val") -> None:
        """Set up what trains the model, and take up the fit where a loaded checkpoint left it."""
        try:
            with hushed():
                super().setup(test_mode)
            self.callbacks.append(TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN], self._say_what_came_of_it))
            self.step = self._start_step - 1
            if (loaded := self._loaded_file()) is not None:
                with self._fitting_options():
                    state = torch.load(loaded, map_location="cpu", weights_only=True, mmap=True)
                    fit_state = state.get("fit", {})  # older checkpoints hold nothing of the fit
                self._fit.load_state_dict(fit_state, self.step)
                say(f"Going on after step {self.step} of {loaded}")
        except KeyboardInterrupt:
            raise SystemExit(self.stop.status) from None

    @memory_in_words(_LESS_MEMORY)
    def train(self) -> None:
        """Train the model, until ``max_num_iterations`` steps are taken in all, those before a resume included.

        Ctrl-C, SIGTERM and a closed terminal end it, with the status of shells, as soon as the step that is under way
        can be saved.

        Raises:
            GainerError: If the log cannot be written, or as :meth:`save_checkpoint` does.
        """
        total = self.config.max_num_iterations
        further = 0 if self._fit.finished else max(0, total - self._start_step)
        self.config.max_num_iterations = further  # of which nerfstudio takes so many from where it begins
        try:
            with self.stop.listening():
                super().train()
        except KeyboardInterrupt:
            if self._is_left_open:
                return  # the viewer was left open, and is closed so
            if self._is_paused() and self._fit.step >= 0:
                self.save_checkpoint(self._fit.step)
            say(f"Interrupted in step {self.step}; {self._how_to_go_on()}", style="yellow")
            raise SystemExit(self.stop.status) from None
        except OSError as error:  # from the log; checkpoints see to themselves
            raise cannot_write(self.base_dir, error, self._how_to_go_on()) from error
        finally:
            self._bar.close()
            self.config.max_num_iterations = total

    def report(self, step: int, psnr: float) -> None:
        """Show in nerfstudio's table how good the picture is after a step, in dB."""
        writer.put_scalar(name=EventName.CURR_TEST_PSNR, scalar=psnr, step=step)

    def say(self, line: str) -> None:
        """Say how far a long fit has come."""
        say(line)

    def progress(self, share: float) -> None:
        """Show which share of the step that is under way is done, where it takes long."""
        self._bar.show(share)

    @property
    def _fit(self) -> FitLoop:
        fit = cast(FittedModel, self.pipeline.model).running_fit()
        assert fit is not None
        return fit

    def _is_paused(self) -> bool:
        return self.training_state == "paused" and not self._fit.is_under_way

    def _after_train(self) -> None:
        self.step = self._fit.step  # where a fit ends by itself, nerfstudio has begun to count another
        with hushed():
            super()._after_train()

    def _say_what_came_of_it(self, step: int) -> None:
        with hushed(False):
            if not self._fit.finished:
                how = self._how_to_go_on().removeprefix("to go on, ")
                say(f"Stopped by --max-num-iterations after step {step}; raise it, and {how}")
            say(f"Wrote {self.base_dir / 'config.yml'}: {self._fit.outcome()}")

    def _train_complete_viewer(self) -> None:
        self._is_left_open = True
        self.stop.answer()
        for callback in self.left_open_callbacks:
            callback()
        with hushed(False):
            super()._train_complete_viewer()

    def _how_to_go_on(self) -> str:
        if not any(self.checkpoint_dir.glob("step-*.ckpt")):
            return "no checkpoint was saved yet"
        return f"to go on, add --load-dir {self.checkpoint_dir} to the same command"

    def _loaded_file(self) -> Path | None:
        if self.config.load_dir is not None:
            return self.config.load_dir / f"step-{self.config.load_step:09d}.ckpt"
        return self.config.load_checkpoint

    def _load_checkpoint(self) -> None:
        if self._loaded_file() is not None:
            with self._fitting_options():
                super()._load_checkpoint()

    @contextlib.contextmanager
    def _fitting_options(self) -> Iterator[None]:
        """Say in one line that a checkpoint cannot be used with these options."""
        try:
            yield
        except GainerError:
            raise
        except LOAD_ERRORS as error:
            loaded = self.config.load_dir or self.config.load_checkpoint
            raise GainerError(
                f"{loaded}: the checkpoint does not fit these options or this picture; give what it was made with"
            ) from error

    @check_main_thread
    def save_checkpoint(self, step: int) -> None:
        """Save model, optimizers and fit, whole or not at all, and only then remove older checkpoints.

        Args:
            step: Number of the last step taken, or of the one that is under way, which a resume then begins with.

        Raises:
            GainerError: If the file cannot be written, or the model holds numbers that are not finite.
        """
        model = self.pipeline.state_dict()
        if not all(bool(value.isfinite().all()) for value in model.values()):
            raise GainerError(
                "the fit has run into numbers that are not finite; lower the learning rates "
                f"(--optimizers.features.optimizer.lr and the like); {self._how_to_go_on()}"
            )
        state = {
            "step": min(step, self._fit.step),
            "pipeline": model,
            "optimizers": {name: part.state_dict() for name, part in self.optimizers.optimizers.items()},
            "schedulers": {name: part.state_dict() for name, part in self.optimizers.schedulers.items()},
            "scalers": self.grad_scaler.state_dict(),
            "fit": self._fit.state_dict(),
        }
        with whole_file(path := self.checkpoint_dir / f"step-{step:09d}.ckpt") as file:
            torch.save(state, file)
        if self.config.save_only_latest_checkpoint:
            for older in {*self.checkpoint_dir.glob("*.ckpt")} - {path}:
                older.unlink()
        if self._fit.finished:
            keep_picture(cast(FittedModel, self.pipeline.model).fitted(), self.config, path)
