"""Gaussians as points and as triangles, each known by its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.io.colour_profiles import ColourProfile, converted
from gainer_ns.io.meshes import ID_PROPERTY, write_ply
from gainer_ns.memory import check_free
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture

BYTES_PER_POINT, BYTES_PER_TRIANGLE = 75, 320
"""Memory for a Gaussian until it is in a file."""
MIN_HEIGHT_RATIO = 1e-3
"""The least height of a triangle over its first side, relative to that side, so that none is degenerate."""


class PlainGaussians(NamedTuple):
    """Gaussians as other programs know them, in the order of the picture.

    Attributes:
        means: [n, 2], in plane units; of a lifted photo [n, 3], in world units.
        covariances: [n, 2, 2] or [n, 3, 3].
        colours: [n, 3], decoded at the means, in [0, 1].
        alphas: [n], as drawn at the means, in [0, 1].
        normals: [n, 3], towards the camera that took a lifted photo; None of a picture, which faces z.
        numbers: [n], by which Gaussians are known; None where all are there, in order.
    """

    means: Float[Tensor, "n d"]
    covariances: Float[Tensor, "n d d"]
    colours: Float[Tensor, "n 3"]
    alphas: Float[Tensor, " n"]
    normals: Float[Tensor, "n 3"] | None = None
    numbers: Int[Tensor, " n"] | None = None


def plain_gaussians(picture: BakedPicture) -> PlainGaussians:
    """Return all Gaussians of a picture of one layer, those of the transparent margin too, on the CPU.

    Of an edited one they are where they have gone, in the colours that are to be seen there.

    Raises:
        GainerError: If the picture has several layers.
    """
    if len(picture.layers) != 1:
        raise GainerError(f"the picture has {len(picture.layers)} layers, and the file holds one; export each alone")
    (layer,) = picture.layers
    if isinstance(layer, Layer):
        layer = replace(layer, half_extent=None)  # Gaussians beyond the frame have colours too
    gaussians = layer.gaussians
    drawn = layer.at(gaussians.means)
    covariances = gaussians.covariances.expand(len(gaussians), 2, 2)
    colours = as_srgb(drawn.rgb.clamp(0, 1), picture.profile)
    parts = gaussians.means, covariances, colours, drawn.alpha[:, 0]
    return PlainGaussians(*(part.detach().cpu() for part in parts))


def as_srgb(colours: Float[Tensor, "n 3"], profile: ColourProfile | None) -> Float[Tensor, "n 3"]:
    """Convert colours to what other programs read, which know no profiles of points."""
    own = colours.detach().cpu().numpy()[None]
    return torch.from_numpy(converted(own, profile, None)[0])


def triangle_corners(means: Float[Tensor, "n 2"], covariances: Float[Tensor, "n 2 2"]) -> Float[Tensor, "n 3 2"]:
    """Return triangles that stand for Gaussians: ``mu``, ``mu + a`` and ``mu + b``, where ``[a b] [a b]^T = Sigma``.

    ``[a b]`` is the lower Cholesky factor, so the corners run counter-clockwise. :func:`gaussians_of_triangles` leads
    back, also after an affine map. (The idea of flat Gaussians as triangle soups is that of GaMeS, arXiv:2402.01459.)
    """
    means, covariances = means.double(), covariances.double()
    a_x = covariances[:, 0, 0].clamp(min=1e-24).sqrt()
    a_y = covariances[:, 1, 0] / a_x
    b_y = (covariances[:, 1, 1] - a_y.square()).clamp(min=0).sqrt()
    b_y = torch.maximum(b_y, MIN_HEIGHT_RATIO * torch.hypot(a_x, a_y))
    a, b = torch.stack([a_x, a_y], dim=-1), torch.stack([torch.zeros_like(b_y), b_y], dim=-1)
    return torch.stack([means, means + a, means + b], dim=1)


def gaussians_of_triangles(corners: Float[Tensor, "n 3 2"]) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2 2"]]:
    """Return the means and covariances that triangles stand for: the inverse of :func:`triangle_corners`."""
    sides = (corners[:, 1:] - corners[:, :1]).transpose(1, 2)
    return corners[:, 0], sides @ sides.transpose(1, 2)


def write_points(path: Path, gaussians: PlainGaussians, comments: Sequence[str] = ()) -> None:
    """Write the means as a point cloud with numbers, colours and, where there are some, normals (PLY).

    Raises:
        GainerError: If the file cannot be written.
    """
    check_written(len(gaussians.means), BYTES_PER_POINT)
    write_ply(path, _vertices(gaussians, gaussians.means[:, None]), comments=comments)


def write_triangles(path: Path, gaussians: PlainGaussians) -> None:
    """Write a triangle for each Gaussian, three vertices each, in their order (PLY): see :func:`triangle_corners`.

    Raises:
        GainerError: If the file cannot be written.
    """
    check_written(len(gaussians.means), BYTES_PER_TRIANGLE)
    corners = triangle_corners(gaussians.means, gaussians.covariances)
    faces = np.arange(3 * len(corners)).reshape(-1, 3)
    write_ply(path, _vertices(gaussians, corners), faces)


def check_written(count: int, bytes_each: int) -> None:
    """Refuse more Gaussians than there is memory to write.

    Raises:
        GainerError: If there are.
    """
    check_free(count * bytes_each, f"writing {count:,} Gaussians", "close other programs")


def _vertices(gaussians: PlainGaussians, places: Float[Tensor, "n c d"]) -> dict[str, np.ndarray]:
    """Return the properties of ``c`` vertices for each Gaussian."""
    count, corners, dimensions = places.shape
    points = torch.nn.functional.pad(places.reshape(-1, dimensions).float(), (0, 3 - dimensions))
    columns = dict(zip(("x", "y", "z"), points.numpy().T, strict=True))
    if gaussians.normals is not None:
        normals = gaussians.normals.float().repeat_interleave(corners, dim=0).numpy()
        columns |= dict(zip(("nx", "ny", "nz"), normals.T, strict=True))
    colours = torch.cat([gaussians.colours, gaussians.alphas[:, None]], dim=1)
    levels = (colours * 255).round().to(torch.uint8).repeat_interleave(corners, dim=0).numpy()
    columns |= dict(zip(("red", "green", "blue", "alpha"), levels.T, strict=True))
    numbers = np.arange(count) if gaussians.numbers is None else gaussians.numbers.numpy()
    return columns | {ID_PROPERTY: np.repeat(numbers.astype(np.int32), corners)}
