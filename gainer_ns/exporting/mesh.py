"""Pictures as textured meshes in binary glTF (.glb): a lifted photo in space, or a flat picture as a sheet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image

from gainer_ns.exporting.gaussians import as_srgb, check_written
from gainer_ns.frames import CAMERA_DISTANCE
from gainer_ns.io.glb import GlbFile
from gainer_ns.rendering.plane import BakedPicture

if TYPE_CHECKING:  # a flat picture is written without nerfstudio, which takes seconds to import
    from gainer_ns.lifting.scene import LiftedScene

BYTES_PER_VERTEX = 400
"""Memory for a pixel of a sheet until it is in a file."""


def srgb_pixels(shown: BakedPicture | LiftedScene) -> UInt8[np.ndarray, "h w 4"]:
    """Return what is seen as pixels that other programs understand: sRGB, and opacity."""
    rgb, alpha = (values.cpu() for values in shown.raster())
    colours = as_srgb(rgb.view(-1, 3), shown.profile).view(rgb.shape)
    return (torch.cat([colours, alpha], dim=2) * 255).round().to(torch.uint8).numpy()


def write_mesh(path: Path, shown: BakedPicture | LiftedScene) -> int:
    """Write a flat picture as a rectangle, a lifted photo as its surfaces; return the number of triangles.

    Raises:
        GainerError: If the file cannot be written.
    """
    return _write_rectangle(path, shown) if isinstance(shown, BakedPicture) else _write_relief(path, shown)


def _write_rectangle(path: Path, picture: BakedPicture) -> int:
    """Write a flat picture in plane units."""
    x, y = picture.plane.half_extent
    vertices = np.array([[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0]])
    mesh = _MeshFile()
    corners = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    rgba = srgb_pixels(picture)
    mesh.add_sheet(vertices, corners, faces, rgba, {"alphaMode": "OPAQUE" if rgba[..., 3].min() == 255 else "BLEND"})
    mesh.write(path)
    return len(faces)


def _write_relief(path: Path, scene: LiftedScene) -> int:
    """Write a lifted photo as textured surfaces, cut at depth edges, in world units."""
    from gainer_ns.exporting.depth_sheets import depth_sheets

    check_written(sum(map(len, scene.layers)), BYTES_PER_VERTEX)
    mesh, count = _MeshFile(), 0
    for sheet in depth_sheets(scene):
        triangles = sheet.triangles()
        used, faces = np.unique(triangles, return_inverse=True)
        height, width = sheet.inverse_depth.shape
        places = np.stack([used % width, used // width], axis=1) + 0.5
        inverse_depth = torch.from_numpy(sheet.inverse_depth.ravel()[used])
        in_photo = torch.from_numpy(places + sheet.corner)
        points = scene.camera.unproject(in_photo, inverse_depth).numpy() + [0, 0, CAMERA_DISTANCE]
        solid = {"alphaMode": "MASK", "alphaCutoff": 0.5}
        mesh.add_sheet(points, places / [width, height], faces.reshape(-1, 3), sheet.rgba, solid)
        count += len(triangles)
    mesh.write(path)
    return count


class _MeshFile(GlbFile):
    """One mesh, of a primitive and a texture a sheet, shown in the colours of the texture whatever the light is."""

    def __init__(self) -> None:
        super().__init__()
        self._primitives: list[dict[str, Any]] = []
        self.tree |= {"nodes": [{"mesh": 0, "name": "picture"}], "meshes": [{"primitives": self._primitives}]}
        self.tree |= {"extensionsUsed": ["KHR_materials_unlit"], "samplers": [{"wrapS": 33071, "wrapT": 33071}]}
        self.tree |= {"materials": [], "textures": [], "images": []}

    def add_sheet(
        self,
        vertices: Float[np.ndarray, "v 3"],
        uv: Float[np.ndarray, "v 2"],
        faces: Int[np.ndarray, "f 3"],
        rgba: UInt8[np.ndarray, "h w 4"],
        opacity: dict[str, Any],
    ) -> None:
        """Add triangles and their texture, whose origin is the top left."""
        png = io.BytesIO()
        Image.fromarray(rgba).save(png, "PNG")
        number = len(self._primitives)
        self.tree["images"].append({"bufferView": self.add_bytes(png.getvalue()), "mimeType": "image/png"})
        self.tree["textures"].append({"source": number, "sampler": 0})
        texture = {"baseColorTexture": {"index": number}, "metallicFactor": 0.0}
        unlit = {"extensions": {"KHR_materials_unlit": {}}, "doubleSided": True}
        self.tree["materials"].append({"pbrMetallicRoughness": texture, **unlit, **opacity})
        attributes = {
            "POSITION": self.add(vertices.astype(np.float32), bounds=True),
            "TEXCOORD_0": self.add(uv.astype(np.float32)),
        }
        indices = self.add(faces.astype(np.uint32).ravel())
        self._primitives.append({"attributes": attributes, "indices": indices, "material": number})
