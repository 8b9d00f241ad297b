"""Simulated cut-outs, checked: ``python -m gainer_bench simulation-check IMAGE... --scenes SCENE... --fps 10 30``.

Every scene moves every cut-out, as coarsely as ``gainer simulate --preview`` does. What must not be seen ends with
status 1: an empty frame, a number lost, a particle outside the domain, an elastic body in more parts than at rest, or
holes in it, or a liquid that ends above the floor. Pores of liquids and how high they climb are counted.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import tyro
from jaxtyping import Float
from PIL import Image
from rich.progress import track

from gainer_bench.outputs import print_plain
from gainer_bench.simulation_sheet import SEE_THROUGH_ALPHA, Solidity, interior, solid_and_clear
from gainer_bench.tables import Table
from gainer_ns.api import fit
from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file
from gainer_ns.io.image_io import read_picture
from gainer_ns.loading import load_run
from gainer_ns.motion.liquid_field import MAX_PORE_SPACINGS
from gainer_ns.physics.engine import Frame
from gainer_ns.physics.mpm.engine import MpmEngine
from gainer_ns.physics.preview import PREVIEW_PARTICLES, PREVIEW_SCALE
from gainer_ns.physics.simulated_picture import SHOWN_ALPHA
from gainer_ns.physics.simulated_plane import SimulatedPlane
from gainer_ns.physics.simulation import scene_for
from gainer_ns.rendering.plane import BakedPicture

PART_ALPHA, MIN_PART_PX = 0.25, 12
"""What counts as a part of a body in a frame: so many pixels, so opaque."""
MAX_GAP_PX = 0.5
"""How far above the floor a liquid may end that has come to lie on it."""
NEAR_FLOOR_SPACINGS = 4.0
"""What is so near to the floor lies on it."""
JOINING_ALPHA = 0.02
"""Parts are one where what lies between them is as opaque as this: a wire thinner than a pixel, say."""
DOMAIN_TOLERANCE = 1e-5
"""How far outside of the domain rounding may take a particle, widths."""


class Findings(NamedTuple):
    """What was found in one simulation.

    Attributes:
        frames: How many there were.
        empty: Frames that show nothing.
        lost: Frames in which something is no number, or outside the domain.
        parts: The most parts that an elastic body was in.
        parts_at_rest: How many it is in at rest.
        lowest: The lowest alpha inside of what is elastic; None of what flows.
        lowest_in: The frame where that is.
        pores: The most holes of a liquid in a frame that are smaller than particles tell of.
        pores_at_rest: How many the picture has.
        gap: How far above the floor a liquid ends in the last frame drawn, on average, px; None of what is none.
        climb: How much higher than its level it stands at a side of the domain then, px.
        seconds: Processor time that a frame took to simulate.
        error: What the simulation failed with; nothing if it did not.
    """

    frames: int = 0
    empty: int = 0
    lost: int = 0
    parts: int = 0
    parts_at_rest: int = 0
    lowest: float | None = None
    lowest_in: int = 0
    pores: int = 0
    pores_at_rest: int = 0
    gap: float | None = None
    climb: float = 0.0
    seconds: float = 0.0
    error: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found that must not be."""
        solid = self.lowest is None or (self.lowest >= SEE_THROUGH_ALPHA and self.parts <= self.parts_at_rest)
        liquid = self.gap is None or self.gap <= MAX_GAP_PX
        return not self.error and self.empty == 0 and self.lost == 0 and solid and liquid

    @property
    def columns(self) -> list[str]:
        """What the table says."""
        parts = "" if self.lowest is None else f"{self.parts} ({self.parts_at_rest})"
        lowest = "" if self.lowest is None else f"{self.lowest:.3f} in frame {self.lowest_in}"
        each = f"{1000 * self.seconds / max(1, self.frames):.0f}"
        wet = (
            [""] * 3
            if self.gap is None
            else [f"{self.pores} ({self.pores_at_rest})", f"{self.gap:.2f}", f"{self.climb:.0f}"]
        )
        return [str(self.frames), str(self.empty), str(self.lost), parts, lowest, *wet, each, self.error or "none"]


@dataclass
class SimulationCheck:
    """Simulate scenes on cut-outs at preview size, and look for what must not be seen in any frame."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    """Pictures with alpha, which are fitted first, and folders of which those PNG files are taken that have alpha."""
    scenes: tuple[Path, ...]
    """Scene files."""
    fps: tuple[float, ...] = (10.0, 30.0)
    """Frames a second, instead of what the scenes say."""
    particles: int = PREVIEW_PARTICLES
    """How many particles."""
    duration: float | None = None
    """Seconds at most, instead of what the scenes say."""
    looks: int | None = None
    """How many frames of each simulation are drawn and looked at; None for all. Numbers are checked in all."""
    kept: Path | None = None
    """Folder that keeps what was found in each simulation as soon as it ends, by what goes into it: the same command
    goes on from there."""

    def run(self) -> None:
        """Print a table of what was found.

        Raises:
            GainerError: Something must not be seen.
        """
        images = [path for image in self.images for path in _cut_outs(image)]
        if not (images and self.scenes and self.fps):
            raise GainerError("nothing to check; give pictures, --scenes and --fps")
        rows: list[list[str]] = []
        bad: list[str] = []
        for image in images:
            picture: BakedPicture | None = None
            for scene, fps in itertools.product(self.scenes, self.fps):
                kept = None if self.kept is None else self.kept / self._name(image, scene, fps)
                if kept is not None and kept.exists():
                    found = Findings(**json.loads(kept.read_text("utf8")))
                else:
                    picture = picture or fitted_picture(image)
                    found = self._checked(picture, image, scene, fps)
                    if kept is not None:
                        with whole_file(kept) as file:
                            file.write(json.dumps(found._asdict(), indent=1).encode())
                rows.append([image.stem, scene.stem, f"{fps:g}", *found.columns])
                if not found.is_sound:
                    bad.append(f"{scene.stem} on {image.stem} at {fps:g} fps")
        titles = ["picture", "scene", "fps", "frames", "empty", "lost", "parts (at rest)", "lowest alpha"]
        titles += ["pores (at rest)", "gap, px", "climb, px", "ms a frame"]
        print_plain(Table.of([*titles, "error"], rows, names=3).markdown())
        if bad:
            raise GainerError(f"{len(bad)} of {len(rows)} simulations show what they must not: {'; '.join(bad)}")

    def _name(self, image: Path, scene: Path, fps: float) -> str:
        """Return a name that is another one if anything is that goes into a simulation, but for the program."""
        settings = json.dumps([fps, self.particles, self.duration, self.looks]).encode()
        digest = hashlib.sha256(settings + image.read_bytes() + scene.read_bytes()).hexdigest()
        return f"{image.stem}_{scene.stem}_{fps:g}_{digest[:12]}.json"

    def _checked(self, picture: BakedPicture, image: Path, path: Path, fps: float) -> Findings:
        scene = scene_for(path, picture)
        duration = min(scene.duration, self.duration or scene.duration)
        scene = scene.model_copy(update={"fps": fps, "cells": None, "canvas": "domain", "duration": duration})
        simulated = SimulatedPlane(scene, picture, self.particles)
        config, particles, domain = simulated.config, simulated.particles, scene.filmed
        assert domain is not None
        stays = all(material.holds for material in simulated.materials)
        flows = all(material.behaviour == "liquid" for material in simulated.materials)
        solid, clear = (points.to(picture.device) for points in solid_and_clear(read_picture(image)))
        low, high = torch.tensor(config.low) - DOMAIN_TOLERANCE, torch.tensor(config.high) + DOMAIN_TOLERANCE
        looked_at = set(np.linspace(0, config.frames - 1, self.looks or config.frames).round().astype(int).tolist())
        left, top, right, bottom = (PREVIEW_SCALE * each for each in domain)
        found, solidity = Findings(), Solidity()
        begun = time.process_time()
        try:
            frames = MpmEngine().run(config, particles, simulated.materials)
            for number, frame in enumerate(track(frames, f"{image.stem}, {path.stem}, {fps:g} fps", config.frames)):
                found = found._replace(
                    frames=number + 1,
                    lost=found.lost + (not _is_sound(frame, low, high)),
                    seconds=found.seconds + time.process_time() - begun,
                )
                if number in looked_at:
                    alpha = simulated.at(frame).raster(PREVIEW_SCALE, domain)[1][..., 0].cpu().numpy()
                    found = found._replace(empty=found.empty + (not bool((alpha > SHOWN_ALPHA).any())))
                    if flows:
                        found = _with_liquid(found, alpha, PREVIEW_SCALE * picture.plane.width * particles.spacing)
                    if stays:
                        parts = _parts(alpha)
                        found = found._replace(
                            parts=max(parts, found.parts), parts_at_rest=found.parts_at_rest or parts
                        )
                        there, around = (PREVIEW_SCALE * simulated.moved(points, frame) for points in (solid, clear))
                        shape = alpha.shape[0], alpha.shape[1]
                        inside = interior(there, around, (left, top, right, bottom), shape)
                        solidity = solidity.with_frame(number, alpha, inside)
                begun = time.process_time()
        except GainerError as error:
            found = found._replace(error=str(error))
        return found._replace(lowest=solidity.lowest, lowest_in=solidity.frame) if stays else found


def _cut_outs(path: Path) -> list[Path]:
    """Return a picture, or those of a folder that have alpha."""
    if not path.is_dir():
        return [path]
    pictures = []
    for file in sorted(path.glob("*.png")):
        with Image.open(file) as picture:
            pictures += [file] if "A" in picture.getbands() else []
    return pictures


def fitted_picture(image: Path) -> BakedPicture:
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
    count, labels = cv2.connectedComponents((alpha > JOINING_ALPHA).astype(np.uint8), connectivity=8)
    return int((np.bincount(labels[alpha > PART_ALPHA], minlength=count)[1:] >= MIN_PART_PX).sum())


def _with_liquid(found: Findings, alpha: Float[np.ndarray, "h w"], spacing: float) -> Findings:
    """Take one more frame of a liquid into account, of the domain, whose particles were so many pixels apart."""
    there = alpha > 0.5
    count, _, stats, _ = cv2.connectedComponentsWithStats(1 - np.pad(there, 1).astype(np.uint8), connectivity=4)
    pores = int((stats[1:count, cv2.CC_STAT_AREA] < math.pi / 4 * (MAX_PORE_SPACINGS * spacing) ** 2).sum())
    gaps = there[::-1].argmax(axis=0)[there.any(axis=0)]
    lying = gaps[gaps <= NEAR_FLOOR_SPACINGS * spacing]
    heights = there.sum(axis=0)
    climb = max(heights[0], heights[-1]) - np.median(heights[heights > 0]) if there.any() else 0.0
    return found._replace(
        pores=max(found.pores, pores),
        pores_at_rest=pores if found.gap is None else found.pores_at_rest,
        gap=float(lying.mean()) if len(lying) else 0.0,
        climb=max(0.0, float(climb)),
    )
