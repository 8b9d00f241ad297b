"""Two simple ways to show a picture with depth from somewhere else, and which pixels are visible from both places.

Both are as good as their idea allows: nothing is left out that would make a lifted model look better beside them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from gainer_bench.views import Intrinsics, NovelViewMethod, Rendered, ViewPair, moved

DEPTH_EDGE_SHARE = 0.03
"""Relative difference in depth of neighbouring pixels from which on they belong to different surfaces."""
HIDING_DEPTH_SHARE = 0.01
"""Relative difference in depth from which on something hides what is behind it."""
BLENDED_DEPTH_SHARE = 0.02
"""Relative difference in depth up to which splats are blended; of others the nearer one is seen."""
NUDGE_PX = 0.002
"""In px: so far beside a pixel's centre its ray is cast, to four sides. Exactly through an edge it may slip between."""
MAX_FOOTPRINT_PX = 4.0
"""Width in px to which splats grow at most where a surface is seen larger, or less slanted, than in the source."""


class SurfaceHits(NamedTuple):
    """Where the pixels of a view meet a surface."""

    depth: Float[np.ndarray, "h w"]  # in the view, along its optical axis, [h, w]; inf where nothing is met
    place: Float[np.ndarray, "h w 2"]  # where in the source, in px, [h, w, 2]; 0 where nothing is met


def surface_hits(
    depth: Float[np.ndarray, "h w"],
    K_source: Intrinsics,
    K: Intrinsics,
    T_camera_from_source: Float[np.ndarray, "4 4"],
    width: int,
    height: int,
    *,
    edge: float = DEPTH_EDGE_SHARE,
    touching: Bool[np.ndarray, "h w"] | None = None,
) -> SurfaceHits:
    """Meet a view's rays with the triangles between the centres of neighbouring source pixels.

    Each square of four pixels is cut along the diagonal whose ends are closer in depth. The outermost pixels reach to
    the border of the picture. Triangles over a depth edge, or at a pixel without depth, are left out.

    Args:
        depth: Of the source; 0 where there is none.
        K_source: Camera of the source.
        K: Camera of the view.
        T_camera_from_source: Takes points from the source camera's frame to the view's.
        width: Of the view in px.
        height: Of the view in px.
        edge: Relative difference in depth that is a depth edge.
        touching: If given, only triangles are kept of which a corner is one of these pixels.
    """
    # Nothing but nerfstudio's own exports needs open3d otherwise, and it takes seconds to import.
    import open3d as o3d

    h, w = depth.shape
    padded = np.pad(depth.astype(np.float64), 1, mode="edge")
    x, y = np.meshgrid(np.clip(np.arange(w + 2) - 0.5, 0, w), np.clip(np.arange(h + 2) - 0.5, 0, h))
    vertices = (K_source.ray(np.stack([x, y], axis=-1)) * padded[..., None]).reshape(-1, 3)
    triangles = _triangles(padded, edge)
    if touching is not None:
        triangles = triangles[np.pad(touching, 1, mode="edge").reshape(-1)[triangles].any(axis=-1)]
    hits = SurfaceHits(np.full((height, width), np.inf), np.zeros((height, width, 2)))
    if len(triangles) == 0:
        return hits
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(vertices.astype(np.float32), triangles.astype(np.uint32))
    back = np.linalg.inv(T_camera_from_source)
    answer: dict[str, np.ndarray] = {}
    for right, down in itertools.product((-NUDGE_PX, NUDGE_PX), repeat=2):
        directions = K._replace(cx=K.cx - right, cy=K.cy - down).rays(width, height) @ back[:3, :3].T
        rays = np.concatenate([np.broadcast_to(back[:3, 3], directions.shape), directions], axis=-1)
        found = {name: values.numpy() for name, values in scene.cast_rays(rays.astype(np.float32)).items()}
        answer = answer or found
        nearer = found["t_hit"] < answer["t_hit"]
        for name in ("t_hit", "primitive_ids", "primitive_uvs"):
            answer[name] = np.where(nearer if found[name].ndim == 2 else nearer[..., None], found[name], answer[name])
    met = np.isfinite(answer["t_hit"])
    corners = vertices[triangles[answer["primitive_ids"][met]]]
    u, v = answer["primitive_uvs"][met].astype(np.float64).T[..., None]
    points = (1 - u - v) * corners[:, 0] + u * corners[:, 1] + v * corners[:, 2]
    hits.depth[met] = moved(points, T_camera_from_source)[:, 2]
    hits.place[met] = K_source.project(points)
    return hits


def _triangles(depth: Float[np.ndarray, "h w"], edge: float) -> Int[np.ndarray, "t 3"]:
    """Return corners, as row-major indices, of the triangles over which the depth is continuous."""
    index = np.arange(depth.size).reshape(depth.shape)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]], axis=-1).reshape(-1, 4)
    a, b, c, d = depth.reshape(-1)[quads].T
    falling = np.where((a > 0) & (d > 0), np.abs(a - d), np.inf) <= np.where((b > 0) & (c > 0), np.abs(b - c), np.inf)
    halves = [(quads[falling], ((0, 2, 3), (0, 3, 1))), (quads[~falling], ((0, 2, 1), (1, 2, 3)))]
    triangles = np.concatenate([some[:, corners] for some, both in halves for corners in both])
    low, high = depth.reshape(-1)[triangles].min(axis=-1), depth.reshape(-1)[triangles].max(axis=-1)
    return triangles[(low > 0) & (high <= np.where(low > 0, low, 1.0) * (1 + edge))]


class Visibility(NamedTuple):
    """What a target shows of what the source shows."""

    surface: Bool[np.ndarray, "h w"]  # target pixels that meet the surface between source pixels of known depth, [h, w]
    visible: Bool[np.ndarray, "h w"]  # those of them that nothing of unknown depth may hide


def visible_in_both(pair: ViewPair) -> Visibility:
    """Find target pixels that show something which the source shows too, as far as the source's depth can tell.

    What hides something may itself have no depth. So pixels without depth, other than transparent ones, are taken to be
    as near as the nearest of the four pixels with depth that come first to their left and right, above and below; what
    would then be hidden is not visible for certain.
    """
    camera = pair.K_source, pair.K_target, pair.T_target_from_source, *pair.target_size
    depth = surface_hits(pair.source_depth, *camera).depth
    unknown = pair.source_depth <= 0
    if pair.source_alpha is not None:
        unknown &= pair.source_alpha > 0
    hiding = surface_hits(_as_near_as_may_be(pair.source_depth), *camera, edge=np.inf, touching=unknown).depth
    surface = np.isfinite(depth)
    return Visibility(surface, surface & ~(hiding < depth * (1 - HIDING_DEPTH_SHARE)))


def _as_near_as_may_be(depth: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Fill unknown depth with that of the nearest of the first known pixels in four directions."""
    nearest = np.where(depth > 0, depth, np.inf)
    for axis, step in itertools.product((0, 1), (1, -1)):
        known = np.moveaxis(depth, axis, 0)[::step]
        last = np.maximum.accumulate(np.where(known > 0, np.arange(len(known))[:, None], -1), axis=0)
        found = np.where(last >= 0, np.take_along_axis(known, np.maximum(last, 0), axis=0), np.inf)
        nearest = np.minimum(nearest, np.moveaxis(found[::step], 0, axis))
    return np.where(depth > 0, depth, np.where(np.isfinite(nearest), nearest, 0))


@dataclass(frozen=True)
class MeshedView:
    """A textured mesh: triangles between neighbouring pixels, cut at depth edges, z-buffered, perspective-correct.

    Args:
        pair: Whose source it shows.
        order: Of the spline through the texture: 1 is bilinear, 3 bicubic. Which is better depends on the scene: where
            the depth is exact, bicubic by 0.1 dB; where it is rough, bilinear by up to 0.4 dB.
    """

    pair: ViewPair
    order: int = 3

    def render(
        self, K: Intrinsics, T_camera_from_source: Float[np.ndarray, "4 4"], width: int, height: int
    ) -> Rendered:
        """Draw it as another camera sees it."""
        pair = self.pair
        hits = surface_hits(pair.source_depth, pair.K_source, K, T_camera_from_source, width, height)
        place = np.moveaxis(hits.place[..., ::-1], -1, 0) - 0.5
        samples = [
            ndimage.map_coordinates(channel, place, order=self.order, mode="mirror")
            for channel in np.moveaxis(_premultiplied(pair), -1, 0)
        ]
        return _rendered(np.stack(samples, axis=-1), np.isfinite(hits.depth), hits.depth)


@dataclass(frozen=True)
class SplattedView:
    """Forward splatting: each source pixel is drawn where its point is seen, as large as it is seen, z-buffered.

    A splat is a tent, separable in x and y, as wide as its pixel is seen, but at least a pixel: on a surface that is
    seen at the source's own scale this is bilinear interpolation, and nowhere are there pinholes. Splats blend with
    those of the surface that is nearest in a pixel, by the middle part of their tents.

    Source:
        Zwicker et al., "Surface splatting", SIGGRAPH 2001, for visibility by a depth range and normalised weights.
    """

    pair: ViewPair

    def render(
        self, K: Intrinsics, T_camera_from_source: Float[np.ndarray, "4 4"], width: int, height: int
    ) -> Rendered:
        """Draw it as another camera sees it."""
        pair = self.pair
        rays = pair.K_source.rays(*pair.source_size)
        points = moved(rays * pair.source_depth[..., None], T_camera_from_source)
        shown = (pair.source_depth > 0) & (points[..., 2] > 0)
        pixels = K.project(np.where(shown[..., None], points, 1.0))
        footprint = _footprints(pixels, np.where(shown, pair.source_depth, 0))[shown]
        place, depth, texture = pixels[shown], points[..., 2][shown], _premultiplied(pair)[shown]
        nearest = np.full(width * height, np.inf)
        for pixel, splat, _ in _overlaps(place, footprint, 0.5, width, height):
            np.minimum.at(nearest, pixel, depth[splat])
        total = np.zeros((width * height, 2 + texture.shape[1]))
        for pixel, splat, weight in _overlaps(place, footprint, 1.0, width, height):
            blended = np.abs(depth[splat] - nearest[pixel]) <= BLENDED_DEPTH_SHARE * nearest[pixel]
            pixel, splat, weight = pixel[blended], splat[blended], weight[blended]
            for channel, values in enumerate([np.ones_like(weight), depth[splat], *texture[splat].T]):
                total[:, channel] += np.bincount(pixel, weight * values, minlength=width * height)
        total = total.reshape(height, width, -1)
        covered = np.isfinite(nearest).reshape(height, width) & (total[..., 0] > 1e-6)
        mean = total[..., 1:] / np.where(covered, total[..., 0], 1.0)[..., None]
        return _rendered(mean[..., 1:], covered, mean[..., 0])


def _footprints(pixels: Float[np.ndarray, "h w 2"], depth: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 2"]:
    """Return width and height in px of each source pixel as seen, by its neighbours on the same surface."""
    size = np.zeros_like(pixels)
    for axis in (0, 1):
        low, high = [slice(None)] * 2, [slice(None)] * 2
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        near, far = depth[tuple(low)], depth[tuple(high)]
        joined = (near > 0) & (far > 0) & (np.maximum(near, far) <= np.minimum(near, far) * (1 + DEPTH_EDGE_SHARE))
        step = np.abs(pixels[tuple(high)] - pixels[tuple(low)]) * joined[..., None]
        widest = np.zeros_like(pixels)
        widest[tuple(low)] = step
        widest[tuple(high)] = np.maximum(widest[tuple(high)], step)
        size += widest
    return np.clip(size, 1.0, MAX_FOOTPRINT_PX)


def _overlaps(
    place: Float[np.ndarray, "n 2"], footprint: Float[np.ndarray, "n 2"], reach: float, width: int, height: int
) -> Iterator[tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"], Float[np.ndarray, " m"]]]:
    """Yield pixels that splats reach, in footprints from their centres: indices of pixels, of splats, and weights."""
    half = int(np.ceil(reach * footprint.max(initial=1.0)))
    first = np.floor(place).astype(np.int64)
    for dx, dy in itertools.product(range(-half, half + 1), repeat=2):
        pixel = first + np.array([dx, dy])
        away = np.abs(pixel + 0.5 - place) / footprint
        kept = (away <= reach).all(axis=-1) & (pixel >= 0).all(axis=-1) & (pixel < [width, height]).all(axis=-1)
        splat = np.flatnonzero(kept)
        yield pixel[splat, 1] * width + pixel[splat, 0], splat, np.maximum(1 - away[splat], 0).prod(axis=-1)


BASELINES: dict[str, NovelViewMethod] = {
    "point splatting": SplattedView,
    "depth mesh bilinear": partial(MeshedView, order=1),
    "depth mesh bicubic": MeshedView,
}
"""What is compared with them is compared with the best on each pair."""


def _premultiplied(pair: ViewPair) -> Float[np.ndarray, "h w 4"]:
    """Return colours times alpha, and alpha."""
    alpha = np.ones(pair.source_depth.shape) if pair.source_alpha is None else pair.source_alpha
    return np.concatenate([pair.source_colours * alpha[..., None], alpha[..., None]], axis=-1).astype(np.float64)


def _rendered(
    texture: Float[np.ndarray, "h w 4"], covered: Bool[np.ndarray, "h w"], depth: Float[np.ndarray, "h w"]
) -> Rendered:
    """Return a rendering of colours times alpha, and alpha."""
    alpha = np.clip(np.where(covered, texture[..., 3], 0), 0, 1)
    rgb = np.where(alpha[..., None] > 0, texture[..., :3] / np.maximum(alpha, 1e-6)[..., None], 0)
    return Rendered(np.clip(rgb, 0, 1), alpha, np.where(covered, depth, 0))
