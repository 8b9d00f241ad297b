"""Sampling: which Gaussians of each body are its particles, where all would be too many."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.io.places import PlacedError
from gainer_ns.memory import check_free
from gainer_ns.physics.engine import Particles
from gainer_ns.physics.scene import Scene

MIN_BODY_PARTICLES = 4
SPACING_NEIGHBOURS = 8
"""How many Gaussians around one tell how far apart they are."""
BYTES_PER_PARTICLE = {2: 800, 3: 1300}
"""Memory for a particle on a plane and in space, of which more than half is what the engine keeps of it."""
MAX_COUNT_ERROR = 0.03
"""How far, as a share, the number of cells may be from the one that was asked for."""
MAX_SIZE_CORRECTIONS = 8
"""How often the size of the cells is corrected."""
MAX_CENTRE_DISTANCE = {2: 0.4, 3: 0.0}
"""What lies further than so many spacings from the centre of its cell, in a plane and in space, is let go..."""
MIN_SEPARATION = 0.55
"""...if another point as near as this is nearer to its own: borders of bodies, and surfaces in space, clip cells."""


def members_of(scene: Scene, pixels: Float[Tensor, "n 2"], shown: Bool[Tensor, " n"]) -> list[Int64[Tensor, " m"]]:
    """Tell which of some points each body of a scene has.

    Args:
        scene: On the picture.
        pixels: [n, 2], the points, in pixels.
        shown: [n], which of them may be simulated at all.

    Raises:
        GainerError: A body has none.
    """
    inside, owners = scene.body_fields(pixels).max(dim=0)
    members = [(shown & (owners == number) & (inside > 0.5)).nonzero()[:, 0] for number in range(len(scene.bodies))]
    for number, own in enumerate(members):
        if len(own) == 0:
            taken = " that no earlier body has taken" if number else ""
            problem = (
                f"takes nothing of what the picture shows{taken}; enlarge it, or move it to what is not transparent"
            )
            raise scene.mistake(number, PlacedError(("select",), problem))
    return members


def particles_of(
    scene: Scene,
    members: list[Int64[Tensor, " m"]],
    places: Float[Tensor, "n d"],
    areas: Float[Tensor, " n"],
    count: int,
) -> Particles:
    """Choose evenly among the points of each body.

    Args:
        scene: Says how bodies start.
        members: Which points each body has.
        places: Of all points, widths of the picture.
        areas: What each covers, squared widths.
        count: About how many particles are wanted of all bodies.

    Returns:
        Particles whose Gaussians are numbered as the points are, and whose volumes are areas.

    Raises:
        GainerError: If there is no memory for so many.
    """
    most = min(count, sum(map(len, members)))
    check_free(most * BYTES_PER_PARTICLE[places.shape[1]], f"particles: {most:,} of them", "write fewer into the scene")
    whole = float(areas[torch.cat(members)].sum())
    chosen, volumes, velocities, bodies, spacings = [], [], [], [], []
    for number, own in enumerate(members):
        share = float(areas[own].sum()) / whole
        some, apart = choose_evenly(places[own], areas[own], max(MIN_BODY_PARTICLES, round(count * share)))
        chosen.append(own[some])
        spacings.append(apart)
        volumes.append(volumes_of(places[own], areas[own], some))
        velocities.append(scene.bodies[number].velocities(places[chosen[-1]], volumes[-1]))
        bodies.append(torch.full_like(chosen[-1], number))
    ids = torch.cat(chosen)
    # In space a slanted surface is larger than the area that the camera sees of it.
    spacing = (whole / len(ids)) ** 0.5 if places.shape[1] == 2 else max(spacings)
    return Particles(places[ids], torch.cat(volumes), torch.cat(velocities), torch.cat(bodies), ids, spacing)


def choose_evenly(
    points: Float[Tensor, "n d"], areas: Float[Tensor, " n"], count: int
) -> tuple[Int64[Tensor, " m"], float]:
    """Choose some points, evenly: the one nearest to the centre of each cell of a lattice that holds any.

    Cells are hexagons in a plane and cubes in space, as large as it takes to have about so many that are not empty. So
    parts that are thinner than a cell are kept too. The same points always give the same choice.

    Args:
        points: [n, 2] or [n, 3], in any unit.
        areas: [n], what each covers, squared units of the points.
        count: How many are wanted, at least 1.

    Returns:
        Which were chosen, [m], ascending: all of them if no more are wanted than there are, and else about ``count``.
        And how far apart neighbours are, in the unit of the points.

    Raises:
        ValueError: If none are wanted.
    """
    if count < 1:
        raise ValueError(f"{count} points cannot be chosen")
    total = len(points)
    area = float(areas.double().sum())
    if count >= total:
        return torch.arange(total, device=points.device), math.sqrt(area / max(total, 1))
    places = points.detach().double()
    places = places - 0.5 * (places.amin(dim=0) + places.amax(dim=0))
    extent = float(places.abs().amax())
    if extent == 0:
        return torch.zeros(1, dtype=torch.int64, device=points.device), math.sqrt(area)
    # A cell smaller than this tells no points apart that a larger one does not, and its number might not fit.
    spacing = max(math.sqrt(area / count), 1e-5 * extent)
    chosen = _thinned(places, spacing)
    for _ in range(MAX_SIZE_CORRECTIONS):
        if abs(len(chosen) - count) <= MAX_COUNT_ERROR * count:
            break
        spacing = max(spacing * math.sqrt(len(chosen) / count), 1e-5 * extent)
        chosen = _thinned(places, spacing)
    return chosen, max(spacing, math.sqrt(area / len(chosen)))


def volumes_of(
    points: Float[Tensor, "n d"], areas: Float[Tensor, " n"], chosen: Int64[Tensor, " m"]
) -> Float[Tensor, " m"]:
    """Return what each chosen point stands for: its own area and those of the points nearer to it than to others.

    Args:
        points: [n, 2] or [n, 3].
        areas: [n], what each covers.
        chosen: [m], different ones, at least one if there are points.

    Returns:
        Areas whose sum is that of all points.
    """
    from scipy.spatial import KDTree  # here, so that importing this module stays light

    if len(points) == len(chosen):
        return areas[chosen]
    places = points.detach().cpu().double().numpy()
    owners = torch.from_numpy(KDTree(places[chosen.cpu().numpy()]).query(places)[1])
    own = torch.bincount(owners, weights=areas.detach().cpu().double(), minlength=len(chosen))
    return own.to(areas)


def _cells(places: Float[Tensor, "n d"], spacing: float) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """Return a number for the cell that holds each point, and the squared distance from the cell's centre."""
    if places.shape[1] == 3:
        nodes = (places / spacing).round()
        return _keys(nodes), (places - spacing * nodes).square().sum(dim=1)
    # Hexagons are around the nodes of two lattices of upright rectangles, one in the middle of the other.
    sides = places.new_tensor([spacing, math.sqrt(3) * spacing])
    corner, middle = (places / sides).round(), (places / sides).floor() + 0.5
    to_corner, to_middle = ((places - sides * nodes).square().sum(dim=1) for nodes in (corner, middle))
    nodes = torch.where((to_middle < to_corner)[:, None], middle, corner)
    return _keys(2 * nodes), torch.minimum(to_corner, to_middle)


def _keys(nodes: Float[Tensor, "n d"]) -> Int64[Tensor, " n"]:
    """Return one number for the whole coordinates of each node."""
    whole = nodes.long()
    whole = whole - whole.amin(dim=0)
    key = whole[:, 0]
    for axis in range(1, whole.shape[1]):
        key = key * (int(whole[:, axis].max()) + 1) + whole[:, axis]
    return key


def _thinned(places: Float[Tensor, "n d"], spacing: float) -> Int64[Tensor, " m"]:
    """Return the point nearest to the centre of each cell, the first of equals, without crowded ones."""
    keys, squared = _cells(places, spacing)
    order = squared.argsort(stable=True)
    order = order[keys[order].argsort(stable=True)]
    ordered = keys[order]
    first = torch.ones(len(ordered), dtype=torch.bool, device=ordered.device)
    first[1:] = ordered[1:] != ordered[:-1]
    nearest = order[first]
    far = squared[nearest] > (MAX_CENTRE_DISTANCE[places.shape[1]] * spacing) ** 2
    crowded = _crowded(places[nearest], squared[nearest], far, MIN_SEPARATION * spacing)
    return nearest[~crowded].sort().values


def _crowded(
    places: Float[Tensor, "c d"], squared: Float[Tensor, " c"], far: Bool[Tensor, " c"], distance: float
) -> Bool[Tensor, " c"]:
    """Return which of the far-off points are let go, so that none has a better one, nearer to its centre, near by."""
    from scipy.spatial import KDTree

    crowded = torch.zeros_like(far)
    if not bool(far.any()):
        return crowded
    rank = squared.argsort(stable=True).argsort()
    pairs = torch.from_numpy(KDTree(places.cpu().numpy()).query_pairs(distance, output_type="ndarray")).to(far.device)
    swapped = rank[pairs[:, 0]] > rank[pairs[:, 1]]
    better, worse = torch.where(swapped[:, None], pairs.flip(1), pairs).unbind(1)
    better, worse = better[far[worse]], worse[far[worse]]
    while len(worse):  # the best of those left always stays, so this ends
        waiting = torch.zeros_like(far)
        waiting[worse] = True
        crowded[worse[~waiting[better]]] = True
        left = ~crowded[better] & ~crowded[worse]
        better, worse = better[left], worse[left]
    return crowded


def typical_spacing(gaussians: GaussianSet, plane: ImagePlane) -> float:
    """Return how far apart Gaussians were fitted on a plane, typically, in its pixels; at least 1."""
    if len(gaussians) <= SPACING_NEIGHBOURS:
        return 1.0
    some = gaussians.means[:: max(1, len(gaussians) // 4096)]
    neighbours = NeighbourIndex(gaussians.means, float("inf")).query(some, SPACING_NEIGHBOURS + 1)  # one is the point
    radius = neighbours.squared_distances.amax(dim=1).sqrt().median()
    return max(1.0, math.sqrt(math.pi / SPACING_NEIGHBOURS) * float(radius) / plane.pixel_size)
