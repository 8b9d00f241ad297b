"""The nodes: each calls one function of gainer_ns."""

from __future__ import annotations

from typing import Any, ClassVar

import yaml
from torch import Tensor

import gainer_ns as gn

from .arrays import depth_array, image_and_mask, picture_array

PICTURE = "GAINER_PICTURE"
"""The name, in ComfyUI, of what joins the nodes: a :class:`gainer_ns.Picture`."""
_FRAMES = ("IMAGE", "MASK")
_PATH = ("STRING", {"default": "picture.safetensors"})
_BEND = "edits:\n  - bend: {degrees: 40, axis: [[50%, 100%], [50%, 0%]]}\n"
_SWAY = """edits:
  - bend: {degrees: 20, axis: [[50%, 100%], [50%, 0%]]}
    keyframes: {0: 0, 0.5: 1, 1: 0}
frames: 24
"""
_FALL = """bodies:
  - {material: soft}
colliders:
  - floor: {}
duration: 1.0
"""


def words_of(text: str, what: str) -> Any:
    """Return what a node's YAML text says.

    Args:
        text: A script or a scene; an edit or a list of edits is a script, too.
        what: What it should be, for messages.

    Raises:
        GainerError: It is no YAML, or only a word.
    """
    try:
        words = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise gn.GainerError(f"the {what} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(words, dict | list):
        raise gn.GainerError(f"the {what} must hold words and values, such as edits: [{{rotate: {{degrees: 20}}}}]")
    return words


class _Node:
    """What all nodes share; ComfyUI asks the class for these names."""

    CATEGORY = "GaINeR"
    FUNCTION = "run"
    RETURN_TYPES: tuple[str, ...] = (PICTURE,)
    INPUTS: ClassVar[dict[str, Any]] = {}
    OPTIONAL: ClassVar[dict[str, Any]] = {}

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return what goes in, by the names of the parameters of ``run``."""
        return {"required": cls.INPUTS, "optional": cls.OPTIONAL}


class FitPicture(_Node):
    """A picture of Gaussians, fitted to an image and, where it is clear in part, its mask."""

    INPUTS: ClassVar = {"image": ("IMAGE",), "method": (["gainer", "gainer-compact"],)}
    OPTIONAL: ClassVar = {"mask": ("MASK",)}

    def run(self, image: Tensor, method: str, mask: Tensor | None = None) -> tuple[gn.Picture]:
        return (gn.fit(picture_array(image, mask), method=method),)


class LiftPhoto(_Node):
    """A photo lifted into space by its depth: ``inverse`` is what MiDaS and Depth Anything draw, near is bright."""

    INPUTS: ClassVar = {
        "image": ("IMAGE",),
        "depth": ("IMAGE",),
        "depth_kind": (["inverse", "depth", "disparity"],),
    }
    OPTIONAL: ClassVar = {"mask": ("MASK",)}

    def run(self, image: Tensor, depth: Tensor, depth_kind: str, mask: Tensor | None = None) -> tuple[gn.Picture]:
        return (gn.lift(picture_array(image, mask), depth=depth_array(depth), depth_kind=depth_kind),)


class LoadPicture(_Node):
    """A picture that was kept: a .safetensors file, or the config.yml of a run of ns-train."""

    INPUTS: ClassVar = {"path": _PATH}

    def run(self, path: str) -> tuple[gn.Picture]:
        return (gn.load(path),)


class SavePicture(_Node):
    """Keeps a picture as a .safetensors file."""

    OUTPUT_NODE = True
    RETURN_TYPES = ()
    INPUTS: ClassVar = {"picture": (PICTURE,), "path": _PATH}

    def run(self, picture: gn.Picture, path: str) -> tuple[()]:
        picture.save(path)
        return ()


class EditPicture(_Node):
    """A picture after an edit script."""

    INPUTS: ClassVar = {"picture": (PICTURE,), "script": ("STRING", {"multiline": True, "default": _BEND})}

    def run(self, picture: gn.Picture, script: str) -> tuple[gn.Picture]:
        return (picture.edit(words_of(script, "script")),)


class RenderPicture(_Node):
    """A picture as pixels, at any size."""

    RETURN_TYPES = _FRAMES
    INPUTS: ClassVar = {"picture": (PICTURE,), "scale": ("FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0})}

    def run(self, picture: gn.Picture, scale: float) -> tuple[Tensor, Tensor]:
        return image_and_mask([picture.render(scale=scale, dtype="float32")])


class FilmPicture(_Node):
    """The frames of an edit script with ``frames`` or ``seconds``, of flat pictures and of lifted photos."""

    RETURN_TYPES = _FRAMES
    INPUTS: ClassVar = {"picture": (PICTURE,), "script": ("STRING", {"multiline": True, "default": _SWAY})}

    def run(self, picture: gn.Picture, script: str) -> tuple[Tensor, Tensor]:
        return image_and_mask(picture.frames(words_of(script, "script")))


class SimulatePicture(_Node):
    """The frames of a physics scene."""

    RETURN_TYPES = _FRAMES
    INPUTS: ClassVar = {"picture": (PICTURE,), "scene": ("STRING", {"multiline": True, "default": _FALL})}

    def run(self, picture: gn.Picture, scene: str) -> tuple[Tensor, Tensor]:
        return image_and_mask(picture.simulate(words_of(scene, "scene")))


NODE_CLASS_MAPPINGS = {
    f"Gainer{node.__name__}": node
    for node in (
        FitPicture,
        LiftPhoto,
        LoadPicture,
        SavePicture,
        EditPicture,
        RenderPicture,
        FilmPicture,
        SimulatePicture,
    )
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "GainerFitPicture": "GaINeR: fit",
    "GainerLiftPhoto": "GaINeR: lift a photo",
    "GainerLoadPicture": "GaINeR: load",
    "GainerSavePicture": "GaINeR: save",
    "GainerEditPicture": "GaINeR: edit",
    "GainerRenderPicture": "GaINeR: render",
    "GainerFilmPicture": "GaINeR: film",
    "GainerSimulatePicture": "GaINeR: simulate",
}
