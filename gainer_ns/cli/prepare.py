"""``gainer prepare``: mask, depth and focal length of a photo, computed once and kept beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Annotated

import tyro

from gainer_ns.errors import GainerError
from gainer_ns.io.inputs import check_input_exists, check_picture
from gainer_ns.io.outputs import check_folder_place
from gainer_ns.preparation.config import PreparationConfig, PreparationError


@dataclass
class Prepare(PreparationConfig):
    """Prepare a photo to be lifted to 3D: find a mask, depth and focal length, and keep them in a folder.

    The folder gets mask.png (with clicks, a box or a mask), depth.npy, camera.json, and preview.jpg to look at. Masks
    of clicks or a box get a soft edge, and cutout.png holds what they cut out, in colours without the background's.
    ns-train gainer-lift --data PHOTO finds the folder beside the photo; a folder elsewhere is named with --data DIR.
    """

    image: tyro.conf.Positional[Path] = field(kw_only=True)
    """The photo."""
    output: Path | None = None
    """Folder to write; PHOTO_lift beside the photo when not given."""
    mask_path: Annotated[Path | None, tyro.conf.arg(aliases=["--mask"])] = None
    """Picture of what is lifted, instead of clicks or a box: its alpha if it has some, a label, or white on black. As
    large as the photo."""
    matte: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Give the mask that --mask names a soft edge, estimated from the photo, as masks of clicks or a box get one."""
    hard_edge: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Keep masks of clicks or a box as they were made."""
    no_depth: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Write mask.png (and cutout.png) alone, for --pipeline.datamanager.mask-path."""
    device: str | None = None
    """Where networks run, for example cpu or cuda; cuda where there is one when not given."""

    def run(self) -> None:
        """Read, compute and write."""
        from gainer_ns.cli.terminal import say, status

        if self.no_depth and (self.depth_path is not None or self.focal_length is not None):
            raise GainerError("--no-depth: goes with neither --depth-path nor --focal-length; leave out one of them")
        try:
            self.check_matte()
            if self.matte:
                from gainer_ns.preparation.matting import check_pymatting

                check_pymatting()
        except PreparationError as error:
            raise error.with_options("--") from error
        if self.output is not None:
            check_folder_place(self.output)
        check_picture(self.image)
        for named in (self.mask_path, self.depth_path):
            if named is not None:
                check_input_exists(named)
        with status("Reading the photo"):
            from gainer_ns.devices import best_device
            from gainer_ns.io.image_io import read_picture
            from gainer_ns.preparation.preparation import prepare, prepare_mask
            from gainer_ns.preparation.prepared_folder import folder_for

            picture = read_picture(self.image)
        folder = self.output or folder_for(self.image)
        device = self.device or best_device()
        source, where = self.image, ""
        try:
            if self.no_depth:
                with status("Making the mask"):
                    prepare_mask(self.image, picture, self, folder=folder, device=device)
                said = [f"Wrote {folder / 'mask.png'}"]
                where = f" --pipeline.datamanager.mask-path {quote(str(folder / 'mask.png'))}"
            else:
                with status("Preparing (minutes, where a network runs without a GPU)"):
                    prepared = prepare(self.image, picture, self, folder=folder, device=device, fresh=True)
                written = "depth.npy, camera.json and preview.jpg"
                written = written if prepared.mask is None else f"mask.png, {written}"
                said = [*prepared.summary(), f"Wrote {folder}: {written}"]
                source = self.image if self.output is None else folder
        except PreparationError as error:
            raise error.with_options("--") from error
        if (folder / "cutout.png").is_file():
            said.append(f"What it cuts out: {folder / 'cutout.png'}")
        for line in (*said, f"Next: ns-train gainer-lift --data {quote(str(source))}{where}"):
            say(line)
