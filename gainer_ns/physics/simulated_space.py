"""A lifted photo in a scene: its surface is given a thickness, and simulated in space."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.backdrops import BackgroundPlate
from gainer_ns.editing.lifted_piece import SHOWN_OPACITY, LiftedPiece, parted_discs
from gainer_ns.editing.shots import Camera, SceneView, check_frame
from gainer_ns.editing.space_step import SpaceStep
from gainer_ns.errors import GainerError
from gainer_ns.frames import CAMERA_DISTANCE, PixelSpace
from gainer_ns.io.places import PlacedError
from gainer_ns.lifting.layer import LiftedLayer
from gainer_ns.lifting.midst import pixels_in_midst
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import CameraPath, CameraView
from gainer_ns.memory import check_free
from gainer_ns.physics.body_skins import SkinStep
from gainer_ns.physics.engine import Frame, Particles
from gainer_ns.physics.lengths import Bounds
from gainer_ns.physics.sampling import BYTES_PER_PARTICLE, members_of, particles_of
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.simulated_picture import SimulatedPicture, cut_out

MIN_THICKNESS, MAX_THICKNESS = 0.15, 0.5
"""How far bodies go on behind their surface, as shares of the shorter side of the box around what they select: a photo
does not show it. They are filled up to where they are farthest away, within these bounds."""
BACK_QUANTILE = 0.05
"""Share of a surface that may lie even farther away."""
MIN_SHEETS = 3
"""Particles one behind the other, at least."""
DEPTH_MARGIN = 0.25
"""Room before and behind the bodies, in widths of the photo."""


class SimulatedSpace(SimulatedPicture):
    """A lifted photo in a scene: of its first layer, which is the object where one was chosen.

    Lengths are those of pixels at the depth of what is simulated: half of it is nearer, half farther away. Particles
    behind the surface stand for no Gaussian. What breaks keeps its discs, stretched by little: gaps between grains are
    only as wide as their places make them.

    Raises:
        GainerError: A body takes nothing that was lifted, or the scene does not fit its particles.
    """

    def __init__(self, scene: Scene, lifted: LiftedScene, count: int | None = None) -> None:
        for number, material in enumerate(scene.materials):
            if material.tear is not None:
                problem = "means nothing to lifted photos, whose surfaces do not tear; leave it out"
                raise scene.mistake(number, PlacedError(("material", "tear"), problem))
        self.lifted = lifted
        layer, width = lifted.own_layers[0], lifted.camera.width
        members = members_of(scene, layer.pixel_centres(width), layer.opacities > SHOWN_OPACITY)
        selected = torch.cat(members)
        depths = CAMERA_DISTANCE - layer.gaussians.means[:, 2].double()
        depth = float(depths[selected].median())
        self._space = PixelSpace(lifted.camera, depth)
        places = self._space.from_world(layer.gaussians.means.double()) / width
        areas = (depths / depth / width).square()
        wanted = count or (len(selected) if scene.particles == "all" else scene.particles)
        low, high = places[selected].amin(dim=0), places[selected].amax(dim=0)
        side = float((high - low)[:2].amin())
        back = places[selected, 2].quantile(BACK_QUANTILE)
        thickness = (places[:, 2] - back).clamp(MIN_THICKNESS * side, MAX_THICKNESS * side)
        volume = float((areas * thickness)[selected].sum())
        # As many on the surface as make cubes of the whole.
        on_surface = float(areas[selected].sum()) * (wanted / volume) ** (2 / 3)
        surface = particles_of(scene, members, places, areas, max(1, round(min(on_surface, wanted / MIN_SHEETS))))
        particles = thickened(surface, thickness[surface.gaussian_ids])
        left, top, right, bottom = content_of_lifted(lifted)
        (x0, y0), (x1, y1) = (low[:2] * width).tolist(), (high[:2] * width).tolist()
        # What is farther away than most extends farther, as pixels of its own depth are larger.
        room = scene.on(width, lifted.camera.height, (min(left, x0), min(top, y0), max(right, x1), max(bottom, y1)))
        room.check_particles(particles)
        farthest, nearest = particles.positions[:, 2].aminmax()
        depth_range = float(farthest) - DEPTH_MARGIN, float(nearest) + DEPTH_MARGIN
        super().__init__(scene, particles, room.simulation_config(3, depth_range), width)
        self._pieces: list[LiftedPiece] = []
        self._still: list[LiftedLayer] = []
        layers = zip(lifted.layers, lifted.ranks, pixels_in_midst(lifted), strict=True)
        for number, (each, rank, centres) in enumerate(layers):
            if rank > 0:
                self._still.append(each)
            elif each.hidden_of is None:  # what the simulated object hid of itself is nowhere once it moves
                self._cut(LiftedPiece(number, each, torch.ones_like(each.pixels, dtype=torch.bool), centres))

    def _cut(self, whole: LiftedPiece) -> None:
        """Take what is simulated out of what a photo shows."""
        rest, pieces = cut_out(
            whole,
            self._skins,
            lambda piece: self.scene.body_fields(piece.centres),
            lambda piece: piece.layer.opacities > 0,
            parted_discs,
        )
        if rest is not None:
            self._still.insert(0, rest.layer)
        for piece, skin in zip(pieces, self._skins, strict=True):
            piece.steps = (SpaceStep(SkinStep(skin), self._space),)
        self._pieces += pieces

    def at(self, frame: Frame, max_nodes: int | None = None) -> LiftedScene:
        """Return the photo in a frame; see :meth:`SimulatedPicture.at`."""
        if frame.time == 0:
            return self.lifted
        amounts = self._show(frame)
        return replace(self.lifted, layers=(*(piece.posed(amounts) for piece in self._pieces), *self._still))

    def places(self, points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 2"]:
        """Return where points of the world are in the plane of the scene, in widths."""
        return self._space.from_world(points.double())[:, :2] / self.lifted.camera.width

    def camera(self, scale: float, path: CameraPath | None = None) -> Camera:
        """Return what films it.

        There is nothing beyond the frame of a photo that was lifted with its background, so that is filmed unless the
        scene names a canvas.
        """
        background = self.scene.background
        if background.inpaint is not None:
            raise GainerError(
                "background: a lifted photo is not inpainted when it is filmed; lift it with its background, or "
                "write a color or an image"
            )
        shot = SceneView(self.lifted, CameraView(self.lifted.camera) if path is None else path.views[0])
        crop = None if path is not None else self.scene.filmed
        check_frame(shot, scale, crop)
        plate = BackgroundPlate.colour_or_image(background.color, background.image, shot)
        return Camera(plate, scale, crop, self._check_shown)

    def _drawn(self, frame: Frame, number: int, path: CameraPath | None) -> SceneView:
        views = (CameraView(self.lifted.camera),) if path is None else path.views
        progress = number / max(1, self.config.frames - 1)
        return SceneView(self.at(frame), views[min(round(progress * (len(views) - 1)), len(views) - 1)])

    def films_all(self, path: CameraPath | None) -> bool:
        """Tell whether a camera takes in all that is shown in any frame."""
        return path is None and self.scene.filmed is None and self.lifted.has_alpha

    def _reach(self, frame: Frame) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
        amounts = self._show(frame)
        layers = [piece.posed(amounts) for piece in self._pieces]
        shown = [layer.gaussians.means[layer.opacities > SHOWN_OPACITY] for layer in layers]
        pixels = self._project(torch.cat([*shown, layers[0].gaussians.means[:1]]))
        return pixels.amin(dim=0) - 1, pixels.amax(dim=0) + 1

    def _pixel(self, place: Float[Tensor, " d"]) -> tuple[float, float]:
        pixel = self._project(self._space.to_world(place.double() * self.lifted.camera.width)[None])
        return float(pixel[0, 0]), float(pixel[0, 1])

    def _project(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "k 2"]:
        """Return where those points of the world that lie before the camera are seen, in pixels."""
        pixels, depths = self.lifted.camera.project(points.double() - points.new_tensor([0, 0, CAMERA_DISTANCE]))
        return pixels[depths > 0]


def thickened(surface: Particles, thickness: Float[Tensor, " n"]) -> Particles:
    """Add particles behind those of a surface, away from the camera.

    Args:
        surface: Of volumes that are areas, as the camera sees them.
        thickness: Of the body behind each of them, widths.

    Raises:
        GainerError: If there is no memory for so many.
    """
    sheets = (thickness / surface.spacing).round().long().clamp(min=MIN_SHEETS)
    check_free(
        int(sheets.sum()) * BYTES_PER_PARTICLE[3],
        f"particles: {int(sheets.sum()):,} of them",
        "write fewer into the scene",
    )
    columns = torch.arange(len(surface), device=sheets.device).repeat_interleave(sheets)
    starts = torch.cumsum(sheets, dim=0) - sheets
    behind = torch.arange(len(columns), device=sheets.device) - starts[columns]
    apart = (thickness / sheets)[columns]
    positions = surface.positions[columns].clone()
    positions[:, 2] -= apart * behind
    return Particles(
        positions,
        volumes=surface.volumes[columns] * apart,
        velocities=surface.velocities[columns],
        bodies=surface.bodies[columns],
        gaussian_ids=torch.where(behind == 0, surface.gaussian_ids[columns], -1),
        spacing=surface.spacing,
    )


def content_of_lifted(lifted: LiftedScene) -> Bounds:
    """Return left, top, right and bottom of what may be simulated of a lifted photo, in pixels.

    Raises:
        GainerError: If nothing was lifted.
    """
    layer = lifted.own_layers[0]
    shown = layer.pixel_centres(lifted.camera.width)[layer.opacities > SHOWN_OPACITY]
    if len(shown) == 0:
        raise GainerError("nothing was lifted that shows, so there is nothing to simulate; lift another photo")
    (left, top), (right, bottom) = (shown.amin(dim=0) - 0.5).tolist(), (shown.amax(dim=0) + 0.5).tolist()
    return left, top, right, bottom
