"""Deformations: small pure functions that move points of the picture, and the Jacobians of such maps.

All coordinates are pixels of the source picture: ``x`` right, ``y`` down, pixel centres at .5. Angles are in degrees,
counter-clockwise as seen on the screen. Every function works point by point, computes in float64, returns the dtype it
was given, and can be differentiated everywhere by automatic differentiation. Angles, factors, offsets and the places
that something goes to may be other ones for each point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import combinations
from typing import Any, Concatenate, ParamSpec, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.frames import Bounds

Coordinates: TypeAlias = Sequence[float]
"""A point or an offset, (x, y), in pixels; (x, y, z) for points in space."""
Segment: TypeAlias = Sequence[Coordinates]
"""A line from its first point to its second."""
Parameters = ParamSpec("Parameters")
Amount: TypeAlias = float | Float[Tensor, " m"]
"""A number for all points, or one for each of them."""
Amounts: TypeAlias = Sequence[Amount]
"""The parts of a point, an offset or a factor, each for all points or one for each of them."""

_BLOCK_POINTS = 65_536
"""How many points are differentiated at a time: few enough for the processor's cache, and memory stays flat."""

_CATMULL_ROM = ((0.0, 1.0, 0.0, 0.0), (-0.5, 0.0, 0.5, 0.0), (1.0, -2.5, 2.0, -0.5), (-0.5, 1.5, -1.5, 0.5))
"""Coefficients of 1, x, x^2 and x^3 between the second and third of four samples in a row (Keys 1981, a = -1/2)."""


def with_jacobian(
    map: Callable[[Float[Tensor, "m d"]], Float[Tensor, "m k"]], points: Float[Tensor, "m d"]
) -> tuple[Float[Tensor, "m k"], Float[Tensor, "m k d"]]:
    """Return where a point-wise map takes points, and its Jacobian ``J[i, j] = d map_i / d x_j`` at each of them."""
    moved, jacobians = [], []
    for block in points.split(_BLOCK_POINTS):
        # Backwards, since differentiating forwards would import torch._dynamo, which takes a second or more.
        with torch.inference_mode(False), torch.enable_grad():
            start = block.clone().requires_grad_()
            end = map(start)
            # The points do not influence one another, so the gradient of a sum holds those of all of them.
            rows = [
                torch.autograd.grad(column.sum(), start, retain_graph=True, materialize_grads=True)[0]
                for column in end.unbind(dim=1)
            ]
        moved.append(end.detach())
        jacobians.append(torch.stack(rows, dim=1))
    return torch.cat(moved), torch.cat(jacobians)


def _in_float64(
    function: Callable[Concatenate[Tensor, Parameters], Tensor],
) -> Callable[Concatenate[Tensor, Parameters], Tensor]:
    @wraps(function)
    def wrapper(points: Tensor, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Tensor:
        return function(points.double(), *args, **kwargs).to(points.dtype)

    return wrapper


@_in_float64
def move(points: Float[Tensor, "m d"], by: Amounts) -> Float[Tensor, "m d"]:
    """Move everything by one offset."""
    return points + _vectors(points, by)


@_in_float64
def rotate(points: Float[Tensor, "m 2"], degrees: Amount, center: Coordinates) -> Float[Tensor, "m 2"]:
    """Turn around a centre, counter-clockwise as seen."""
    offset = points - points.new_tensor(center)
    angle = _radians(points, degrees)
    return points + _turned(offset, -2.0 * (0.5 * angle).sin().square(), angle.sin())


@_in_float64
def scale(points: Float[Tensor, "m d"], factor: float | Amounts, center: Coordinates) -> Float[Tensor, "m d"]:
    """Scale around a centre by one factor, or by one for each axis."""
    factors = points.new_tensor(factor) if isinstance(factor, float | int) else _vectors(points, factor)
    return points + (factors - 1.0) * (points - points.new_tensor(center))


@_in_float64
def stretch(points: Float[Tensor, "m 2"], factor: Amount, axis: Segment) -> Float[Tensor, "m 2"]:
    """Stretch the whole plane along a line; what lies level with the line's first point stays."""
    start, along, _, _ = _line(points, axis)
    distance = (points - start) @ along
    return points + ((factor - 1.0) * distance)[:, None] * along


@_in_float64
def bend(points: Float[Tensor, "m 2"], degrees: Amount, axis: Segment) -> Float[Tensor, "m 2"]:
    """Bend a line into a circular arc of the same length that turns by ``degrees`` in all, and the plane with it.

    What lies behind the first point stays; what lies beyond the second goes on straight. The Jacobian's determinant
    on the way is ``1 - curvature * distance to the left``, so what lies farther inside than the arc's radius folds.
    """
    start, along, left, length = _line(points, axis)
    curvature = _radians(points, degrees) / length
    # Not zero only: a denormal number keeps too few digits to divide by.
    curvature = torch.where(curvature.abs() < 1e-100, 1e-100, curvature)
    offset = points - start
    forward, aside = offset @ along, offset @ left
    on_arc = forward.clamp(0.0, length)
    beyond = forward - on_arc
    angle = curvature * on_arc
    sine, cosine = angle.sin(), angle.cos()
    forward = sine / curvature - aside * sine + beyond * cosine
    aside = 2.0 * (0.5 * angle).sin() ** 2 / curvature + aside * cosine + beyond * sine  # (1 - cosine) without its loss
    return start + forward[:, None] * along + aside[:, None] * left


@_in_float64
def twirl(points: Float[Tensor, "m 2"], degrees: Amount, center: Coordinates, radius: float) -> Float[Tensor, "m 2"]:
    """Turn the centre by ``degrees``, its surroundings less and less, and what lies beyond the radius not at all."""
    offset = points - points.new_tensor(center)
    fading = (1.0 - (offset / radius).square().sum(dim=-1)).clamp(min=0.0).square()
    angle = _radians(points, degrees) * fading
    return points + _turned(offset, -2.0 * (0.5 * angle).sin().square(), angle.sin())


@_in_float64
def wave(
    points: Float[Tensor, "m 2"], amplitude: Amount, period: float, direction: float = 0.0, phase: float = 0.0
) -> Float[Tensor, "m 2"]:
    """Move points to and fro across the direction in which a sine wave runs.

    The wave is 0 at the picture's top-left corner and rises to the left of its direction; ``phase`` degrees advance it.
    """
    angle = math.radians(direction)
    along = points.new_tensor((math.cos(angle), -math.sin(angle)))
    height = amplitude * (2.0 * math.pi / period * (points @ along) + math.radians(phase)).sin()
    return points + height[:, None] * _turned(along, 0.0, 1.0)


@_in_float64
def perspective(points: Float[Tensor, "m 2"], box: Bounds, corners: Sequence[Amounts]) -> Float[Tensor, "m 2"]:
    """Apply the homography that takes a box to a quadrilateral (Heckbert 1989, Fundamentals of Texture Mapping, 2.2.3).

    The quadrilateral says where the box's top-left, top-right, bottom-right and bottom-left corners go, and must pass
    ``check_corners``. Points that would lie near or behind the horizon, which none in the box does, go far away instead
    of to infinity.
    """
    if not any(isinstance(part, Tensor) for corner in corners for part in corner):
        check_corners(corners)
    low, size = _extent(points, box)
    # In closed form, because cv2.getPerspectiveTransform rounds the corners to float32.
    p0, p1, p2, p3 = (_vectors(points, corner) for corner in corners)
    (ax, ay), (bx, by), (cx, cy) = (side.unbind(dim=-1) for side in (p1 - p2, p3 - p2, p0 - p1 + p2 - p3))
    twice = ax * by - ay * bx  # twice the area of the triangle at the third corner
    g, h = (cx * by - cy * bx) / twice, (ax * cy - ay * cx) / twice
    (u, v), g, h = ((points - low) / size)[..., None].unbind(dim=1), g[..., None], h[..., None]
    nearest = 0.01 * torch.stack([torch.ones_like(g), 1 + g, 1 + h, 1 + g + h]).amin(dim=0)
    depth = torch.maximum(1.0 + u * g + v * h, nearest)
    return (u * (p1 - p0 + g * p1) + v * (p3 - p0 + h * p3) + p0) / depth


def check_corners(corners: Sequence[Any]) -> None:
    """Raise a GainerError if corners do not make a convex quadrilateral, clockwise as seen from the top-left one."""
    edges = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True)]
    least = 1e-9 * max(x * x + y * y for x, y in edges)
    turns = [ax * by - ay * bx for (ax, ay), (bx, by) in zip(edges, [*edges[1:], edges[0]], strict=True)]
    if not all(turn > least for turn in turns):
        listed = ", ".join(f"[{x:g}, {y:g}]" for x, y in corners)
        raise GainerError(
            f"corners {listed}: not a convex quadrilateral; give where the top-left, top-right, bottom-right and "
            "bottom-left corners go, in this order, without folding or flattening the shape"
        )


@_in_float64
def cut(points: Float[Tensor, "m 2"], line: Segment, gap: Amount) -> Float[Tensor, "m 2"]:
    """Move what lies to the two sides of a line apart, half the gap each; ``left_of`` tells the sides."""
    _, _, left, _ = _line(points, line)
    side = (left_of(points, line) >= 0).to(points) - 0.5
    return points + (side * gap)[:, None] * left


def left_of(points: Float[Tensor, "m 2"], line: Segment) -> Float[Tensor, " m"]:
    """Return how many pixels points are to the left of a line, as one sees it who goes along it."""
    start, _, left, _ = _line(points, line)
    return (points - start) @ left


@_in_float64
def drag(
    points: Float[Tensor, "m 2"],
    handles_from: Sequence[Coordinates],
    handles_to: Sequence[Amounts],
    fixed: Sequence[Coordinates] = (),
) -> Float[Tensor, "m 2"]:
    """Drag handles to new places, and their surroundings as rigidly as they can follow.

    Moving least squares with rigid motions (Schaefer, McPhail and Warren 2006, section 2.3, alpha = 1). The sums are
    taken relative to the nearest handle and without its infinite weight, so that nothing is divided by 0 at a handle.
    Fixed handles stay where they are; see ``check_handles``.
    """
    check_handles([*handles_from, *fixed])
    before = points.new_tensor([*handles_from, *fixed])
    after = torch.stack(torch.broadcast_tensors(*(_vectors(points, place) for place in (*handles_to, *fixed))))
    if after.dim() == 3:
        return _dragged_apart(points, before, after)
    p, q = before - before.mean(dim=0), after - after.mean(dim=0)
    # Handles first, points second: sums over the few handles are quicker down the columns.
    squared = (points[:, 0] - before[:, :1]).square() + (points[:, 1] - before[:, 1:]).square()
    closeness, nearest = squared.min(dim=0)
    weights = squared.scatter(0, nearest[None], torch.inf).reciprocal()
    moments = (torch.cat([torch.ones_like(p[:, :1]), p, q, _over(p, q)], dim=1).T @ weights).T
    total, sum_p, sum_q, turn = moments.split([1, 2, 2, 2], dim=1)
    near_p, near_q = p[nearest], q[nearest]
    about_p, about_q = sum_p - total * near_p, sum_q - total * near_q
    share = (closeness / (1.0 + closeness * total[:, 0]))[:, None]
    turn = turn - _over(near_p, sum_q) - _over(about_p, near_q) - share * _over(about_p, about_q)
    # Where the handles ask for no particular turn (one handle only, or pulls that cancel), there is none.
    lengths = turn.square().sum(dim=1, keepdim=True)
    turns = lengths > 1e-24 * (total.square() * (p.square().sum() * q.square().sum()))
    turn = torch.where(turns, turn / torch.where(turns, lengths, 1.0).sqrt(), points.new_tensor((1.0, 0.0)))
    offset = points - (before[nearest] + share * about_p)
    return after[nearest] + share * about_q + _turned(offset, turn[:, 0], turn[:, 1])


def _dragged_apart(
    points: Float[Tensor, "m 2"], before: Float[Tensor, "h 2"], after: Float[Tensor, "h m 2"]
) -> Float[Tensor, "m 2"]:
    """Return the same where the handles go elsewhere for each point."""
    offsets = points - before[:, None]
    squared = offsets.square().sum(dim=2)
    # Relative to the nearest handle's own weight nothing is divided by 0 at a handle.
    weights = squared.amin(dim=0).clamp(min=1e-30) / squared.clamp(min=1e-30)
    weights = weights / weights.sum(dim=0)
    about_p = (weights[..., None] * before[:, None]).sum(dim=0)
    about_q = (weights[..., None] * after).sum(dim=0)
    p, q = before[:, None] - about_p, after - about_q
    turn = (weights[..., None] * _over(p, q)).sum(dim=0)
    lengths = turn.square().sum(dim=1, keepdim=True)
    scale = (weights * p.square().sum(dim=2)).sum(dim=0) * (weights * q.square().sum(dim=2)).sum(dim=0)
    turns = lengths > 1e-24 * scale[:, None]
    turn = torch.where(turns, turn / torch.where(turns, lengths, 1.0).sqrt(), points.new_tensor((1.0, 0.0)))
    return about_q + _turned(points - about_p, turn[:, 0], turn[:, 1])


def check_handles(places: Sequence[Coordinates]) -> None:
    """Raise a GainerError if there are no handles, or two of them are the same point."""
    if not places:
        raise GainerError("handles: there are none; give at least one")
    for a, b in combinations(places, 2):
        if math.dist(a, b) < 1e-6:
            raise GainerError(f"handles: two of them, moving or fixed, lie at [{a[0]:g}, {a[1]:g}]; keep one")


@_in_float64
def free_form(
    points: Float[Tensor, "m 2"], box: Bounds, offsets: Sequence[Sequence[Coordinates]]
) -> Float[Tensor, "m 2"]:
    """Move a lattice of control points that spans a box, and smoothly what lies between them (free-form deformation).

    Cubic convolution (Keys 1981; Catmull-Rom splines) of the offsets. Points beyond the box move as the nearest point
    of its border does. Offsets come in rows from the top, each from the left, at least 2 x 2.
    """
    low, size = _extent(points, box)
    control = points.new_tensor(offsets)
    rows, columns, _ = control.shape
    # The grid goes on straight beyond its border, so that what is linear stays so.
    control = torch.cat([2 * control[:1] - control[1:2], control, 2 * control[-1:] - control[-2:-1]])
    control = torch.cat([2 * control[:, :1] - control[:, 1:2], control, 2 * control[:, -1:] - control[:, -2:-1]], dim=1)
    windows = control.unfold(0, 4, 1).unfold(1, 4, 1)
    basis = points.new_tensor(_CATMULL_ROM)
    patches = torch.einsum("ai,bj,rcdij->rcabd", basis, basis, windows).flatten(0, 1)
    across, down = (((points - low) / size).clamp(0.0, 1.0) * points.new_tensor((columns - 1, rows - 1))).unbind(dim=1)
    column, row = across.floor().clamp(max=columns - 2), down.floor().clamp(max=rows - 2)
    patch = patches[(row * (columns - 1) + column).long()]
    return points + _polynomial(_polynomial(patch, (down - row)[:, None, None]), (across - column)[:, None])


def check_line(line: Segment) -> None:
    """Raise a GainerError if the two points of a line are the same."""
    if math.dist(*line) < 1e-6:
        raise GainerError(f"line: both its ends are [{line[0][0]:g}, {line[0][1]:g}]; give two different points")


def _line(points: Tensor, line: Segment) -> tuple[Tensor, Tensor, Tensor, float]:
    """Return a line's first point, its unit direction, the unit direction to its left as seen, and its length."""
    check_line(line)
    start, end = points.new_tensor(line)
    length = math.dist(*line)
    along = (end - start) / length
    return start, along, _turned(along, 0.0, 1.0), length


def _vectors(points: Tensor, parts: Amounts) -> Tensor:
    """Return a vector [d] for all points, or [m, d] one for each where a part is."""
    if not any(isinstance(part, Tensor) for part in parts):
        return points.new_tensor(parts)
    return torch.stack(
        [torch.as_tensor(part, dtype=points.dtype, device=points.device).expand(len(points)) for part in parts], dim=1
    )


def _radians(points: Tensor, degrees: Amount) -> Tensor:
    """Return an angle for all points, or one for each."""
    return torch.as_tensor(degrees, dtype=points.dtype, device=points.device) * (math.pi / 180.0)


def _extent(points: Tensor, box: Bounds) -> tuple[Tensor, Tensor]:
    """Return a box's top-left corner and its size."""
    left, top, right, bottom = box
    if not (left < right and top < bottom):
        raise GainerError(f"box {list(box)}: empty; give left, top, right and bottom of a larger one")
    return points.new_tensor((left, top)), points.new_tensor((right - left, bottom - top))


def _turned(offset: Tensor, cosine: Tensor | float, sine: Tensor | float) -> Tensor:
    """Return offsets turned counter-clockwise as seen, with ``y`` down."""
    x, y = offset.unbind(-1)
    return torch.stack([cosine * x + sine * y, cosine * y - sine * x], dim=-1)


def _over(p: Tensor, q: Tensor) -> Tensor:
    """Return cosine and sine of the turn from ``p`` to ``q`` as seen, times the lengths of both."""
    return torch.stack([(p * q).sum(-1), p[..., 1] * q[..., 0] - p[..., 0] * q[..., 1]], dim=-1)


def _polynomial(coefficients: Tensor, x: Tensor) -> Tensor:
    """Return a cubic polynomial of ``x``, its coefficients along dimension 1, the constant one first."""
    c0, c1, c2, c3 = coefficients.unbind(dim=1)
    return c0 + x * (c1 + x * (c2 + x * c3))
