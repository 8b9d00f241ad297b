"""A picture of Gaussians as a Python program holds it: drawn, edited, filmed, simulated or kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import DTypeLike
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.film import (
    Film,
    bound_film,
    camera_of,
    flat_film,
    in_bands,
    lifted_film,
    opacity_of,
    samples_of,
    stage_of,
)
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.io.image_writing import write_picture
from gainer_ns.io.outputs import output_for
from gainer_ns.io.sources import ScriptSource, words_of
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import Crop
from gainer_ns.ways import Way

if TYPE_CHECKING:  # what edits is imported where something is edited: a fit is kept, or shown, without it
    from gainer_ns.editing.shots import Camera
    from gainer_ns.io.colour_names import ColourNumbers
    from gainer_ns.lifting.scene import LiftedScene
    from gainer_ns.physics.engine import Frame

Progress = Callable[[float], None]


class Picture:
    """A picture made of Gaussians. It does not change: what edits it makes another one.

    :func:`gainer_ns.fit`, :func:`gainer_ns.load` and :func:`gainer_ns.lift` make one.

    Attributes:
        psnr: How near a fit came to its source, in dB; None for what was loaded or edited.
    """

    def __init__(
        self, drawn: BakedPicture | LiftedScene, psnr: float | None = None, *, camera: Camera | None = None
    ) -> None:
        self._drawn, self._camera, self.psnr = drawn, camera, psnr

    def __copy__(self) -> Picture:
        return self

    def __deepcopy__(self, memo: Any) -> Picture:
        return self

    def __reduce__(self) -> NoReturn:
        raise GainerError("a picture goes to another process by save() and gainer_ns.load()")

    def __repr__(self) -> str:
        size, count = f"{self.width} x {self.height}", sum(map(len, self._drawn.layers))
        return f"<gainer_ns.Picture of {size} pixels, {count:,} Gaussians>"

    def _repr_png_(self) -> bytes:
        """Return the picture as notebooks show it."""
        import io

        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(self.render()).save(file, "PNG")
        return file.getvalue()

    @property
    def width(self) -> int:
        """Width in pixels of the source."""
        return self._drawn.plane.width

    @property
    def height(self) -> int:
        """Height in pixels of the source."""
        return self._drawn.plane.height

    @property
    def is_lifted(self) -> bool:
        """Whether it is a photo in space."""
        return not isinstance(self._drawn, BakedPicture)

    @property
    def plane(self) -> ImagePlane:
        """Its frame: what turns pixels into plane units, in which Gaussians are, and back."""
        return self._drawn.plane

    @property
    def layers(self) -> tuple[GaussianSet, ...]:
        """The Gaussians of each layer, from back to front: means, covariances, features, opacities.

        In plane units (the longer side is 1, the origin the middle, y up), or of a photo in space in world units. They
        are copies: see :meth:`moved`.
        """
        return tuple(layer.gaussians.copied() for layer in self._drawn.layers)

    @property
    def gaussians(self) -> GaussianSet:
        """The Gaussians of a picture of one layer, as fitted ones have.

        Raises:
            GainerError: If it has several.
        """
        layers = self.layers
        if len(layers) != 1:
            raise GainerError(f"the picture has {len(layers)} layers; see .layers")
        return layers[0]

    def moved(self, means: Float[Tensor, "n d"], jacobians: Float[Tensor, "n d d"] | None = None) -> Picture:
        """Return the picture with its Gaussians elsewhere, for motion of your own.

        Args:
            means: Where each of :attr:`gaussians` goes, in the units of theirs.
            jacobians: How a small step at each mean shows afterwards, ``d phi / d mu``; None to estimate it from how
                the neighbours moved.

        Raises:
            GainerError: If the shapes do not fit, numbers are not finite, the picture has several layers, or a script
                has edited it.
        """
        gaussians, picture = self.gaussians, self._flat("moved")
        if not isinstance(picture.layers[0], Layer):
            raise GainerError("the picture was edited by a script; move its Gaussians first, and edit what comes of it")
        means = torch.as_tensor(means).to(gaussians.means)
        if means.shape != gaussians.means.shape or not bool(means.isfinite().all()):
            raise GainerError(f"means must be finite numbers of shape {list(gaussians.means.shape)}")
        if jacobians is None:
            from gainer_ns.physics.skinning import estimated_jacobians

            jacobians = estimated_jacobians(gaussians.means, means)
        jacobians = torch.as_tensor(jacobians).to(means)
        if tuple(jacobians.shape) not in {(len(means), 2, 2), (1, 2, 2)} or not bool(jacobians.isfinite().all()):
            raise GainerError(f"jacobians must be finite numbers of shape {[len(means), 2, 2]}")
        return Picture(picture.with_gaussians(gaussians.transformed(means, jacobians)))

    def sampled(self, way: Way) -> Picture:
        """Return the picture, read in another way between its pixels, by all that draws it from then on.

        Args:
            way: ``smooth`` as it was fitted; ``clamped`` to the range of the pixels around (line art); ``nearest``,
                which keeps pixels square (pixel art).

        Raises:
            GainerError: If there is no such way, or it is a photo in space.
        """
        from gainer_ns.loading import sampled

        return Picture(sampled(self._drawn, way, "the picture"), self.psnr, camera=self._camera)

    def render(
        self,
        *,
        scale: float = 1.0,
        crop: Crop | None = None,
        sampling: Way | None = None,
        dtype: DTypeLike = "uint8",
    ) -> np.ndarray:
        """Draw the picture.

        Args:
            scale: Output pixels per source pixel: shrinking averages.
            crop: (x0, y0, x1, y1) in source pixels, x right, y down; None for all of it.
            sampling: See :meth:`sampled`; None for as it is.
            dtype: Of the samples: uint8, uint16, or float32 in [0, 1].

        Returns:
            [h, w, 3], or [h, w, 4] where something is clear; colours are not multiplied by the opacity.

        Raises:
            GainerError: If the scale or the crop leaves no picture, or there is no memory for so many pixels.
        """
        rgb, alpha = self._raster(scale, crop, sampling)
        return samples_of(rgb, alpha, dtype)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        scale: float = 1.0,
        crop: Crop | None = None,
        sampling: Way | None = None,
        bit_depth: Literal[8, 16] | None = None,
    ) -> None:
        """Write the picture, whole or not at all.

        Args:
            path: A picture (.png, .webp, .tif, .jpg) of what :meth:`render` draws, or .safetensors: the Gaussians
                themselves, without what lies behind them, for :func:`gainer_ns.load`.
            scale: Output pixels per source pixel.
            crop: (x0, y0, x1, y1) in source pixels; None for all of it.
            sampling: See :meth:`sampled`.
            bit_depth: Bits a sample (16: PNG only); None for the source's.

        Raises:
            GainerError: If the kind of file cannot hold it, or it cannot be written.
        """
        output = output_for(Path(path), "picture", "model", bit_depth=bit_depth)
        if output.is_model:
            from gainer_ns.storage.picture_files import save_picture

            if scale != 1.0 or crop is not None or sampling is not None:
                raise GainerError(f"{path}: holds the whole picture at any scale; leave scale, crop and sampling out")
            save_picture(self._flat("stored as .safetensors"), output.path)
            return
        rgb, alpha = self._raster(scale, crop, sampling)
        depth = output.bit_depth(bit_depth, self._drawn.bit_depth)
        write_picture(output.path, rgb.numpy(), opacity_of(alpha), bit_depth=depth, profile=self._drawn.profile)

    def edit(self, script: ScriptSource, *, t: float = 1.0) -> Picture:
        """Return the picture after an edit script.

        Args:
            script: A YAML file, what would be in it, one edit such as ``{"rotate": {"degrees": 20}}``, or a list of
                edits; see docs/editing.md.
            t: Time of a script that moves, from 0 to 1.

        Raises:
            GainerError: If the script is wrong, or does not fit the picture.
        """
        picture = self._flat("edited as one picture (frames() films it)")
        stage = stage_of(picture, script)
        return Picture(stage.at(t), camera=camera_of(stage, stage.canvas, self._camera))

    def frames(
        self, script: ScriptSource, *, scale: float = 1.0, camera_path: str | os.PathLike[str] | None = None
    ) -> Film:
        """Film an edit script; the frames are drawn as they are asked for.

        Args:
            script: As of :meth:`edit`; ``frames`` or ``seconds``, ``fps`` and ``loop`` in it say how long it is.
            scale: Output pixels per source pixel.
            camera_path: Of a lifted photo: nerfstudio's camera path (.json) along which it is filmed; None for the
                script's, or else the camera that took it.

        Raises:
            GainerError: If the script is wrong or does not fit the picture, or no picture of that size can be drawn.
        """
        return self._filmed(script, scale, camera_path)

    def plan(
        self, script: ScriptSource, *, scale: float = 1.0, camera_path: str | os.PathLike[str] | None = None
    ) -> Film:
        """Return the film of :meth:`frames` for its :meth:`Film.plan` and :meth:`Film.check`.

        What a model would paint behind it is left open, so that nothing takes long.
        """
        return self._filmed(script, scale, camera_path, paint=False)

    def bind(
        self,
        reference: str | os.PathLike[str],
        frames: str | os.PathLike[str],
        *,
        fps: float = 24.0,
        scale: float = 1.0,
        canvas: Crop | None = None,
        background_color: str | ColourNumbers | None = None,
        background_image: str | os.PathLike[str] | None = None,
    ) -> Film:
        """Film the picture as it follows a mesh or points that another program moved.

        A lifted photo follows in space, and is filmed by the camera that took it.

        Args:
            reference: The unmoved mesh or points (.obj or .ply); see docs/blender.md.
            frames: Folder of the moved ones, frame_00000.obj (or .ply) and so on: the same vertices in the same order.
            fps: Frames a second.
            scale: Output pixels per source pixel.
            canvas: (x0, y0, x1, y1), the part that is drawn, in source pixels, perhaps beyond the picture.
            background_color: What lies behind, such as ``"tomato"`` or (255, 99, 71), as in scripts; None for nothing.
            background_image: Picture that lies behind, scaled to cover this one; None for nothing.

        Raises:
            GainerError: If a file is no mesh or has other vertices, or no picture of that size can be drawn.
        """
        image = None if background_image is None else Path(background_image)
        background = background_color, image
        return bound_film(self._drawn, Path(reference), Path(frames), fps, scale, canvas, background)

    def simulate(
        self, scene: str | os.PathLike[str] | Mapping[str, Any], *, scale: float = 1.0, particles: int | None = None
    ) -> Film:
        """Film the picture, or parts of it, falling, bouncing, splashing or crumbling.

        Args:
            scene: A YAML file, or what would be in it; see docs/physics.md.
            scale: Output pixels per source pixel.
            particles: How many are simulated, instead of as many as the scene says.

        Raises:
            GainerError: If the scene is wrong, or does not fit the picture.
        """
        from gainer_ns.physics.mpm.engine import MpmEngine
        from gainer_ns.physics.simulation import scene_for, simulated_picture

        simulated = simulated_picture(scene_for(words_of(scene), self._drawn), self._drawn, particles)
        config, camera = simulated.config, simulated.camera(scale)
        kept: list[Frame] = []

        def frames() -> Iterable[Frame]:
            if kept:
                return kept
            made = MpmEngine().run(config, simulated.particles, simulated.materials)
            if camera.crop is None:  # all of them come before the first is drawn
                kept.extend(replace(frame, state={}) for frame in made)
            return kept or made

        return Film(
            lambda first, end: islice(simulated.takes(frames, camera), first, end),
            simulated.shot,
            camera,
            config.frames,
            config.fps,
            self._drawn,
        )

    def _raster(self, scale: float, crop: Crop | None, sampling: Way | None) -> tuple[Tensor, Tensor]:
        """Return colours [h, w, 3] and opacity [h, w], in the processor's memory."""
        if not (isinstance(scale, int | float) and (crop is None or len(crop) == 4)):
            raise GainerError(f"scale {scale!r}, crop {crop!r}: give a number, and four of them (x0, y0, x1, y1)")
        drawn = in_bands((self if sampling is None else self.sampled(sampling))._drawn)
        if self._camera is None:
            rgb, alpha = drawn.raster(scale, crop)
            return rgb.cpu(), alpha[..., 0].cpu()
        camera = replace(self._camera, scale=scale, crop=crop or self._camera.crop)
        frame = camera.draw(drawn)
        return frame.colours.cpu(), frame.opacity.cpu()

    def _flat(self, what: str) -> BakedPicture:
        if not isinstance(self._drawn, BakedPicture):
            raise GainerError(f"a photo in space cannot be {what}; give a flat picture")
        return self._drawn

    def _filmed(
        self, script: ScriptSource, scale: float, camera_path: str | os.PathLike[str] | None, *, paint: bool = True
    ) -> Film:
        if not isinstance(self._drawn, BakedPicture):
            return lifted_film(self._drawn, script, scale=scale, camera_path=camera_path)
        if camera_path is not None:
            raise GainerError(f"camera path {camera_path}: films lifted photos only; leave it out for a flat picture")
        return flat_film(self._drawn, script, scale=scale, before=self._camera, paint=paint)
