"""What dominates an edited frame, and the floor beside it: ``python benchmarks/frame_floor.py PICTURE``.

The floor is what memory alone takes for the bytes that a frame has to move: for each output pixel its place and
Jacobian are written and read, colours and opacity written, and the table of Gaussians read once. Bandwidth is that of a
large copy on the same device, there and back.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import tyro

import gainer_ns as gn
from gainer_ns.editing.script import Script
from gainer_ns.editing.stage import Stage
from gainer_ns.rendering.plane import BakedPicture

PLACE_BYTES, JACOBIAN_BYTES, COLOUR_BYTES = 8, 16, 16
"""Of a pixel: where it lay, how it is stretched, and its colours with alpha, in single precision."""
PARTS = {"pose": "where things go, on the host", "draw": "kernels", "read back": "8 bits a sample"}


def milliseconds(work: Callable[[], Any], repeats: int = 9) -> float:
    """Return the median time of the clock, with what is left to the GPU."""
    times = []
    for _ in range(1 + repeats):
        begun = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times[1:])


def bytes_of(pixels: int, gaussians: int) -> int:
    """Return what a frame moves at least."""
    return pixels * (2 * (PLACE_BYTES + JACOBIAN_BYTES) + COLOUR_BYTES) + gaussians * COLOUR_BYTES


def main(picture: tyro.conf.Positional[Path], copied: int = 1 << 26, rows: int = 8) -> None:
    """Print times, floors and the kernels that take most.

    Args:
        picture: The picture file.
        copied: Numbers of 4 bytes that are copied to measure bandwidth, an eighth on a processor.
        rows: How many kernels or operators are listed; 0 for none.
    """
    drawn = gn.fit(picture)._drawn
    assert isinstance(drawn, BakedPicture)
    stage, plane = Stage(Script.model_validate({"edits": [{"rotate": {"degrees": 15.0}}]}), drawn), drawn.plane
    number = iter(range(1_000_000))
    copied = copied if drawn.device.type == "cuda" else copied // 8
    source = torch.zeros(copied, device=drawn.device)
    into = torch.empty_like(source)
    bandwidth = 8 * copied / (1e-3 * milliseconds(lambda: into.copy_(source)))
    frame = stage.at(1.0)
    rgb, _ = frame.raster()
    times = {
        "pose": milliseconds(lambda: stage.at(1 - 1e-4 * next(number))),
        "draw": milliseconds(frame.raster),
        "read back": milliseconds(lambda: (255 * rgb).round().byte().cpu()),
    }
    moved = bytes_of(plane.pixels, len(drawn.gaussians))
    print(f"{plane.width} x {plane.height} on {drawn.device}: {bandwidth / 1e9:.0f} GB/s copied there and back")
    for name, took in times.items():
        print(f"{name:10s} {took:8.2f} ms   {PARTS[name]}")
    floor = 1e3 * moved / bandwidth
    times_it = times["draw"] / floor
    print(f"{'floor':10s} {floor:8.3f} ms   {moved / 1e6:.1f} MB moved; drawing takes {times_it:.1f} times it")
    print(f"{max(times, key=lambda name: times[name])} dominates")
    if rows:
        kinds = [torch.profiler.ProfilerActivity.CPU]
        kinds += [torch.profiler.ProfilerActivity.CUDA] if torch.cuda.is_available() else []
        with torch.profiler.profile(activities=kinds) as profile:
            stage.at(0.5).raster()
        by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        print(profile.key_averages().table(sort_by=by, row_limit=rows, max_name_column_width=40))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
