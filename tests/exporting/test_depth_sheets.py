"""Lifted photos as sheets and as textured meshes, read back by other programs' libraries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from gainer_ns.exporting.depth_sheets import MAX_CELL_DOUBLINGS, DepthSheet, depth_sheets
from gainer_ns.exporting.mesh import write_mesh
from gainer_ns.lifting.joined import PhotoView
from gainer_ns.lifting.lift import lift_photo
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import CameraView
from gainer_ns.rendering.plane import BakedPicture

BOX = (16, 12, 32, 24)
"""A nearer square of the photo: left, top, right, bottom."""


@pytest.fixture(scope="module")
def scene() -> LiftedScene:
    """A photo of 48 x 36 pixels of a square before a wall, twice as far."""
    y, x = np.mgrid[:36, :48]
    colours = np.stack([40 + 4 * x, 60 + 4 * y, 90 + x + y], axis=2).astype(np.uint8)
    depth = np.full((36, 48), 4.0, np.float32)
    colours[BOX[1] : BOX[3], BOX[0] : BOX[2]] = [230, 40, 30]
    depth[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 2.0
    options: dict[str, Any] = {"background": "none", "behind_edges": True, "downscale": 1, "device": "cpu"}
    return lift_photo(colours, depth, None, depth_kind="depth", focal_length=60.0, **options)[0]


@pytest.fixture(scope="module")
def sheets(scene: LiftedScene) -> list[DepthSheet]:
    return depth_sheets(scene)


def test_of_several_photos_that_in_their_midst_is_shown(scene: LiftedScene, sheets: list[DepthSheet]) -> None:
    confidence = torch.zeros(36, 48, dtype=torch.uint8)
    pose = CameraView(scene.camera).pose
    views = tuple(PhotoView(scene.camera, pose + shift, confidence) for shift in (0.5, 0.0))
    first = tuple(replace(layer, gaussians=layer.gaussians) for layer in scene.layers)
    hidden = [None if layer.hidden_of is None else layer.hidden_of + len(first) for layer in scene.layers]
    second = tuple(replace(layer, view=1, hidden_of=of) for layer, of in zip(scene.layers, hidden, strict=True))
    several = depth_sheets(replace(scene, layers=first + second, views=views))
    assert [(sheet.corner, len(sheet.triangles())) for sheet in several] == [
        (sheet.corner, len(sheet.triangles())) for sheet in sheets
    ]


def test_depth_edges_are_cut(sheets: list[DepthSheet]) -> None:
    for sheet in sheets:
        corners = sheet.inverse_depth.ravel()[sheet.triangles()]
        assert (corners > 0).all()
        assert (np.ptp(corners, axis=1) < 0.03 * corners.max(axis=1)).all(), "no triangle joins the square to the wall"


def test_every_pixel_of_the_photo_is_covered(scene: LiftedScene, sheets: list[DepthSheet]) -> None:
    rows, columns = scene.camera.height - 1, scene.camera.width - 1
    seen = np.zeros((rows, columns), dtype=bool)
    for sheet in sheets:
        for code in range(1, 6 + MAX_CELL_DOUBLINGS):
            side = 2 ** (code - 5) if code > 5 else 1
            for row, column in np.argwhere(sheet.cells == code):
                seen[row : row + side, column : column + side] = True
    assert seen.all()
    assert sum(len(sheet.triangles()) for sheet in sheets) < 2 * rows * columns, "what is flat takes fewer triangles"


def test_no_corner_lies_on_the_side_of_a_larger_triangle(sheets: list[DepthSheet]) -> None:
    """There a crack would open, as soon as the two are seen from elsewhere."""
    longest = 0
    for sheet in sheets:
        triangles = sheet.triangles()
        used = sheet.stored
        for first, second in ((0, 1), (1, 2), (2, 0)):
            ends = np.stack(np.divmod(triangles[:, [first, second]], sheet.rgba.shape[1]), axis=2)
            for one, other in ends:
                pieces = np.gcd(*np.abs(other - one))
                between = one + (other - one) // pieces * np.arange(1, pieces)[:, None]
                assert not used[between[:, 0], between[:, 1]].any()
                longest = max(longest, pieces)
    assert longest > 2, "the wall is flat, and takes larger squares"


def test_triangles_look_at_the_camera(scene: LiftedScene, sheets: list[DepthSheet]) -> None:
    for sheet in sheets:
        y, x = np.divmod(sheet.triangles(), sheet.rgba.shape[1])
        areas = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
        assert (areas < 0).all(), "counter-clockwise, as y points down in pixels"


def test_the_mesh_shows_the_photo(scene: LiftedScene, tmp_path: Path) -> None:
    count = write_mesh(tmp_path / "mesh.glb", scene)
    read = trimesh.load(tmp_path / "mesh.glb")
    meshes = list(read.geometry.values())
    assert sum(len(mesh.faces) for mesh in meshes) == count
    drawn, _ = scene.raster()
    own = max(meshes, key=lambda mesh: mesh.area)
    camera_points = torch.from_numpy(own.vertices - [0, 0, 1])
    pixel, depth = scene.camera.project(camera_points)
    np.testing.assert_allclose(pixel % 1, 0.5, atol=1e-3)
    near, far = float(depth.min()), float(depth.max())
    assert far / near == pytest.approx(2, rel=0.02)
    texture = np.asarray(own.visual.material.baseColorTexture)
    at = own.visual.uv * [1, 1] * [texture.shape[1], texture.shape[0]]
    at[:, 1] = texture.shape[0] - at[:, 1]  # trimesh's texture coordinates point up
    np.testing.assert_allclose(at, pixel.numpy(), atol=1e-2)
    shown = np.abs(texture[..., :3] / 255.0 - drawn.numpy())[texture[..., 3] == 255]
    assert np.quantile(shown, 0.95) < 0.02


def test_a_flat_picture_is_a_rectangle(picture: Callable[..., BakedPicture], tmp_path: Path) -> None:
    made = picture(24, 16, cut_out=True)
    assert write_mesh(tmp_path / "flat.glb", made) == 2
    (mesh,) = trimesh.load(tmp_path / "flat.glb").geometry.values()
    np.testing.assert_allclose(mesh.bounds, [[-0.5, -1 / 3, 0], [0.5, 1 / 3, 0]], atol=1e-6)
    rgb, alpha = made.raster()
    levels = (torch.cat([rgb, alpha], dim=2) * 255).round().numpy()
    np.testing.assert_array_equal(np.asarray(mesh.visual.material.baseColorTexture), levels)
    assert mesh.visual.material.alphaMode == "BLEND"


def test_what_goes_on_beyond_the_frame_lies_beyond_it(scene: LiftedScene, sheets: list[DepthSheet]) -> None:
    sheet = max((sheet for sheet in sheets if sheet.corner != (0, 0)), key=lambda sheet: sheet.stored.sum())
    left, top = sheet.corner
    assert left < 0 and top < 0 and sheet.rgba.shape[:2] == (36 - 2 * top, 48 - 2 * left)
    assert sheet.inverse_depth[0, 0] == pytest.approx(1 / 4 * scene.unit, rel=0.01)
    assert not sheet.cells[5 - top : 31 - top, 5 - left : 43 - left].any(), "within the frame the photo shows it"
