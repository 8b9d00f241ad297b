"""A picture as one HTML page that opens without a server and without a network: a lifted photo, or a flat sheet."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import zlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.exporting.gaussians import check_written
from gainer_ns.exporting.mesh import BYTES_PER_VERTEX, srgb_pixels
from gainer_ns.io.files import whole_file
from gainer_ns.rendering.plane import BakedPicture

if TYPE_CHECKING:  # a flat picture is written without nerfstudio, which takes seconds to import
    from gainer_ns.exporting.depth_sheets import DepthSheet
    from gainer_ns.lifting.scene import LiftedScene

MAX_STEP_PX = 0.1
"""By how much, in pixels, a step of stored depths moves anything between the straight view and the farthest."""
MAX_SIDE, MAX_LIFTED_PIXELS = 4096, 3_000_000
"""What browsers show smoothly, on telephones too: a larger flat picture is reduced, a larger lifted photo refused."""
WEBP_QUALITY = 92
_LEVELS = 2**16


def write_page(path: Path, shown: BakedPicture | LiftedScene) -> str:
    """Write the page, and return what it holds, in words.

    Raises:
        GainerError: If a lifted photo is too large for a browser, or the file cannot be written.
    """
    if isinstance(shown, BakedPicture):
        data, said = _flat(shown)
    else:
        data, said = _lifted(shown)
    template = files("gainer_ns.exporting").joinpath("page.html").read_text("utf8")
    # Base64 and JSON of numbers hold no "<", which alone could end the script that they stand in.
    page = template.replace("{{title}}", html.escape(path.stem)).replace("{{data}}", json.dumps(data))
    with whole_file(path) as file:
        file.write(page.encode("utf8"))
    return said


def _flat(picture: BakedPicture) -> tuple[dict[str, Any], str]:
    rgba = srgb_pixels(picture)
    image = Image.fromarray(rgba)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    width, height = image.size
    sheets = [{"colours": _webp(np.asarray(image))}]
    return {"width": width, "height": height, "sheets": sheets}, f"{width} x {height} pixels that pins bend"


def _lifted(scene: LiftedScene) -> tuple[dict[str, Any], str]:
    from gainer_ns.exporting.depth_sheets import MAX_ORBIT_DEGREES, depth_sheets

    camera = scene.camera
    if camera.width * camera.height > MAX_LIFTED_PIXELS:
        raise GainerError(
            f"a lifted photo of {camera.width} x {camera.height} pixels is too large for a page, which shows at most "
            f"{MAX_LIFTED_PIXELS // 10**6} megapixels; lift it with --pipeline.datamanager.dataparser.downscale-factor"
        )
    check_written(sum(map(len, scene.layers)), BYTES_PER_VERTEX)
    sheets = depth_sheets(scene)
    known = [sheet.inverse_depth[sheet.stored] for sheet in sheets]
    low, high = min(values.min() for values in known), max(values.max() for values in known)
    baseline = math.sin(math.radians(MAX_ORBIT_DEGREES))
    step = max(MAX_STEP_PX / (baseline * max(camera.focal_length)), float(high - low) / (_LEVELS - 1))
    depth = {"low": float(low), "step": step, "focal": camera.focal_length, "centre": camera.centre}
    stored = [
        {
            "colours": _webp(sheet.rgba),
            "depth": _packed(sheet, float(low), step),
            "corner": sheet.corner,
            "size": sheet.rgba.shape[1::-1],
        }
        for sheet in sheets
    ]
    data = {"width": camera.width, "height": camera.height, "sheets": stored}
    triangles = sum(len(sheet.triangles()) for sheet in sheets)
    return data | {"depth": depth | {"degrees": MAX_ORBIT_DEGREES}}, f"{triangles:,} triangles to look around"


def _webp(rgba: UInt8[np.ndarray, "h w 4"]) -> str:
    """Return a WebP as a data address; sharp opacity, colours nearly as they were."""
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "WEBP", quality=WEBP_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _packed(sheet: DepthSheet, low: float, step: float) -> str:
    """Return a sheet's inverse depths, each as its difference from the one before, and its cells, in base64 of zlib.

    Low bytes of all pixels, high bytes of all, then a byte for each cell. Pixels at which no triangle ends differ by 0.
    """
    levels: Float[np.ndarray, " p"] = np.rint((sheet.inverse_depth.ravel() - low) / step)
    shown = np.flatnonzero(sheet.stored)
    differences = np.zeros(levels.shape, dtype=np.uint16)
    differences[shown] = np.diff(levels[shown], prepend=0.0).astype(np.int64).astype(np.uint16)
    planes = np.concatenate([differences & 255, differences >> 8, sheet.cells.ravel()]).astype(np.uint8)
    return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode("ascii")
