"""What a library call makes of an edit: pictures read through the inverse of its map, or drawn as a mesh through it.

All take and return colours times alpha, with alpha: resampled separately, colours of what is clear would show at edges.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
import warp as wp
from jaxtyping import Bool, Float, Int

from gainer_bench.known_edits import Points2d
from gainer_bench.mesh_kernels import draw_mesh_kernel
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.spline import CubicSpline

Premultiplied = Float[np.ndarray, "h w 4"]

MESH_SAMPLES = 4
"""Samples of a mesh along each side of an output pixel."""
_NOWHERE_PX = -1e4


def premultiplied(
    colours: Float[np.ndarray, "h w 3"], opacity: Float[np.ndarray, "h w"] | None = None
) -> Float[np.ndarray, "h w 4"]:
    """Return colours times alpha, and alpha, as float32."""
    alpha = np.ones(colours.shape[:2]) if opacity is None else opacity
    return np.concatenate([colours * alpha[..., None], alpha[..., None]], axis=-1).astype(np.float32)


def remapped(source: Premultiplied, places: Points2d, interpolation: int) -> Premultiplied:
    """Read a picture by ``cv2.remap``.

    Args:
        source: The picture.
        places: Where in it each output pixel is read, in px; nan for nowhere.
        interpolation: OpenCV's number of it.
    """
    read = np.nan_to_num(places - 0.5, nan=_NOWHERE_PX).astype(np.float32)
    return cv2.remap(source, read[..., 0], read[..., 1], interpolation, borderMode=cv2.BORDER_CONSTANT)


def splined(source: Premultiplied) -> Callable[[Points2d], Premultiplied]:
    """Return what reads a picture by ``scipy.ndimage.map_coordinates``, whose prefilter is computed once."""
    spline, size = CubicSpline(source), np.array(source.shape[1::-1])

    def read(places: Points2d) -> Premultiplied:
        there = ((places >= 0) & (places <= size)).all(axis=-1)  # nan is nowhere
        found = np.zeros((*places.shape[:-1], 4), np.float32)
        found[there] = spline.at(places[there])
        return found

    return read


def lattice(width: int, height: int) -> Float[np.ndarray, "rows columns 2"]:
    """Return the corners of all pixels, in px: the vertices of a mesh with a square a pixel."""
    x, y = np.meshgrid(np.arange(width + 1.0), np.arange(height + 1.0))
    return np.stack([x, y], axis=-1)


def meshed(
    source: Premultiplied,
    corners: Float[np.ndarray, "rows columns 2"],
    size: tuple[int, int],
    *,
    below: Premultiplied | None = None,
    depth: Float[np.ndarray, "h w"] | None = None,
    kept: Bool[np.ndarray, "h w"] | None = None,
    samples: int = MESH_SAMPLES,
) -> Premultiplied:
    """Draw a picture as a textured mesh, a square of two triangles a pixel, in painter's order, and average samples.

    Args:
        source: The picture.
        corners: Where the corners of its pixels go, in px of the output.
        size: Width and height of the output.
        below: What lies below the mesh, ``samples`` times as large as the output; it is drawn upon. None for nothing.
        depth: Of each pixel's square: those of larger depth are drawn first; None for row by row.
        kept: Which squares are drawn; None for all.
        samples: Along each side of an output pixel.
    """
    canvas = layered(source, corners, size, below=below, depth=depth, kept=kept, samples=samples)
    return cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)


def layered(
    source: Premultiplied,
    corners: Float[np.ndarray, "rows columns 2"],
    size: tuple[int, int],
    *,
    below: Premultiplied | None = None,
    depth: Float[np.ndarray, "h w"] | None = None,
    kept: Bool[np.ndarray, "h w"] | None = None,
    samples: int = MESH_SAMPLES,
) -> Premultiplied:
    """Draw the same, before samples are averaged; arguments as of :func:`meshed`."""
    canvas = np.zeros((size[1] * samples, size[0] * samples, 4), np.float32) if below is None else below
    height, width = source.shape[:2]
    order = np.arange(height * width) if depth is None else np.argsort(-depth.reshape(-1), kind="stable")
    if kept is not None:
        order = order[kept.reshape(-1)[order]]
    triangles = torch.from_numpy(_triangles(order, width))
    places, texture = torch.from_numpy(lattice(width, height)), torch.from_numpy(np.ascontiguousarray(source))
    kernels.start_warp()
    inputs = [
        Typed(triangles, wp.vec3i),
        Typed(torch.from_numpy(corners * float(samples)).reshape(-1, 2), wp.vec2d),
        Typed(places.reshape(-1, 2), wp.vec2d),
        Typed(texture, wp.vec4),
        samples,
        Typed(torch.from_numpy(canvas), wp.vec4),
    ]
    kernels.launch(draw_mesh_kernel(), 1, inputs, texture.device)
    return canvas


def _triangles(squares: Int[np.ndarray, " s"], width: int) -> Int[np.ndarray, "t 3"]:
    """Return two triangles of each square, by the numbers of its corners."""
    first = squares // width * (width + 1) + squares % width
    corners = np.stack([first, first + 1, first + width + 1, first + width + 2], axis=-1)
    return corners[:, [[0, 1, 2], [2, 1, 3]]].reshape(-1, 3).astype(np.int32)
