"""What a user can say about the preparation of a photo. Light to import: ``gainer prepare --help`` reads it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from gainer_ns.errors import GainerError
from gainer_ns.io.depth_kinds import MAX_RELATIVE_DEPTH, DepthKind
from gainer_ns.io.matte_widths import MAX_MATTE_PX
from gainer_ns.options import MANY_POINTS, PointList, flattened_groups

if TYPE_CHECKING:
    pass

DEPTH_PRO = "apple/DepthPro-hf"
"""Depth-Pro's id on the hub."""


PromptBox = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in pixels, x0 < x1 and y0 < y1."""

Normalisation = Literal["imagenet", "centred", "symmetric"]
"""How a network sees colours: less ImageNet's mean, by its deviation; less 0.5; or from -1 to 1."""

Key = dict[str, Any]
"""All that a result was made of, in a form that JSON keeps: a result is made anew where its key differs."""


class PreparationError(GainerError):
    """An error that an option would mend; the commands add how they spell it.

    Args:
        message: What is wrong, in words that name no command's options.
        options: The options, without the prefix that a command gives them, such as ``depth-path FILE``.
    """

    def __init__(self, message: str, *options: str) -> None:
        super().__init__(message)
        self.options = options

    def with_options(self, prefix: str) -> GainerError:
        """Return the error with its options named, each behind a prefix such as ``--``."""
        named = ", ".join(prefix + option for option in self.options)
        return GainerError(f"{self} ({named})" if named else str(self))


@dataclass
class DepthConfig:
    """How depth is estimated where no file gives it."""

    model: str = DEPTH_PRO
    """Depth model of transformers: a folder, or a model's id on the Hugging Face hub. Apple licenses Depth-Pro's
    weights for research only; other models have licences of their own."""
    download: tyro.conf.FlagConversionOff[bool] = False
    """Whether the model may be fetched from the hub when it is not on this machine (Depth-Pro: about 1.9 GB)."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Numbers that the model computes with. auto: float32 where memory suffices (Depth-Pro: 8.6 GB), otherwise half of
    that in bfloat16, on CUDA in float16."""
    output: Literal["auto", "depth", "inverse"] = "auto"
    """What the model answers with: depth in metres, or relative inverse depth. auto: as its kind is known to."""
    kind: DepthKind | None = None
    """What a depth file holds: depth; inverse (relative inverse depth, as of MiDaS and Depth Anything); or disparity
    (of two cameras, 0 is unknown). Depth when not given, with a warning where it looks like another."""
    far: float = MAX_RELATIVE_DEPTH
    """Where relative inverse depth ends: it is stretched so that its 99th percentile lies at depth 1 and its 1st at
    this depth, beyond which nothing lies. Metric models do not need it."""

    @property
    def key(self) -> Key:
        """What estimated depth is made of."""
        return {"model": self.model, "output": self.output, "far": self.far}

    def check(self) -> None:
        """Refuse a far end that is not beyond the near one.

        Raises:
            GainerError: It is such.
        """
        if not 1 < self.far < math.inf:
            raise GainerError(f"depth.far: {self.far:g} is not beyond the near depth, 1; give one above 1, such as 5")


@dataclass
class SegmentationConfig:
    """What makes a mask."""

    model: str | None = None
    """Segment Anything model: a .pth checkpoint of Meta's segment-anything (ViT-B, -L, -H), or a folder or hub id of
    transformers' SAM, SAM 2 or SAM-HQ; or an .onnx file of a network that finds salient objects or mattes (U2-Net,
    IS-Net, BiRefNet, RMBG), which needs no click. None: OpenCV's GrabCut, which needs no model, and tells things by
    colour."""
    download: tyro.conf.FlagConversionOff[bool] = False
    """Whether a model that is named by its hub id may be fetched when it is not on this machine."""
    normalisation: Normalisation = "imagenet"
    """Colours that the network of an .onnx file was trained on: imagenet (U2-Net, BiRefNet), centred (IS-Net, RMBG-1.4)
    or symmetric (MODNet)."""

    @property
    def finds_objects(self) -> bool:
        """Whether it makes masks of pictures without a click or a box."""
        return self.model is not None and self.model.lower().endswith(".onnx")


@dataclass
class PreparationConfig:
    """Where a photo's mask, depth and focal length come from."""

    mask_path: Path | None = None
    """Picture of what is lifted: its alpha if it has some, a label, or white on black. As large as the photo."""
    mask_label: int | Literal["luma", "alpha"] | None = None
    """Which label of the mask is lifted, where it holds several; luma or alpha, where it could be either."""
    depth_path: Path | None = None
    """Depth of the photo: .npy, .npz, .pfm, .exr, .tif, or a 16-bit .png in millimetres. As large as the photo."""
    depth_scale: float | None = None
    """Metres (or other units) that a step of the depth file stands for; a 16-bit file's are millimetres."""
    focal_length: float | None = None
    """Focal length in pixels of the photo as stored; otherwise kept, estimated, from EXIF, or assumed."""
    click: Annotated[PointList, MANY_POINTS] = ()
    """X Y of points on what is lifted, in pixels of the photo, x right, y down; several: X Y X Y ..."""
    exclude: Annotated[PointList, MANY_POINTS] = ()
    """X Y of points on what is not lifted."""
    box: PromptBox | None = None
    """X0 Y0 X1 Y1 around what is lifted, in pixels of the photo."""
    depth: DepthConfig = field(default_factory=DepthConfig)
    """What estimates depth where no file and no prepared folder has it."""
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    """What makes a mask of clicks or a box."""
    matte: tyro.conf.FlagConversionOff[bool] = False
    """Whether a mask that a file gives gets a soft edge, estimated from the photo, as masks of clicks or a box do."""
    hard_edge: tyro.conf.FlagConversionOff[bool] = False
    """Whether masks of clicks or a box are kept as they were made."""
    matte_width: int | None = None
    """How far to either side of the mask's edge the soft edge may reach, in pixels; chosen by the photo's size when
    not given."""

    def __post_init__(self) -> None:
        self.click, self.exclude = flattened_groups(self.click), flattened_groups(self.exclude)

    def check_matte(self) -> None:
        """Refuse what is said of soft edges where there is no mask, or no room for them.

        Raises:
            PreparationError: It is such.
        """
        says = self.mask_path is not None or self.mask_key is not None
        if (self.matte or self.matte_width is not None) and not says:
            raise PreparationError("matte: there is no mask; add one, clicks or a box", "mask-path FILE", "click X Y")
        if self.hard_edge and (self.matte or self.matte_width is not None):
            raise PreparationError("hard edge: goes with no matte; leave out one of them", "hard-edge", "matte")
        if self.matte_width is not None and not 1 <= self.matte_width <= MAX_MATTE_PX:
            raise PreparationError(f"matte width {self.matte_width}: is from 1 to {MAX_MATTE_PX} pixels", "matte-width")

    @property
    def mask_key(self) -> Key | None:
        """What a mask that is not read from a file is made of; None where none is asked for."""
        if not (self.click or self.exclude or self.box or self.segmentation.finds_objects):
            return None
        edge: Key = {} if self.matte_width is None else {"matte_width": self.matte_width}
        return {
            **({"hard_edge": True} if self.hard_edge else edge),
            "model": self.segmentation.model,
            **({"normalisation": self.segmentation.normalisation} if self.segmentation.finds_objects else {}),
            "click": [[float(value) for value in point] for point in self.click],
            "exclude": [[float(value) for value in point] for point in self.exclude],
            "box": None if self.box is None else [float(value) for value in self.box],
        }
