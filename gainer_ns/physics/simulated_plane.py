"""A flat picture in a scene: its Gaussians are chosen as particles, and all of them follow these."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.editing.backdrops import BackgroundPlate
from gainer_ns.editing.borders import typical_spacing, unframed
from gainer_ns.editing.pieces import Piece, parted
from gainer_ns.editing.shots import Camera, check_frame
from gainer_ns.errors import GainerError
from gainer_ns.physics.engine import Frame, Particles
from gainer_ns.physics.lengths import Bounds
from gainer_ns.physics.sampling import members_of, particles_of
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.simulated_picture import SimulatedPicture, cut_out
from gainer_ns.physics.skinning import BodySkin, SkinStep
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture

if TYPE_CHECKING:
    from gainer_ns.lifting.views import CameraPath

GRAIN_SPACINGS = 0.6
"""Radius of what a loose particle shows, in spacings of the particles: dense ones leave no gaps between them."""
NEIGHBOURHOOD_GRAINS = 4.0
"""How far around Gaussians of what breaks points read them, in radii of what is loose."""
MIN_CONTENT_OPACITY = 0.5
"""From this opacity on a Gaussian counts for where a picture shows something."""


class SimulatedPlane(SimulatedPicture):
    """A fitted picture in a scene; see :func:`gainer_ns.physics.simulation.simulated_picture`.

    Raises:
        GainerError: A body has no Gaussians, or the scene does not fit its particles.
    """

    def __init__(self, scene: Scene, picture: BakedPicture, count: int | None = None) -> None:
        if len(picture.layers) != 1 or picture.gaussians.inverse_jacobians is not None:
            raise GainerError("an edited picture cannot be simulated; simulate it as it was fitted")
        self.picture, plane = picture, picture.plane
        layer, border = unframed(picture.only_layer, plane)  # with the mirror image beyond the frame, after the fitted
        whole = Piece(None, layer, plane, plane, border)
        side = typical_spacing(picture.gaussians, plane)
        particles = _particles(scene, picture, whole.origins[: len(picture.gaussians)], side, count)
        scene.check_particles(particles)
        super().__init__(scene, particles, scene.simulation_config(), plane.width)
        self._grain = max(side, GRAIN_SPACINGS * particles.spacing * plane.width) * plane.pixel_size
        self._rest, self._pieces = cut_out(
            whole,
            self._skins,
            lambda piece: scene.body_fields(piece.origins),
            lambda piece: _is_visible(piece.layer),
            lambda piece, inside: parted(piece, inside, upper=True),
        )
        for piece, skin in zip(self._pieces, self._skins, strict=True):
            piece.steps = (SkinStep(skin),)

    def at(self, frame: Frame) -> BakedPicture:
        """Return the picture in a frame."""
        if frame.time == 0:
            return self.picture
        amounts = self._show(frame)
        pieces = zip(reversed(self._pieces), reversed(self._skins), strict=True)  # from back to front
        layers = [self._layer(piece, skin, amounts) for piece, skin in pieces]
        if self._rest is not None:
            layers.insert(0, self._rest.posed(amounts))
        return replace(self.picture, layers=tuple(layers))

    def moved(self, points: Float[Tensor, "m 2"], frame: Frame) -> Float[Tensor, "m 2"]:
        """Return where points of the picture have gone in a frame, in pixels."""
        self._show(frame)
        fields, result = self.scene.body_fields(points), points.clone()
        for skin in self._skins:
            own = skin.owns(fields)
            result[own] = skin.pose(points[own]).positions.to(points) * self.picture.plane.width
        return result

    def hole(self) -> Bool[Tensor, "h w"]:
        """Return the pixels of the picture that bodies were cut out of."""
        plane, device = self.picture.plane, self.picture.device
        if self._rest is None:
            return torch.zeros(plane.height, plane.width, dtype=torch.bool, device=device)
        pixels = plane.pixel_from_plane(plane.pixel_centres(torch.arange(plane.pixels, device=device)))
        return (self.scene.body_fields(pixels) > 0).any(dim=0).view(plane.height, plane.width)

    def camera(self, scale: float, path: CameraPath | None = None) -> Camera:
        """Return what films it as far as the scene's canvas extends."""
        if path is not None:
            raise GainerError("--camera-path: films lifted photos only; leave it out for a flat picture")
        check_frame(self.picture, scale, self.scene.filmed)
        return Camera(BackgroundPlate.of(self.scene.background, self.picture, self.hole), scale, self.scene.filmed)

    def _drawn(self, frame: Frame, number: int, path: CameraPath | None) -> BakedPicture:
        return self.at(frame)

    def _pixel(self, place: Float[Tensor, " d"]) -> tuple[float, float]:
        x, y = (place * self.picture.plane.width).tolist()
        return x, y

    def _layer(self, piece: Piece, skin: BodySkin, amounts: list[int]) -> Layer:
        """Return a piece as a layer of the picture, in the frame that the skins show."""
        layer = piece.posed(amounts)
        if not skin.breaking:
            return layer
        torn = skin.pose(piece.origins).torn
        if len(layer.gaussians) != len(torn):  # the frame of an opaque picture that has not moved yet
            return layer
        return loosened(layer, torn, self._grain)


def loosened(layer: Layer, torn: Float[Tensor, " n"], grain: float) -> Layer:
    """Let the loose parts of a layer end near their Gaussians instead of where those of the whole ended.

    Args:
        layer: A posed layer.
        torn: [n], how loose each Gaussian is, from 0 to 1.
        grain: How far a loose one shows, plane units.
    """
    gaussians = layer.gaussians
    kept = torch.ones_like(torn, dtype=torch.bool)
    if gaussians.opacities is not None:  # what was clear around it has no meaning inside of a heap
        kept = (gaussians.opacities > 0) | (torn < 0.5)
    gaussians, torn = gaussians[kept], torn[kept]
    gaussians = replace(
        gaussians, radius=min(gaussians.radius, NEIGHBOURHOOD_GRAINS * grain)
    )  # what is farther off is not seen anyway
    supports = torch.lerp(torch.full_like(torn, gaussians.radius), torch.full_like(torn, grain), torn)
    return replace(layer, gaussians=gaussians, support_radii=supports, fade=0.5 * grain)


def content_of(picture: BakedPicture) -> Bounds:
    """Return left, top, right and bottom of what a fitted picture shows, in pixels.

    Raises:
        GainerError: If it shows nothing.
    """
    width, height = float(picture.plane.width), float(picture.plane.height)
    if len(picture.layers) != 1:
        raise GainerError(f"the picture has {len(picture.layers)} layers, and only one moves; simulate it unedited")
    gaussians = picture.gaussians
    if gaussians.opacities is None:
        return 0.0, 0.0, width, height
    shown = picture.plane.pixel_from_plane(gaussians.means[gaussians.opacities >= MIN_CONTENT_OPACITY].double())
    if len(shown) == 0:
        raise GainerError("the picture is clear all over, so there is nothing to simulate; fit another")
    (left, top), (right, bottom) = (shown.amin(dim=0) - 0.5).tolist(), (shown.amax(dim=0) + 0.5).tolist()
    return max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)


def _is_visible(layer: Layer) -> Bool[Tensor, " n"]:
    gaussians = layer.gaussians
    if gaussians.opacities is None:
        return torch.ones(len(gaussians), dtype=torch.bool, device=gaussians.means.device)
    return gaussians.opacities > 0


def _particles(
    scene: Scene, picture: BakedPicture, origins: Float[Tensor, "n 2"], side: float, count: int | None
) -> Particles:
    """Return particles of all bodies: evenly chosen Gaussians of what shows, which lie so many pixels apart."""
    gaussians, width = picture.gaussians, picture.plane.width
    opacities = torch.ones(len(gaussians), device=gaussians.means.device)
    if gaussians.opacities is not None:
        opacities = gaussians.opacities.clamp(0, 1)
    members = members_of(scene, origins, opacities > 0)
    wanted = count or (sum(map(len, members)) if scene.particles == "all" else scene.particles)
    side = side / width
    particles = particles_of(scene, members, origins / width, side * side * opacities, wanted)
    return replace(particles, spacing=max(particles.spacing, side))
