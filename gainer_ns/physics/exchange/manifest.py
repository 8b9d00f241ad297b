"""What a simulation's folder says of itself: manifest.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gainer_ns.errors import GainerError
from gainer_ns.io.json_files import read_object
from gainer_ns.physics.engine import Particles
from gainer_ns.physics.exchange.folder_files import PlaneUnits
from gainer_ns.physics.materials import BEHAVIOURS, Material
from gainer_ns.physics.setting import Setting

MANIFEST = "manifest.json"
NAMED = "a simulation's file", "take the folder away, or choose another"
"""What such files are called, and what to do where one is something else."""
FORMAT, VERSION = "gainer-simulation", 1


def manifest_of(
    particles: Particles, materials: Sequence[Material], setting: Setting, units: PlaneUnits
) -> dict[str, Any]:
    """What other programs may want to know, in plane units, y up."""
    width = units.width_length
    corners = units.to_plane(torch.tensor([setting.low, setting.high], dtype=torch.float64))
    return {
        "format": FORMAT,
        "version": VERSION,
        "picture": list(units.size),
        "dimensions": particles.dimensions,
        "particles": len(particles),
        "frames": setting.frames,
        "fps": setting.fps,
        "spacing": particles.spacing * width,
        "domain": [corners.amin(dim=0).tolist(), corners.amax(dim=0).tolist()],
        "gravity": [way * part * width for way, part in zip((1, -1), setting.gravity.at(0.0), strict=True)],
        "materials": {behaviour: number for number, behaviour in enumerate(BEHAVIOURS)},
        "bodies": [material.model_dump() for material in materials],
        "units": {
            "lengths": "1 is the longer side of the picture, (0, 0) its centre, x right, y up, z towards the viewer",
            "times": "seconds",
            "gravity": "lengths a second squared, at the start",
            "volume": f"lengths to the power of {particles.dimensions}",
            "bodies": f"E / density is a speed squared, in picture widths a second; a width is {width:.9g} lengths",
            "angles": "degrees",
            "f_xx, f_xy, ...": "deformation gradients since rest, optional: how x moves with x at rest, with y at rest",
        },
    }


def read_manifest(path: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Reads and checks manifest.json.

    Args:
        path: The file.
        size: Width and height of the picture that it must be of, in pixels.

    Raises:
        GainerError: If it is missing or damaged, or of another version or picture.
    """
    data = read_object(path, *NAMED)
    if data.get("format") != FORMAT or data.get("version") != VERSION:
        raise GainerError(f"{path}: is not of version {VERSION} of simulations; choose another folder")
    if data.get("picture") != list(size):
        raise GainerError(
            f"{path}: is of another picture, this one has {size[0]} x {size[1]} pixels; choose another folder"
        )
    whole = {"dimensions": (2, 3), "particles": range(1, 2**31), "frames": range(1, 2**31)}
    for name, allowed in whole.items():
        if not (type(data.get(name)) is int and data[name] in allowed):
            raise GainerError(f"{path}: its {name} make no sense; take the folder away, or choose another")
    for name in ("fps", "spacing"):
        if not (type(data.get(name)) in (int, float) and 0 < data[name] < 1e9):
            raise GainerError(f"{path}: its {name} makes no sense; take the folder away, or choose another")
    return data
