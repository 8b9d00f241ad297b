"""Time frames of edited, bound and simulated pictures beside OpenCV's remap of the same size, in turns.

    python benchmarks/frame_cost.py PHOTO | PICTURE.safetensors [--repeats 9] [--threads 1]

A frame is what a film needs of each: where the pieces are at its time, their rest maps, and what is read there. OpenCV
reads four float channels by cubic convolution at positions that it is given. Times are medians of processor time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

import gainer_ns as gn
from gainer_ns.editing.bound_picture import BoundPicture
from gainer_ns.editing.script import read_script
from gainer_ns.editing.stage import Stage
from gainer_ns.io.meshes import MeshFile
from gainer_ns.physics.engine import Frame
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.simulated_plane import SimulatedPlane
from gainer_ns.physics.simulation import scene_for
from gainer_ns.rendering.plane import BakedPicture

CAGE_SIDE = 100  # 2 x 100 x 100 triangles
PARTICLES = 20_000


def edits(width: int, height: int) -> dict[str, dict]:
    """Scripts for a picture of this size."""
    w, h = width, height
    disc = {"disc": {"center": [w / 2, h / 2], "radius": h / 4}}
    return {
        "rotate": {"rotate": {"degrees": 15}},
        "wave": {"wave": {"amplitude": 8, "period": 96}},
        "bend": {"bend": {"degrees": 40, "axis": [[w * 0.2, h / 2], [w * 0.8, h / 2]]}},
        "cut": {"cut": {"line": [[w / 2, 0], [w / 2 + 20, h]], "gap": 30}},
        "feathered disc": {"select": {**disc, "feather": 60}, "rotate": {"degrees": 20}},
        "drag": {
            "drag": {
                "handles": [{"from": [w * 0.3, h * 0.4], "to": [w * 0.34, h * 0.36]}],
                "fixed": [[w * 0.1, h * 0.1], [w * 0.9, h * 0.9]],
            }
        },
        "moved disc": {"select": disc, "mode": "piece", "move": {"by": [40, -30]}},
    }


def cage(picture: BakedPicture) -> MeshFile:
    """A mesh over the picture."""
    axis = torch.linspace(-0.52, 0.52, CAGE_SIDE + 1).double()
    x, y = torch.meshgrid(axis, axis, indexing="xy")
    vertices = torch.stack([x.flatten(), y.flatten(), torch.zeros(len(axis) ** 2).double()], dim=1)
    first = (torch.arange(CAGE_SIDE)[:, None] * (CAGE_SIDE + 1) + torch.arange(CAGE_SIDE)).flatten()
    right, below = first + 1, first + CAGE_SIDE + 1
    faces = torch.cat([torch.stack([first, right, below], 1), torch.stack([right, below + 1, below], 1)])
    return MeshFile(Path("cage.obj"), vertices, faces)


def frames(photo: Path) -> dict[str, Callable[[int], BakedPicture]]:
    """What makes the picture of each frame, by its number."""
    picture = (gn.load(photo) if photo.suffix == ".safetensors" else gn.fit(photo))._drawn
    assert isinstance(picture, BakedPicture)
    width, height = picture.plane.width, picture.plane.height
    found: dict[str, Callable[[int], BakedPicture]] = {}
    for name, edit in edits(width, height).items():
        stage = Stage(read_script({"edits": [{**edit, "easing": "linear"}]}, width, height), picture, {})
        found[name] = lambda number, stage=stage: stage.at(1 - 0.001 * number)
    mesh = cage(picture)
    bound = BoundPicture(picture, mesh)

    def bent(number: int) -> BakedPicture:
        vertices = mesh.vertices.clone()
        vertices[:, 1] += 0.02 * torch.sin(6 * vertices[:, 0] + 0.1 * number)
        return bound.at(vertices)

    found["cage of 20,000 triangles"] = bent
    words = {"bodies": [{"material": "medium"}], "particles": PARTICLES}
    scene = scene_for(words, picture)
    assert isinstance(scene, Scene)
    simulated = SimulatedPlane(scene, picture)
    rest = simulated.particles.positions

    def shaken(number: int) -> BakedPicture:
        positions = rest + 0.01 * torch.sin(9 * rest.flip(1) + 0.1 * number)
        return simulated.at(Frame(0.1 * (number + 1), positions, None))

    found["20,000 particles"] = shaken
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    makers = frames(options.photo)
    some = next(iter(makers.values()))(0)
    height, width = some.plane.height, some.plane.width
    image = np.random.default_rng(0).random((height, width, 4), dtype=np.float32)
    y, x = np.indices((height, width), dtype=np.float32)
    x, y = x + 3.3 * np.sin(y / 20), y + 3.3 * np.sin(x / 20)
    print(f"{width} x {height}, {options.threads} threads; processor ms (wall ms), medians of {options.repeats}")
    for name, make in makers.items():
        times: dict[str, list[tuple[float, float]]] = {"frame": [], "remap": []}
        for number in range(options.repeats + 1):
            for what, work in (
                ("frame", lambda number=number, make=make: make(number).raster()[0].cpu()),  # a GPU has drawn it then
                ("remap", lambda: cv2.remap(image, x, y, cv2.INTER_CUBIC)),
            ):
                cpu, wall = time.process_time(), time.perf_counter()
                work()
                times[what].append((1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall)))
        (cpu, wall), (other, _) = (
            tuple(statistics.median(column) for column in zip(*pairs[1:], strict=True)) for pairs in times.values()
        )
        print(f"{name:26s} {cpu:7.1f} ({wall:6.1f})   remap {other:5.1f}   ratio {cpu / other:5.1f}", flush=True)


if __name__ == "__main__":
    main()
