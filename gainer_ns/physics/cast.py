"""A picture as the cast of a scene: which Gaussians are simulated, and what all do when the particles have moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gainer_ns.editing.borders import spacing, unframed
from gainer_ns.editing.pieces import Piece, Placed, Weights, parted
from gainer_ns.editing.places import PlacedError
from gainer_ns.errors import GainerError
from gainer_ns.gaussians.small_matrices import product
from gainer_ns.physics.carrying import BoundPoints, Carried, Carrier, limited_gradients
from gainer_ns.physics.engine import Frame, Particles
from gainer_ns.physics.materials import BREAKING, Material
from gainer_ns.physics.sampling import evenly, volumes_of
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.setting import Setting
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture

LONGEST = 1.6
"""By how much grains and splashes are shown stretched or squeezed, at most."""
GRAIN = 0.6
"""How far what a loose particle shows reaches, in spacings of the particles: dense ones leave no gaps between them."""
ADJACENT = 2.0
"""Bodies whose particles come as near as so many spacings belong together."""
NEAR = 4.0
"""How far around Gaussians of what breaks points read them, in reaches of what is loose."""
SHOWN = 0.5
"""From this opacity on a Gaussian counts for where a picture shows something."""
FEWEST = 4
"""Particles of the smallest body."""


class Followers:
    """Points of a picture and the particles that carry them, looked for once and kept.

    Args:
        carrier: The particles at rest.
        width: Of the picture, in pixels.
        breaking: Whether what they are made of breaks.
    """

    def __init__(self, carrier: Carrier, width: int, breaking: bool) -> None:
        self._carrier, self._width, self._breaking = carrier, width, breaking
        self._kept: list[tuple[Tensor, BoundPoints]] = []
        self._last: tuple[BoundPoints, Carried] | None = None
        self._frame: tuple[Tensor, Tensor | None] | None = None

    def show(self, positions: Float[Tensor, "p 2"], gradients: Float[Tensor, "p 2 2"] | None) -> None:
        """Takes the particles to where they are in a frame, in widths."""
        if gradients is None:
            gradients = self._carrier.gradients(positions)
        if self._breaking:
            gradients = limited_gradients(gradients, LONGEST)
        self._frame, self._last = (positions, gradients), None

    def carried(self, points: Float[Tensor, "m 2"]) -> Carried:
        """Where points, in pixels, have gone, in widths."""
        assert self._frame is not None
        bound = next((bound for kept, bound in self._kept if torch.equal(kept, points)), None)
        if bound is None:
            bound = self._carrier.bound(points / self._width)
            self._kept = [*self._kept[-3:], (points, bound)]
        if self._last is None or self._last[0] is not bound:
            self._last = bound, bound.at(*self._frame)
        return self._last[1]


@dataclass(frozen=True)
class Carry:
    """What a frame of a simulation does to a piece of a picture, where edits have a ``Step``.

    Attributes:
        followers: Who carries its points.
        width: Of the picture, in pixels.
        edit: Which amount it answers to.
        selection: None: pieces follow as a whole.
    """

    followers: Followers
    width: int
    edit: int = 0
    selection: None = None

    def moved(self, placed: Placed, amount: float, weights: Weights | None) -> Placed:
        """Points after the movement, in pixels."""
        carried = self.followers.carried(placed.points)
        return Placed(carried.positions * self.width, product(carried.jacobians, placed.jacobians))


@dataclass(frozen=True)
class Group:
    """Bodies that hang together and are drawn as one layer.

    Attributes:
        piece: Their Gaussians.
        particles: [p], which of all particles are theirs.
        followers: What carries the Gaussians along with them.
        grain: How far what a loose particle shows reaches, plane units; None where nothing breaks.
    """

    piece: Piece
    particles: Int64[Tensor, " p"]
    followers: Followers
    grain: float | None

    def layer(self, number: int) -> Layer:
        """As a layer of the picture, in the frame that its followers show, of whatever number."""
        layer = self.piece.posed([number])
        if self.grain is None:
            return layer
        torn = self.followers.carried(self.piece.origins).torn
        if len(layer.gaussians) != len(torn):  # the frame of an opaque picture that has not moved yet
            return layer
        return loosened(layer, torn, self.grain)


def loosened(layer: Layer, torn: Float[Tensor, " n"], grain: float) -> Layer:
    """A layer whose loose parts end near their Gaussians instead of where those of the whole ended.

    Args:
        layer: A posed layer.
        torn: [n], how loose each Gaussian is, from 0 to 1.
        grain: How far a loose one reaches, plane units.
    """
    gaussians = layer.gaussians
    kept = torch.ones_like(torn, dtype=torch.bool)
    if gaussians.opacities is not None:  # what was clear around it has no meaning inside of a heap
        kept = (gaussians.opacities > 0) | (torn < 0.5)
    gaussians, torn = gaussians[kept], torn[kept]
    gaussians = replace(gaussians, radius=min(gaussians.radius, NEAR * grain))  # what is farther off is not seen anyway
    reaches = torch.lerp(torch.full_like(torn, gaussians.radius), torch.full_like(torn, grain), torn)
    return replace(layer, gaussians=gaussians, reaches=reaches, fade=0.5 * grain)


class Cast:
    """A fitted picture in a scene.

    Args:
        scene: What is simulated; on the picture (see ``Scene.on``).
        picture: A fitted picture.
        count: How many particles, instead of as many as the scene says.

    Attributes:
        particles: What is simulated of it, at rest.
        materials: Of each body.
        setting: What an engine is told besides.

    Raises:
        GainerError: A body has no Gaussians, or the scene does not fit its particles.
    """

    def __init__(self, scene: Scene, picture: BakedPicture, count: int | None = None) -> None:
        if len(picture.layers) != 1 or picture.gaussians.inverse_jacobians is not None:
            raise GainerError("an edited picture cannot be simulated; simulate it as it was fitted")
        self.scene, self.picture = scene, picture
        self.materials: tuple[Material, ...] = scene.materials
        self.setting: Setting = scene.setting()
        layer, border = unframed(picture.only_layer, picture.plane)
        piece = Piece(None, layer, picture.plane, picture.plane, border)
        fields = scene.body_fields(piece.origins)
        self.particles = self._sampled(piece, fields, count)
        scene.check_particles(self.particles)
        self._shown = 0
        self._rest, self._groups = self._taken_apart(piece)

    def at(self, frame: Frame) -> BakedPicture:
        """The picture in a frame."""
        if frame.time == 0:
            return self.picture
        for group in self._groups:
            gradients = None if frame.gradients is None else frame.gradients[group.particles]
            group.followers.show(frame.positions[group.particles], gradients)
        self._shown += 1  # pieces keep their last pose by this number
        layers = [group.layer(self._shown) for group in reversed(self._groups)]  # from back to front
        if self._rest is not None:
            layers.insert(0, self._rest.posed([self._shown]))
        return replace(self.picture, layers=tuple(layers))

    def hole(self) -> Bool[Tensor, "h w"]:
        """The pixels of the picture that bodies were cut out of."""
        plane, device = self.picture.plane, self.picture.device
        if self._rest is None:
            return torch.zeros(plane.height, plane.width, dtype=torch.bool, device=device)
        pixels = plane.pixel_from_plane(plane.pixel_centres(torch.arange(plane.pixels, device=device)))
        return (self.scene.body_fields(pixels) > 0).any(dim=0).view(plane.height, plane.width)

    def centre(self, frame: Frame) -> tuple[float, float]:
        """Centre of mass of what moves, in pixels."""
        densities = torch.tensor([0.0 if each.behaviour == "pinned" else each.density for each in self.materials])
        masses = self.particles.volumes.cpu() * densities[self.particles.bodies.cpu()]
        x, y = ((masses[:, None] * frame.positions.cpu()).sum(dim=0) / masses.sum() * self.picture.plane.width).tolist()
        return x, y

    def _sampled(self, piece: Piece, fields: Float[Tensor, "b n"], count: int | None) -> Particles:
        """Particles of all bodies: evenly chosen Gaussians of what shows."""
        gaussians, width = piece.layer.gaussians, self.picture.plane.width
        fitted = len(self.picture.gaussians)  # those that follow are the mirror image beyond the frame
        shown = torch.ones(fitted, device=gaussians.means.device)
        if gaussians.opacities is not None:
            shown = gaussians.opacities[:fitted].clamp(0, 1)
        side = spacing(self.picture.gaussians, self.picture.plane) / width
        points, areas = piece.origins[:fitted] / width, side * side * shown
        inside, owners = fields[:, :fitted].max(dim=0)
        own = [((owners == number) & (inside > 0.5) & (shown > 0)).nonzero()[:, 0] for number in range(len(fields))]
        for number, members in enumerate(own):
            if len(members) == 0:
                problem = "takes nothing of what the picture shows; enlarge it, or move it to what is not transparent"
                raise self.scene.mistake(number, PlacedError(("select",), problem))
        total = torch.cat(own)
        wanted = count or (len(total) if self.scene.particles == "all" else self.scene.particles)
        area = float(areas[total].sum())
        chosen, volumes, velocities, bodies, apart = [], [], [], [], 0.0
        for number, members in enumerate(own):
            share = float(areas[members].sum()) / area
            some, _ = evenly(points[members], areas[members], max(FEWEST, round(wanted * share)))
            chosen.append(members[some])
            volumes.append(volumes_of(points[members], areas[members], some))
            velocities.append(self.scene.bodies[number].velocities(points[chosen[-1]], volumes[-1]))
            bodies.append(torch.full_like(chosen[-1], number))
        ids = torch.cat(chosen)
        apart = max((area / len(ids)) ** 0.5, side)
        return Particles(points[ids], torch.cat(volumes), torch.cat(velocities), torch.cat(bodies), ids, apart)

    def _taken_apart(self, piece: Piece) -> tuple[Piece | None, list[Group]]:
        """What stays of a piece, if anything, and the groups that move."""
        rest: Piece | None = piece
        groups: list[Group] = []
        done: list[int] = []
        for members in adjacent(self.particles, self.materials):
            assert rest is not None
            fields = self.scene.body_fields(rest.origins)
            done += members
            opacities = rest.layer.gaussians.opacities
            shown = slice(None) if opacities is None else opacities > 0
            if bool((fields[done].amax(dim=0)[shown] >= 0.5).all()):
                taken, rest = rest, None
            else:
                rest, taken = parted(rest, fields[members].amax(dim=0), upper=True)
            own = torch.isin(self.particles.bodies, torch.tensor(members).to(self.particles.bodies)).nonzero()[:, 0]
            groups.append(self._group(taken, own, self.materials[members[0]].behaviour in BREAKING))
        return rest, groups

    def _group(self, piece: Piece, own: Int64[Tensor, " p"], breaking: bool) -> Group:
        width, particles = self.picture.plane.width, self.particles
        flags = torch.full_like(own, breaking, dtype=torch.bool)
        followers = Followers(Carrier(particles.positions[own], particles.spacing, flags), width, breaking)
        piece.steps = (Carry(followers, width),)
        pixel = self.picture.plane.pixel_size
        side = spacing(self.picture.gaussians, self.picture.plane) * pixel
        grain = max(side, GRAIN * particles.spacing * width * pixel) if breaking else None
        return Group(piece, own, followers, grain)


def content_of(picture: BakedPicture) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what a fitted picture shows, in pixels.

    Raises:
        GainerError: If it shows nothing.
    """
    width, height = float(picture.plane.width), float(picture.plane.height)
    gaussians = picture.gaussians
    if gaussians.opacities is None:
        return 0.0, 0.0, width, height
    shown = picture.plane.pixel_from_plane(gaussians.means[gaussians.opacities >= SHOWN].double())
    if len(shown) == 0:
        raise GainerError("the picture is clear all over, so there is nothing to simulate; fit another")
    (left, top), (right, bottom) = (shown.amin(dim=0) - 0.5).tolist(), (shown.amax(dim=0) + 0.5).tolist()
    return max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)


def adjacent(particles: Particles, materials: Sequence[Material]) -> list[list[int]]:
    """Bodies that hang together: alike in whether they break, and side by side at rest. Ascending, the first first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    pairs = KDTree(particles.positions.cpu().numpy()).query_pairs(ADJACENT * particles.spacing, output_type="ndarray")
    one, other = (particles.bodies.cpu().numpy()[ends] for ends in pairs.T)
    breaking = torch.tensor([material.behaviour in BREAKING for material in materials]).numpy()
    alike = (breaking[one] == breaking[other]) & (one != other)
    count = len(materials)
    links = coo_array((alike[alike], (one[alike], other[alike])), shape=(count, count))
    _, labels = connected_components(links, directed=False)
    return [[body for body in range(count) if labels[body] == label] for label in dict.fromkeys(labels.tolist())]
