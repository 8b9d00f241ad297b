"""Which points of a picture are the particles of a scene, and how they start."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gainer_ns.io.places import PlacedError
from gainer_ns.memory import check_free
from gainer_ns.physics.engine import Particles
from gainer_ns.physics.sampling import evenly, volumes_of
from gainer_ns.physics.scene import Scene

FEWEST = 4
"""Particles of the smallest body."""
BYTES_PER_PARTICLE = {2: 800, 3: 1300}
"""Memory for a particle on a plane and in space, of which more than half is what the engine keeps of it."""


def members_of(scene: Scene, pixels: Float[Tensor, "n 2"], shown: Bool[Tensor, " n"]) -> list[Int64[Tensor, " m"]]:
    """Which of some points each body of a scene has.

    Args:
        scene: On the picture.
        pixels: The points, in pixels of the picture.
        shown: Which of them may be simulated at all.

    Raises:
        GainerError: A body has none.
    """
    inside, owners = scene.body_fields(pixels).max(dim=0)
    members = [(shown & (owners == number) & (inside > 0.5)).nonzero()[:, 0] for number in range(len(scene.bodies))]
    for number, own in enumerate(members):
        if len(own) == 0:
            problem = "takes nothing of what the picture shows; enlarge it, or move it to what is not transparent"
            raise scene.mistake(number, PlacedError(("select",), problem))
    return members


def particles_of(
    scene: Scene,
    members: list[Int64[Tensor, " m"]],
    places: Float[Tensor, "n d"],
    areas: Float[Tensor, " n"],
    count: int,
) -> Particles:
    """Chooses evenly among the points of each body.

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
        some, apart = evenly(places[own], areas[own], max(FEWEST, round(count * share)))
        chosen.append(own[some])
        spacings.append(apart)
        volumes.append(volumes_of(places[own], areas[own], some))
        velocities.append(scene.bodies[number].velocities(places[chosen[-1]], volumes[-1]))
        bodies.append(torch.full_like(chosen[-1], number))
    ids = torch.cat(chosen)
    # In space a slanted surface is larger than the area that the camera sees of it.
    spacing = (whole / len(ids)) ** 0.5 if places.shape[1] == 2 else max(spacings)
    return Particles(places[ids], torch.cat(volumes), torch.cat(velocities), torch.cat(bodies), ids, spacing)
