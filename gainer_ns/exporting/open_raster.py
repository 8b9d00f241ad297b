"""Pictures as OpenRaster (.ora), which painting programs open with their layers: Krita, GIMP, MyPaint."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gainer_ns.exporting.mesh import srgb_pixels
from gainer_ns.io.files import whole_file
from gainer_ns.rendering.plane import BakedPicture

if TYPE_CHECKING:  # a flat picture is written without nerfstudio, which takes seconds to import
    from gainer_ns.lifting.scene import LiftedLayer, LiftedScene

_THUMBNAIL_SIDE = 256


def write_open_raster(path: Path, shown: BakedPicture | LiftedScene) -> int:
    """Write each layer as it is seen alone, within the frame, and return how many there are.

    The file is that of https://www.openraster.org/baseline/layer-stack-spec.html.

    Raises:
        GainerError: If the file cannot be written.
    """
    if isinstance(shown, BakedPicture):
        # From front to back, as the file lists them.
        alone = [(f"layer {number + 1}", replace(shown, layers=(layer,))) for number, layer in enumerate(shown.layers)]
        layers = alone[::-1]
    else:
        shown = shown.in_midst
        layers = [(_name(shown, layer), replace(shown, layers=(layer,))) for layer in shown.layers]
    size = {"w": str(shown.plane.width), "h": str(shown.plane.height)}
    root = ElementTree.Element("image", size, version="0.0.3")
    stack = ElementTree.SubElement(root, "stack")
    merged = srgb_pixels(shown)
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as folder:
        folder.writestr("mimetype", "image/openraster")  # first and as it is: by this the kind of file is known
        for number, (name, layer) in enumerate(layers):
            source = f"data/layer{number}.png"
            folder.writestr(source, _png(merged if len(layers) == 1 else srgb_pixels(layer)))
            ElementTree.SubElement(stack, "layer", name=name, src=source, x="0", y="0")
        small = Image.fromarray(merged)
        small.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
        folder.writestr("mergedimage.png", _png(merged))
        folder.writestr("Thumbnails/thumbnail.png", _png(np.asarray(small)))
        folder.writestr("stack.xml", ElementTree.tostring(root, "utf-8", xml_declaration=True))
    return len(layers)


def _name(scene: LiftedScene, layer: LiftedLayer) -> str:
    number = scene.shown_layers.index(layer) if layer.hidden_of is None else layer.hidden_of
    name = ("object" if len(scene.shown_layers) > 1 else "photo", "background")[number]
    return name if layer.hidden_of is None else f"made up around the {name}"


def _png(rgba: UInt8[np.ndarray, "h w 4"]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "PNG")
    return file.getvalue()
