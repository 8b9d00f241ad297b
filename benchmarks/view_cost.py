"""Time the lift of a photo and views of it from the side: ``python benchmarks/view_cost.py PHOTO [--depth FILE]``.

Without a depth file the photo is a wall with a step in it. Times are of the clock and of the processor; the first view,
for which kernels are compiled, is told apart, the others are a median.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import tyro
from PIL import Image

import gainer_ns as gn
from gainer_ns.lifting.camera_paths import orbit
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import CameraView

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Do something, and return what came of it, and how long it took by the clock and by the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def step_of(photo: Path) -> np.ndarray:
    """Return the depth of a wall, of which the middle is nearer."""
    with Image.open(photo) as image:
        width, height = image.size
    depth = np.full((height, width), 4.0, np.float32)
    depth[height // 4 : -height // 4, width // 4 : -width // 4] = 2.5
    return depth


def main(photo: tyro.conf.Positional[Path], depth: Path | None = None, views: int = 8) -> None:
    """Print a line for the lift, and two for views.

    Args:
        photo: The photo.
        depth: Its depth.
        views: How many views are drawn, around the photo's own camera.
    """
    picture, wall, cpu = timed(lambda: gn.lift(photo, depth=step_of(photo) if depth is None else depth))
    scene = picture._drawn
    assert isinstance(scene, LiftedScene)
    camera = scene.camera
    print(f"{camera.width} x {camera.height} on {scene.device}: lifted in {wall:.2f} s, {cpu:.2f} s of the processor")
    times = []
    for pose in orbit(views + 1):
        view = CameraView(camera, pose[:3])
        _, *each = timed(lambda view=view: scene.raster(view=view)[0].cpu())
        times.append(each)
    wall, cpu = (statistics.median(column) for column in zip(*times[1:], strict=True))
    print(f"a view in {wall:.3f} s, {cpu:.3f} s of the processor; {1 / wall:.1f} a second")
    print(f"the first view in {times[0][0]:.2f} s")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
