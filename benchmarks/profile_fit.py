"""Where the time of a fit and of an edited frame goes: ``python benchmarks/profile_fit.py PICTURE [--edit SCRIPT]``.

On a CPU it lists functions by cProfile, on a GPU kernels by torch's profiler, which sees Warp's kernels too. The times
above the lists are taken without a profiler: medians of several fits, the first of them left out.
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from nerfstudio.utils.rich_utils import CONSOLE

from gainer_bench.fits import Fit, fitted, method_config
from gainer_ns.editing.script import Script, read_script
from gainer_ns.editing.stage import Stage
from gainer_ns.rendering.plane import BakedPicture


@dataclass
class ProfileFit:
    """Fits a picture several times, draws edited frames of it, and lists what took the time."""

    picture: tyro.conf.Positional[Path]
    """The picture file."""
    edit: Path | None = None
    """Edit script; a turn of the whole picture by 15 degrees when not given."""
    method: str = "gainer"
    """A registered method of Gaussians."""
    repeats: int = 5
    """Fits and frames that are timed, after one that is not."""
    rows: int = 20
    """Length of the lists; 0 leaves them out."""

    def run(self) -> None:
        """Times and profiles the fit, and then a frame."""
        with tempfile.TemporaryDirectory() as folder:
            fits = [self._fit(Path(folder)) for _ in range(1 + self.repeats)]
            seconds = statistics.median(fit.facts["seconds"]["fit"] for fit in fits[1:])
            last = fits[-1]
            parts = ", ".join(f"{name} {value:.3f}" for name, value in last.facts["seconds"].items() if name != "start")
            CONSOLE.print(
                f"fit: {seconds:.3f} s on {last.model.device} ({parts}); {last.facts['history'][-1][2]:.1f} dB"
            )
            self._profiled("fit", lambda: self._fit(Path(folder)))
            picture = last.model.fitted()
            assert isinstance(picture, BakedPicture)
            draw = self._frame(picture)
            draw()
            took = [_timed(draw) for _ in range(self.repeats)]
            CONSOLE.print(
                f"edited frame: {1e3 * statistics.median(took):.1f} ms, {picture.plane.width} x {picture.plane.height}"
            )
            self._profiled("edited frame", draw)

    def _fit(self, folder: Path) -> Fit:
        return fitted(method_config(self.method, self.picture, folder), began=time.time())

    def _frame(self, picture: BakedPicture) -> Callable[[], Any]:
        """Moves the Gaussians, builds the index and draws, as every frame of a drag does."""
        plane = picture.plane
        script = Script.model_validate({"edits": [{"rotate": {"degrees": 15.0}}]})
        if self.edit is not None:
            script = read_script(self.edit, plane.width, plane.height)
        stage = Stage(script, picture)
        return lambda: stage.at(1.0).raster()

    def _profiled(self, what: str, work: Callable[[], Any]) -> None:
        if self.rows == 0:
            return
        CONSOLE.rule(what)
        if torch.cuda.is_available():
            activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
            with torch.profiler.profile(activities=activities) as profile:
                work()
            CONSOLE.print(profile.key_averages().table(sort_by="self_cuda_time_total", row_limit=self.rows))
            return
        profile = cProfile.Profile()
        profile.runcall(work)
        pstats.Stats(profile).sort_stats("tottime").print_stats(self.rows)


def _timed(work: Callable[[], Any]) -> float:
    """Seconds that it takes, with what it leaves to the GPU."""
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    tyro.cli(ProfileFit, prog="python benchmarks/profile_fit.py").run()
