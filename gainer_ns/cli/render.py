"""``gainer render``: a fitted picture, or a part of it, at any resolution."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gainer_ns.cluster import check_cluster
from gainer_ns.errors import GainerError
from gainer_ns.io.inputs import check_run
from gainer_ns.io.outputs import output_for
from gainer_ns.ways import Way


@dataclass
class Render:
    """Draw a fitted picture at any resolution.

    Enlarging samples the continuous picture; shrinking averages it over the area of each pixel. Photos lifted by
    gainer-lift are seen from where they were taken; ns-render shows them from elsewhere.
    """

    load_config: Path
    """The config.yml of a run, or a .safetensors file of `gainer fit` or `gainer export`."""
    output: Path
    """Picture to write: .png, .webp or .tif (without loss, with opacity where there is some), or .jpg."""
    scale: float = 1.0
    """Output pixels per source pixel: 2 doubles width and height, 0.5 halves them."""
    crop: tuple[float, float, float, float] | None = None
    """X0 Y0 X1 Y1 in source pixels, x right, y down, 0 0 the top-left corner; beyond the picture is transparent."""
    bit_depth: Literal[8, 16] | None = None
    """Bits a sample (16: PNG only); the source's when not given."""
    fraction: float = 1.0
    """Draw with so many of the Gaussians, evenly chosen: above 0, up to 1."""
    sampling: Way = "smooth"
    """Between the pixels: smooth as it was fitted, clamped to the range of the pixels around (line art), or nearest,
    which keeps pixels square (pixel art)."""
    ray: str | None = None
    """Address of a Ray cluster that draws it in bands of rows: HOST:PORT, ray://HOST:PORT, or auto."""

    def run(self) -> None:
        """Draw and write the picture."""
        from gainer_ns.cli.terminal import progress_bar, say, status

        output = output_for(self.output, "picture", bit_depth=self.bit_depth)
        check_run(self.load_config)
        if self.ray is not None:
            check_cluster(self.ray)
        if not 0 < self.fraction <= 1:
            raise GainerError(f"--fraction {self.fraction:g}: choose above 0, up to 1")
        with status("Loading the picture"):
            from gainer_ns.film import in_bands
            from gainer_ns.io.image_writing import write_picture
            from gainer_ns.loading import as_baked, load_shown, sampled
            from gainer_ns.rendering.drawable import Drawable

            picture = load_shown(self.load_config)
            if self.fraction < 1:
                if not isinstance(picture, Drawable):
                    raise GainerError(
                        f"{self.load_config}: is a lifted photo, which is drawn whole; leave out --fraction"
                    )
                picture = as_baked(picture, self.load_config).coarse(self.fraction)
            picture = sampled(picture, self.sampling, self.load_config)
        bit_depth = output.bit_depth(self.bit_depth, picture.bit_depth)
        output.check_opacity(picture.has_alpha)
        with progress_bar("Drawing") as progress:
            rgb, alpha = in_bands(picture, self.ray, bit_depth).raster(self.scale, self.crop, progress)
        opacity = alpha[..., 0].cpu().numpy() if picture.has_alpha or bool((alpha < 1).any()) else None
        write_picture(self.output, rgb.cpu().numpy(), opacity, bit_depth=bit_depth, profile=picture.profile)
        size = f"{rgb.shape[1]} x {rgb.shape[0]} pixels"
        say(f"Wrote {self.output}: {size}")
