"""Downloads and prepares a scene of LLFF, the forward-facing photographs of NeRF's authors.

    python data_scripts/download_llff.py --scene fern --output data/llff

The authors publish nerf_llff_data.zip (1.78 GB, all eight scenes) on Google Drive, which needs a browser. This takes a
copy of the same bytes from the Hugging Face hub, of a fixed revision, with the size and SHA-256 that the hub lists.
The download itself has not been tried. The archive's layout is taken from descriptions of it; should it differ, the
script says what it misses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from commands import Options, run, workspace
from fetching import Archive
from scenes import View, cameras_from_llff, write_scene
from unpacking import names, unpack

from gainer_ns.errors import GainerError

ARCHIVE = Archive(
    name="nerf_llff_data.zip",
    urls=(
        "https://huggingface.co/datasets/YouLiXiya/nerf/resolve/8bb2c1f48e1ee51a94bce0c1634dd04795f92faa/nerf_llff_data.zip",
    ),
    size=1_780_545_599,
    checksum="sha256:b8be42c77ce345e647812cb69d1f92d2a85159f2464847e99458e53d13cb1d96",
    terms="no licence is stated; research use, citing Mildenhall et al., Local Light Field Fusion, 2019",
    page="https://drive.google.com/drive/folders/128yBriW1IG_3NJ5Rp7APSTZsJqdJdfc1",
)
PICTURES = (".png", ".jpg", ".jpeg")


@dataclass
class DownloadLlff(Options):
    """Download and prepare a scene of LLFF: reduced photographs and their cameras."""

    output: Path = Path("data/llff")
    """Folder for the archive, which is kept, and for a folder of each scene."""
    factor: int = 8
    """Divides width and height of the photographs, 4032 x 3024."""
    scene: Literal["fern", "flower", "fortress", "horns", "leaves", "orchids", "room", "trex"] = "fern"
    """Which scene."""

    def run(self) -> Path | None:
        """Fetches, unpacks and converts."""
        archive = self.fetched(ARCHIVE)
        return None if archive is None else prepare(archive, self.output, self.scene, self.factor)


def prepare(archive: Path, output: Path, scene: str, factor: int) -> Path:
    """Converts a scene of the archive.

    Args:
        archive: nerf_llff_data.zip.
        output: Where the scene's folder is made.
        scene: Its name.
        factor: By which photographs are reduced. The archive's own images_FACTOR are taken where it has them.

    Returns:
        The path of scene.json.

    Raises:
        GainerError: The archive lacks the scene, or parts of it.
    """
    inside = [inner for name in names(archive) if (inner := _below(name, scene)) is not None]
    is_held = any(inner.parts[0] == f"images_{factor}" for inner in inside if len(inner.parts) == 2)
    images = f"images_{factor}" if is_held else "images"

    def placement(name: PurePosixPath) -> PurePosixPath | None:
        inner = _below(name, scene)
        if inner is None:
            return None
        is_picture = inner.parent.name == images and len(inner.parts) == 2 and inner.suffix.lower() in PICTURES
        return inner if is_picture or inner == PurePosixPath("poses_bounds.npy") else None

    with workspace(output) as unpacked:
        files = unpack(archive, Path(unpacked), placement)
        pictures = [file for file in files if file.parent.name == images]
        poses = Path(unpacked) / "poses_bounds.npy"
        if not poses.is_file() or not pictures:
            raise GainerError(
                f"{archive}: lacks {scene}/poses_bounds.npy or {scene}/{images}; is it nerf_llff_data.zip?"
            )
        cameras = cameras_from_llff(np.load(poses, allow_pickle=False))
        if len(cameras) != len(pictures):
            raise GainerError(
                f"{archive}: {scene} has {len(pictures)} photographs and {len(cameras)} cameras; fetch it again"
            )
        views = [View(picture, *camera) for picture, camera in zip(pictures, cameras, strict=True)]
        return write_scene(
            output / scene,
            views,
            source=f"LLFF {scene} (nerf_llff_data.zip)",
            units="arbitrary (COLMAP); near and far are along z in the same units",
            factor=factor,
            is_reduced=images != "images",
            extra={"distortion": "LLFF ignores the lens's distortion"},
        )


def _below(name: PurePosixPath, scene: str) -> PurePosixPath | None:
    """A file's path inside its scene, wherever that lies in the archive; None for other files."""
    parts = name.parts
    if "__MACOSX" in parts or name.name.startswith("._") or scene not in parts[:-1]:
        return None
    return PurePosixPath(*parts[parts.index(scene) + 1 :])


if __name__ == "__main__":
    run(DownloadLlff)
