"""The default engine beside Taichi's MLS-MPM loop: ``python -m gainer_bench mpm-speed``.

A block falls, lands and is simulated for some frames, by turns by both in one process. Taichi's loop is that of
"mpm99" (Hu et al., "A Moving Least Squares Material Point Method", 2018) for what is elastic, with as many steps as the
engine takes. Times are of the processor.

Taichi reads annotations as they stand, so none of this module's are postponed.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from gainer_bench.outputs import print_plain
from gainer_bench.tables import Table
from gainer_ns.devices import checked_device
from gainer_ns.errors import GainerError
from gainer_ns.physics.colliders import border_colliders
from gainer_ns.physics.engine import Particles, SimulationConfig
from gainer_ns.physics.forces import Gravity
from gainer_ns.physics.materials import PRESETS, Material
from gainer_ns.physics.mpm.engine import MpmSimulation

BLOCK = (0.2, 0.45, 0.8, 0.95)
"""Left, top, right and bottom, in a domain of one width."""
GRAVITY, FPS = 5.0, 30


@dataclass
class MpmSpeed:
    """Time the default engine, and Taichi's loop of the same steps where taichi is installed."""

    particles: int = 20_000
    """How many."""
    cells: int = 128
    """Of the grid, along each side."""
    material: str = "medium"
    """Of the default engine; Taichi's is elastic all the same."""
    frames: int = 6
    """Of 1/30 s each; the first is not counted."""
    threads: int = 1
    """Of the processor, for both."""
    device: str = "cpu"
    """Of the default engine. On a GPU times are of the clock, and Taichi is left out."""

    def run(self) -> None:
        """Print seconds of the processor a frame: medians, and the ratio.

        Raises:
            GainerError: There is no such material, or too little to time.
        """
        if self.material not in PRESETS or self.frames < 2:
            raise GainerError(f"{self.material}, {self.frames} frames: name a preset, and 2 frames or more")
        torch.set_num_threads(self.threads)
        material = PRESETS[self.material]
        particles, device = _block(self.particles), checked_device(self.device)
        config = SimulationConfig(
            (0.0, 0.0), (1.0, 1.0), Gravity(), (), border_colliders((0, 0, 1, 1)), fps=FPS, cells=self.cells
        )
        there = replace(particles, positions=particles.positions.to(device))
        simulation = MpmSimulation(config, there, (material,))
        loop = _taichi_loop(particles, self.cells, material, self.threads) if device.type == "cpu" else None
        own, other, steps = [], [], 0
        for frame in range(self.frames):
            steps = 2 * simulation.steps_for(0.5 / FPS, frame / FPS)
            own.append(_seconds(lambda at=frame: simulation.advance(at / FPS, 1 / FPS), device))
            if loop is not None:
                other.append(_seconds(lambda count=steps: loop(count, 1 / FPS / count)))
        mine = statistics.median(own[1:])
        theirs = statistics.median(other[1:]) if other else None
        row = [self.material, f"{len(particles):,}", str(self.cells), str(steps), f"{mine:.3f}"]
        row += ["", ""] if theirs is None else [f"{theirs:.3f}", f"{mine / theirs:.2f}"]
        titles = ["material", "particles", "cells", "steps", "engine, s a frame", "taichi, s a frame", "ratio"]
        print_plain(Table.of(titles, [row], names=1).markdown())


def _seconds(work: Callable[[], Any], device: torch.device | None = None) -> float:
    if device is not None and device.type == "cuda":
        begun = time.perf_counter()
        work()
        torch.cuda.synchronize(device)
        return time.perf_counter() - begun
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _block(count: int) -> Particles:
    left, top, right, bottom = BLOCK
    spacing = ((right - left) * (bottom - top) / count) ** 0.5
    axes = [torch.arange(low + spacing / 2, high, spacing) for low, high in ((left, right), (top, bottom))]
    points = torch.stack([each.flatten() for each in torch.meshgrid(*axes, indexing="ij")], dim=1)
    zeros = torch.zeros(len(points), dtype=torch.int64)
    volumes = torch.full((len(points),), spacing**2)
    return Particles(points, volumes, torch.zeros_like(points), zeros, torch.arange(len(points)), spacing)


def _taichi_loop(
    particles: Particles, cells: int, material: Material, threads: int
) -> Callable[[int, float], None] | None:
    """Return what takes so many steps of a length, in seconds; None where taichi is missing."""
    os.environ.setdefault("TI_LOG_LEVEL", "error")
    try:
        import taichi as ti  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    # Greetings belong to no table.
    standard, sys.stdout = sys.stdout, sys.stderr
    try:
        ti.init(arch=ti.cpu, cpu_max_num_threads=threads, log_level=ti.ERROR, offline_cache=False)
    finally:
        sys.stdout = standard
    count, margin = len(particles), 3
    side, cell = cells + 2 * margin, 1 / cells
    volume, density = float(particles.volumes[0]), material.density
    first, second = PRESETS["medium"].lame
    x, v = (ti.Vector.field(2, float, count) for _ in range(2))
    C, F = (ti.Matrix.field(2, 2, float, count) for _ in range(2))
    momentum, mass = ti.Vector.field(2, float, (side, side)), ti.field(float, (side, side))
    x.from_numpy(particles.positions.numpy() + margin * cell)
    F.from_numpy(torch.eye(2).repeat(count, 1, 1).numpy())

    @ti.kernel
    def step(dt: float):
        for i, j in mass:
            momentum[i, j] = [0.0, 0.0]
            mass[i, j] = 0.0
        for p in x:
            base = (x[p] / cell - 0.5).cast(int)
            fx = x[p] / cell - base.cast(float)
            w = [0.5 * (1.5 - fx) ** 2, 0.75 - (fx - 1) ** 2, 0.5 * (fx - 0.5) ** 2]
            F[p] = (ti.Matrix.identity(float, 2) + dt * C[p]) @ F[p]
            R, _ = ti.polar_decompose(F[p])
            J = F[p].determinant()
            stress = 2 * second * (F[p] - R) @ F[p].transpose() + ti.Matrix.identity(float, 2) * first * J * (J - 1)
            affine = (-dt * volume * 4 / cell**2) * stress + volume * density * C[p]
            for i, j in ti.static(ti.ndrange(3, 3)):
                offset = ti.Vector([i, j])
                weight = w[i][0] * w[j][1]
                apart = (offset.cast(float) - fx) * cell
                momentum[base + offset] += weight * (volume * density * v[p] + affine @ apart)
                mass[base + offset] += weight * volume * density
        for i, j in mass:
            if mass[i, j] > 0:
                u = momentum[i, j] / mass[i, j]
                u[1] += dt * GRAVITY
                if i < margin:
                    u[0] = ti.max(u[0], 0)
                if i > side - margin:
                    u[0] = ti.min(u[0], 0)
                if j > side - margin:
                    u[1] = ti.min(u[1], 0)
                momentum[i, j] = u
        for p in x:
            base = (x[p] / cell - 0.5).cast(int)
            fx = x[p] / cell - base.cast(float)
            w = [0.5 * (1.5 - fx) ** 2, 0.75 - (fx - 1.0) ** 2, 0.5 * (fx - 0.5) ** 2]
            new_v, new_C = ti.Vector.zero(float, 2), ti.Matrix.zero(float, 2, 2)
            for i, j in ti.static(ti.ndrange(3, 3)):
                apart = ti.Vector([i, j]).cast(float) - fx
                u = momentum[base + ti.Vector([i, j])]
                weight = w[i][0] * w[j][1]
                new_v += weight * u
                new_C += 4 * weight * u.outer_product(apart) / cell
            v[p], C[p] = new_v, new_C
            x[p] += dt * v[p]

    def advance(steps: int, dt: float) -> None:
        for _ in range(steps):
            step(dt)
        ti.sync()

    return advance
