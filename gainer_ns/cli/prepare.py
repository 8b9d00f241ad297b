"""``gainer prepare``: mask, depth and focal length of a photo, computed once and kept beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from gainer_ns.errors import GainerError
from gainer_ns.io.inputs import check_input_exists, check_picture
from gainer_ns.io.outputs import check_folder_place
from gainer_ns.options import MANY_POINTS, PointList

if TYPE_CHECKING:
    from gainer_ns.preparation.preparation import PreparationConfig


@dataclass
class Prepare:
    """Prepare a photo to be lifted to 3D: find a mask, depth and focal length, and keep them in a folder.

    The folder gets mask.png (with clicks, a box or a mask), depth.npy, camera.json, and preview.jpg to look at.
    ns-train gainer-lift --data PHOTO finds the folder beside the photo; a folder elsewhere is named with --data DIR.
    """

    image: tyro.conf.Positional[Path]
    """The photo."""
    output: Path | None = None
    """Folder to write; PHOTO_lift beside the photo when not given."""
    click: Annotated[PointList, MANY_POINTS] = ()
    """X Y of points on what is to be lifted, in pixels of the photo, x right, y down; several: X Y X Y ..."""
    exclude: Annotated[PointList, MANY_POINTS] = ()
    """X Y of points that are not to be lifted, in the same way."""
    box: tuple[float, float, float, float] | None = None
    """X0 Y0 X1 Y1 around what is to be lifted, in pixels of the photo."""
    mask_path: Annotated[Path | None, tyro.conf.arg(aliases=["--mask"])] = None
    """Picture of what is to be lifted, instead of clicks or a box: its alpha if it has some, a label, or white on
    black."""
    mask_label: int | Literal["luma", "alpha"] | None = None
    """Which label of the mask is to be lifted, where it holds several; luma or alpha, where it could be either."""
    depth_path: Path | None = None
    """Depth of the photo, instead of estimating it: .npy, .npz, .pfm, .exr, .tif, or a 16-bit .png in millimetres."""
    depth_scale: float | None = None
    """Metres that a stored 1 of the depth file means."""
    depth_kind: Annotated[Literal["depth", "inverse", "disparity"] | None, tyro.conf.arg(name="depth.kind")] = None
    """What the depth file holds: depth; inverse (relative inverse depth, as of MiDaS and Depth Anything); or disparity
    (of two cameras, 0 is unknown). Depth when not given, with a warning where it looks like another."""
    no_depth: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Write mask.png alone, for --pipeline.datamanager.mask-path."""
    focal_length: float | None = None
    """Focal length in pixels of the photo; otherwise estimated with the depth, from EXIF, or assumed."""
    depth_model: Annotated[str | None, tyro.conf.arg(name="depth.model")] = None
    """Depth model of transformers, a folder or an id of the Hugging Face hub; apple/DepthPro-hf when not given, whose
    weights Apple licenses for research only."""
    depth_download: Annotated[tyro.conf.FlagConversionOff[bool], tyro.conf.arg(name="depth.download")] = False
    """Whether the depth model may be fetched from the hub (Depth-Pro: about 1.9 GB)."""
    depth_dtype: Annotated[Literal["auto", "float32", "bfloat16", "float16"], tyro.conf.arg(name="depth.dtype")] = (
        "auto"
    )
    """Numbers that the depth model computes with; auto: as memory allows."""
    depth_output: Annotated[Literal["auto", "depth", "inverse"], tyro.conf.arg(name="depth.output")] = "auto"
    """What the depth model answers with: depth in metres, or relative inverse depth; auto: as its kind is known to."""
    depth_far: Annotated[float, tyro.conf.arg(name="depth.far")] = 5.0
    """Farthest depth of models that only tell relative inverse depth; the nearest is 1."""
    segmentation_model: Annotated[str | None, tyro.conf.arg(name="segmentation.model")] = None
    """What makes a mask of clicks or a box: a .pth file of segment-anything, a folder or an id of transformers' SAM
    models; OpenCV's GrabCut when not given."""
    segmentation_download: Annotated[tyro.conf.FlagConversionOff[bool], tyro.conf.arg(name="segmentation.download")] = (
        False
    )
    """Whether the mask model may be fetched from the hub."""
    device: str | None = None
    """Where networks run, for example cpu or cuda; cuda where there is one when not given."""

    def run(self) -> None:
        """Reads, computes and writes."""
        from nerfstudio.utils.rich_utils import CONSOLE, status

        if self.no_depth and (self.depth_path is not None or self.focal_length is not None):
            raise GainerError("--no-depth: goes with neither --depth-path nor --focal-length; leave out one of them")
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
            from gainer_ns.preparation.prepared import folder_for

            picture = read_picture(self.image)
            config = self._config()
        folder = self.output or folder_for(self.image)
        device = self.device or best_device()
        try:
            if self.no_depth:
                with status("Making the mask"):
                    prepare_mask(self.image, picture, config, folder=folder, device=device)
                CONSOLE.print(f"Wrote {folder / 'mask.png'}", markup=False, soft_wrap=True)
                source, where = self.image, f" --pipeline.datamanager.mask-path {quote(str(folder / 'mask.png'))}"
            else:
                with status("Preparing (minutes, where a network runs without a GPU)"):
                    prepared = prepare(self.image, picture, config, folder=folder, device=device, fresh=True)
                for line in prepared.summary():
                    CONSOLE.print(line, markup=False, soft_wrap=True)
                written = "depth.npy, camera.json and preview.jpg"
                written = written if prepared.mask is None else f"mask.png, {written}"
                CONSOLE.print(f"Wrote {folder}: {written}", markup=False, soft_wrap=True)
                source, where = (self.image if self.output is None else folder), ""
        except GainerError as error:  # What training calls its options is named shorter here.
            raise GainerError(str(error).replace("--pipeline.datamanager.", "--")) from error
        CONSOLE.print(f"Next: ns-train gainer-lift --data {quote(str(source))}{where}", markup=False, soft_wrap=True)

    def _config(self) -> PreparationConfig:
        from gainer_ns.preparation.depth import DepthConfig
        from gainer_ns.preparation.preparation import PreparationConfig
        from gainer_ns.preparation.segmentation import SegmentationConfig

        return PreparationConfig(
            mask_path=self.mask_path,
            mask_label=self.mask_label,
            depth_path=self.depth_path,
            depth_scale=self.depth_scale,
            focal_length=self.focal_length,
            click=self.click,
            exclude=self.exclude,
            box=self.box,
            depth=DepthConfig(
                model=self.depth_model or DepthConfig.model,
                download=self.depth_download,
                dtype=self.depth_dtype,
                output=self.depth_output,
                kind=self.depth_kind,
                far=self.depth_far,
            ),
            segmentation=SegmentationConfig(model=self.segmentation_model, download=self.segmentation_download),
        )
