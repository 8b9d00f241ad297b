"""Simulated cut-outs, checked: ``python -m gainer_bench simulation-check IMAGE... --scenes SCENE... --fps 10 30``.

Every scene moves every cut-out, as coarsely as ``gainer simulate --preview`` does. What must not be seen ends with
status 1: an empty frame, a number lost, a particle outside the domain, an elastic body in more parts than at rest, or
holes in it.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro
from jaxtyping import Float
from rich.progress import track

from gainer_bench.outputs import print_plain
from gainer_bench.simulation_sheet import SEE_THROUGH_ALPHA, Solidity, interior, solid_and_clear
from gainer_bench.tables import Table
from gainer_ns.api import fit
from gainer_ns.cli.simulate import PREVIEW_PARTICLES, PREVIEW_SCALE
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture
from gainer_ns.loading import load_run
from gainer_ns.physics.engine import Frame
from gainer_ns.physics.materials import BREAKING
from gainer_ns.physics.mpm.engine import MpmEngine
from gainer_ns.physics.simulated_plane import SimulatedPlane
from gainer_ns.physics.simulation import scene_for
from gainer_ns.rendering.plane import BakedPicture

SHOWN_ALPHA = 0.5 / 255
"""Below this nothing is to be seen."""
PART_ALPHA, MIN_PART_PX = 0.25, 12
"""What counts as a part of a body in a frame: so many pixels side by side, so opaque."""
DOMAIN_TOLERANCE = 1e-5
"""How far outside of the domain rounding may take a particle, widths."""


@dataclass
class Findings:
    """What was found in one simulation.

    Attributes:
        frames: How many there were.
        empty: Frames that show nothing.
        lost: Frames in which something is no number, or outside the domain.
        parts: The most parts that an elastic body was in, and those at rest.
        solidity: How solid it was inside; None of what flows.
        seconds: What a frame took to simulate.
    """

    frames: int = 0
    empty: int = 0
    lost: int = 0
    parts: tuple[int, int] = (0, 0)
    solidity: Solidity | None = None
    seconds: float = 0.0

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found that must not be."""
        solid = self.solidity is None or self.solidity.lowest >= SEE_THROUGH_ALPHA
        return self.empty == 0 and self.lost == 0 and self.parts[0] <= self.parts[1] and solid


@dataclass
class SimulationCheck:
    """Simulate scenes on cut-outs at preview size, and look for what must not be seen in any frame."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    """Pictures with alpha, which are fitted first."""
    scenes: tuple[Path, ...]
    """Scene files."""
    fps: tuple[float, ...] = (10.0, 30.0)
    """Frames a second, instead of what the scenes say."""
    particles: int = PREVIEW_PARTICLES
    """How many particles."""
    duration: float | None = None
    """Seconds, instead of what the scenes say."""

    def run(self) -> None:
        """Print a table of what was found.

        Raises:
            GainerError: Something must not be seen.
        """
        if not (self.images and self.scenes and self.fps):
            raise GainerError("nothing to check; give pictures, --scenes and --fps")
        rows: list[list[str]] = []
        bad: list[str] = []
        for image in self.images:
            picture = _fitted(image)
            for scene in self.scenes:
                for fps in self.fps:
                    found = self._checked(picture, image, scene, fps)
                    rows.append([image.stem, scene.stem, f"{fps:g}", *_numbers(found)])
                    if not found.is_sound:
                        bad.append(f"{scene.stem} on {image.stem} at {fps:g} fps")
        titles = ["picture", "scene", "fps", "frames", "empty", "lost", "parts (at rest)", "lowest alpha", "ms a frame"]
        print_plain(Table.of(titles, rows, names=3).markdown())
        if bad:
            raise GainerError(f"{len(bad)} of {len(rows)} simulations show what they must not: {'; '.join(bad)}")

    def _checked(self, picture: BakedPicture, image: Path, path: Path, fps: float) -> Findings:
        scene = scene_for(path, picture).model_copy(update={"fps": fps, "cells": None})
        if self.duration is not None:
            scene = scene.model_copy(update={"duration": self.duration})
        simulated = SimulatedPlane(scene, picture, self.particles)
        found = Findings()
        stays = all(material.behaviour not in BREAKING for material in simulated.materials)
        solid, clear = (points.to(picture.device) for points in solid_and_clear(read_picture(image)))
        config = simulated.config
        low, high = torch.tensor(config.low) - DOMAIN_TOLERANCE, torch.tensor(config.high) + DOMAIN_TOLERANCE
        label = f"{image.stem}, {path.stem}, {fps:g} fps"
        begun = time.perf_counter()
        frames = MpmEngine().run(config, simulated.particles, simulated.materials)
        for number, frame in enumerate(track(frames, label, config.frames)):
            found.seconds += time.perf_counter() - begun
            found.frames += 1
            found.lost += not _is_sound(frame, low, high)
            crop = scene.filmed
            alpha = simulated.at(frame).raster(PREVIEW_SCALE, crop)[1][..., 0].cpu().numpy()
            found.empty += not bool((alpha > SHOWN_ALPHA).any())
            if stays:
                parts = _parts(alpha)
                found.parts = (parts, parts) if number == 0 else (max(parts, found.parts[0]), found.parts[1])
                scaled = tuple(PREVIEW_SCALE * each for each in crop)
                there, around = (PREVIEW_SCALE * simulated.moved(points, frame) for points in (solid, clear))
                shape = alpha.shape[0], alpha.shape[1]
                inside = interior(there, around, (scaled[0], scaled[1], scaled[2], scaled[3]), shape)
                found.solidity = (found.solidity or Solidity()).with_frame(number, alpha, inside)
            begun = time.perf_counter()
        return found


def _fitted(image: Path) -> BakedPicture:
    """Fit a picture, and read it back as a file of it is read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.safetensors")
        fit(image).save(path)
        picture = load_run(path)
    if not isinstance(picture, BakedPicture):
        raise GainerError(f"{image}: is no flat picture; give a cut-out")
    return picture


def _is_sound(frame: Frame, low: Float[torch.Tensor, " d"], high: Float[torch.Tensor, " d"]) -> bool:
    places = frame.positions.cpu()
    finite = bool(places.isfinite().all()) and (frame.gradients is None or bool(frame.gradients.isfinite().all()))
    return finite and bool(((places >= low) & (places <= high)).all())


def _parts(alpha: Float[np.ndarray, "h w"]) -> int:
    """Count what is shown apart from all else."""
    count, labels = cv2.connectedComponents((alpha > PART_ALPHA).astype(np.uint8), connectivity=8)
    return int((np.bincount(labels.ravel(), minlength=count)[1:] >= MIN_PART_PX).sum())


def _numbers(found: Findings) -> list[str]:
    if found.solidity is None:
        parts, lowest = "", ""
    else:
        parts = f"{found.parts[0]} ({found.parts[1]})"
        lowest = f"{found.solidity.lowest:.3f} in frame {found.solidity.frame}"
    each = f"{1000 * found.seconds / max(1, found.frames):.0f}"
    return [str(found.frames), str(found.empty), str(found.lost), parts, lowest, each]
