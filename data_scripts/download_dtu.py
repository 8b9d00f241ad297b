"""Downloads and prepares a scan of DTU: objects on a table, with masks and measured cameras.

    python data_scripts/download_dtu.py --scan 65 --output data/dtu

DTU's own archives are large (SampleSet.zip 6 GB, Rectified.zip 123 GB). This takes the 15 scans that IDR's authors
prepared (Yariv et al., Multiview Neural Surface Reconstruction, 2020), with masks and one cameras.npz each, from their
Dropbox. They publish neither its size nor a checksum; the MD5 below is the one that another project, pynif3d, lists
for the same address. The download itself has not been tried.
Should the address answer no more, nerfstudio's `ns-download-data sdfstudio --dataset-name dtu` has other copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from commands import Options, run, workspace
from fetching import Archive
from PIL import Image
from scenes import View, camera_from_projection, write_scene
from unpacking import unpack

from gainer_ns.errors import GainerError

ARCHIVE = Archive(
    name="DTU.zip",
    urls=("https://www.dropbox.com/s/ujmakiaiekdl6sh/DTU.zip?dl=1",),
    checksum="md5:b1ad1eff5c4a4f99ae4d3503e976dafb",
    terms="research use, citing Jensen et al., Large Scale Multi-view Stereopsis Evaluation, 2014, and IDR",
    page="https://github.com/lioryariv/idr",
)


@dataclass
class DownloadDtu(Options):
    """Download and prepare a scan of DTU: reduced photographs, masks and cameras."""

    output: Path = Path("data/dtu")
    """Folder for the archive, which is kept, and for a folder of each scan."""
    factor: int = 2
    """Divides width and height of the photographs, 1600 x 1200."""
    scan: Literal[24, 37, 40, 55, 63, 65, 69, 83, 97, 105, 106, 110, 114, 118, 122] = 65
    """Which scan."""

    def run(self) -> Path | None:
        """Fetches, unpacks and converts."""
        archive = self.fetched(ARCHIVE)
        return None if archive is None else prepare(archive, self.output, self.scan, self.factor)


def prepare(archive: Path, output: Path, scan: int, factor: int) -> Path:
    """Converts a scan of the archive.

    cameras.npz holds for each photograph world_mat_i, which maps the world in millimetres to pixels, centres at whole
    numbers, and scale_mat_i, which maps the unit sphere to one around the object: near and far are where a line
    along z through its centre meets it.

    Args:
        archive: DTU.zip of IDR.
        output: Where the scan's folder is made.
        scan: Its number.
        factor: By which photographs and masks are reduced.

    Returns:
        The path of scene.json.

    Raises:
        GainerError: The archive lacks the scan, or parts of it.
    """

    def placement(name: PurePosixPath) -> PurePosixPath | None:
        if f"scan{scan}" not in name.parts[:-1] or "__MACOSX" in name.parts:
            return None
        inner = PurePosixPath(*name.parts[name.parts.index(f"scan{scan}") + 1 :])
        is_picture = str(inner.parent) in ("image", "mask") and inner.suffix == ".png" and inner.name[0] != "."
        return inner if is_picture or inner == PurePosixPath("cameras.npz") else None

    with workspace(output) as unpacked:
        files = unpack(archive, Path(unpacked), placement)
        photographs = [file for file in files if file.parent.name == "image"]
        masks = [file for file in files if file.parent.name == "mask"]
        path = Path(unpacked) / "cameras.npz"
        if not path.is_file() or not photographs or len(masks) not in (0, len(photographs)):
            raise GainerError(f"{archive}: lacks scan{scan}/cameras.npz, image or mask; is it IDR's DTU.zip?")
        with np.load(path, allow_pickle=False) as cameras:
            views = [
                _view(cameras, index, photograph, masks[index] if masks else None, f"{archive}: scan{scan}")
                for index, photograph in enumerate(photographs)
            ]
        return write_scene(
            output / f"scan{scan}",
            views,
            source=f"DTU scan {scan}, as prepared by IDR (DTU.zip)",
            units="millimetres",
            factor=factor,
            extra={"masks": "of the object, white on black"} if masks else {},
        )


def _view(cameras: Mapping[str, np.ndarray], index: int, photograph: Path, mask: Path | None, source: str) -> View:
    names = f"world_mat_{index}", f"scale_mat_{index}"
    if any(name not in cameras or cameras[name].shape != (4, 4) for name in names):
        raise GainerError(f"{source}: its cameras.npz lacks {names[0]} or {names[1]}; fetch the archive again")
    K, c2w = camera_from_projection(cameras[names[0]][:3])
    K[:2, 2] += 0.5  # centres at .5
    sphere = cameras[names[1]].astype(np.float64)
    depth = float(c2w[:3, 2] @ (sphere[:3, 3] - c2w[:3, 3]))
    with Image.open(photograph) as image:
        size = image.size
    return View(photograph, K, size, c2w, {"near": depth - sphere[0, 0], "far": depth + sphere[0, 0]}, mask)


if __name__ == "__main__":
    run(DownloadDtu)
