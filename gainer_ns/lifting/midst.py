"""Which pixels of the photo in the midst of a scene the discs of its other photos go by, when they are selected."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.lifting.joined import AGREEMENT
from gainer_ns.lifting.layer import LiftedLayer
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import CameraView

_SURFACE_PX = 400.0
"""Discs of which one is e times as far as the other count as so many pixels apart: as on surfaces of their own."""


def pixels_in_midst(scene: LiftedScene) -> list[Float[Tensor, "n 2"]]:
    """Return, for the discs of each layer, the pixels of ``scene.camera``'s photo that say what happens to them.

    Those of that photo go by their own. Of another photo, what that one shows too goes by where it is seen there, and
    what it does not show as what is next to it on its surface; what was made up goes by the surface that it continues.
    """
    pixels: list[Float[Tensor, "n 2"]] = []
    depth = _depth_in_midst(scene) if scene.views else None
    for layer in scene.layers:
        if depth is None or layer.view == scene.midst:
            pixels.append(layer.pixel_centres(scene.camera.width))
        elif layer.hidden_of is None:
            pixels.append(_of_another(scene, depth, layer))
        else:
            camera = scene.views[layer.view].camera
            above = scene.layers[layer.hidden_of].first_discs(camera.width * camera.height)
            pixels.append(pixels[layer.hidden_of][above[layer.pixels.long()]])
    return pixels


def _depth_in_midst(scene: LiftedScene) -> Float[Tensor, " p"]:
    """Return the depth of what each pixel of the photo in the midst shows; infinite where that is nothing."""
    depth = torch.full((scene.plane.pixels,), torch.inf, device=scene.device)
    for layer in scene.own_layers:
        solid = layer.opacities > 0
        depths = -CameraView(scene.camera).in_camera(layer.gaussians.means[solid].float())[:, 2]
        depth.scatter_reduce_(0, layer.pixels[solid].long(), depths, "amin")
    return depth


def _of_another(scene: LiftedScene, depth: Float[Tensor, " p"], layer: LiftedLayer) -> Float[Tensor, "n 2"]:
    """Return the pixels that discs of another photo go by."""
    means, (width, height) = layer.gaussians.means.float(), (scene.camera.width, scene.camera.height)
    places, depths = scene.camera.project(CameraView(scene.camera).in_camera(means))
    column, row = places.nan_to_num().floor().long().unbind(dim=1)
    inside = (depths > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    there = depth[row.clamp(0, height - 1) * width + column.clamp(0, width - 1)]
    seen = inside & ((depths / there - 1).abs() < AGREEMENT)
    if bool(seen.all()) or not bool(seen.any()):
        return places
    view = scene.views[layer.view]
    own, away = view.camera.project(view.in_camera(means))
    on_surface = torch.cat([own, _SURFACE_PX * away.clamp(min=1e-6).log()[:, None]], dim=1)
    nearest = NeighbourIndex(on_surface[seen], torch.inf).query(on_surface[~seen], 1).indices[:, 0].long()
    places[~seen] = places[seen][nearest]
    return places
