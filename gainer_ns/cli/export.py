"""``gainer export``: a fitted picture as a file for other programs, or for keeping."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gainer_ns.errors import GainerError
from gainer_ns.io.inputs import check_run
from gainer_ns.io.outputs import named_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gainer_ns.exporting.gaussians import PlainGaussians
    from gainer_ns.lifting.scene import LiftedScene
    from gainer_ns.rendering.plane import BakedPicture

Format = Literal["safetensors", "points", "triangles", "cage", "splat", "spz", "glb", "html", "ora"]
SUFFIXES: dict[Format, tuple[str, ...]] = {
    "safetensors": (".safetensors",),
    "points": (".ply",),
    "triangles": (".ply",),
    "cage": (".obj",),
    "splat": (".ply", ".spz", ".glb"),
    "spz": (".spz",),
    "glb": (".glb",),
    "html": (".html",),
    "ora": (".ora",),
}
LIFTED: tuple[Format, ...] = ("points", "splat", "spz", "glb", "html", "ora")
"""What lifted photos are written as."""
OF_ONE_LAYER: tuple[Format, ...] = ("points", "triangles", "cage", "splat", "spz")
"""What holds no pictures of several layers."""
BITS, CELLS = 32, 24


@dataclass
class Export:
    """Write a fitted picture to one file, for keeping or for other programs.

    safetensors holds all that drawing needs. points and triangles hold each Gaussian with its number, and cage a coarse
    mesh over the picture: move them in another program, and gainer bind moves the picture along. splat is for viewers
    of 3D Gaussian splats, as the name says: .ply, .compressed.ply (SuperSplat's), .spz (a tenth as large) or .glb. glb
    is a textured mesh, html a page to look around in that needs no server and no network, and ora holds the layers for
    painting programs. Photos lifted by gainer-lift are written as all of these but safetensors, triangles and cage.
    """

    load_config: Path
    """The config.yml of a run, or a .safetensors file of an earlier export."""
    output: Path
    """File to write, named as its kind: picture.safetensors, points.ply, cage.obj, splat.spz, mesh.glb, page.html."""
    format: Format = "safetensors"
    """Kind of file. A safetensors file stands in for a run's config.yml in other subcommands."""
    bits: Literal[32, 16, 8] = BITS
    """Bits of each feature channel (safetensors) of pictures that are not kept as their pixels, as a usual fit is, and
    of edits: 32 is exact, 16 and 8 make smaller files; 8 takes some time."""
    cells: int = CELLS
    """Cells of the mesh along the picture's longer side (cage)."""

    def run(self) -> None:
        """Load the picture and write it."""
        from gainer_ns.cli.terminal import say, status

        named_output(self.output, *SUFFIXES[self.format])
        check_run(self.load_config)
        for option, given, usual, kind in (
            ("bits", self.bits, BITS, "safetensors"),
            ("cells", self.cells, CELLS, "cage"),
        ):
            if given != usual and self.format != kind:
                raise GainerError(f"--{option} {given}: only {kind} files have them; leave it out for {self.format}")
        with status("Loading the picture"):
            from gainer_ns.loading import load_run
            from gainer_ns.rendering.plane import BakedPicture

            picture = load_run(self.load_config)
        lifted = not isinstance(picture, BakedPicture)
        if lifted and self.format not in LIFTED:
            raise GainerError(
                f"{self.load_config}: is a lifted photo, and {self.format} files are flat; choose --format "
                f"{' or '.join(LIFTED)}"
            )
        if not lifted and self.format in OF_ONE_LAYER and len(picture.layers) != 1:
            raise GainerError(
                f"{self.load_config}: was edited into {len(picture.layers)} layers, and a {self.format} file holds "
                "one; choose --format safetensors, glb, html or ora, or export the picture as it was fitted"
            )
        with status("Writing"):
            note = getattr(self, f"_{self.format}")(picture)
        size = f"{self.output.stat().st_size:,} bytes"
        count = sum(map(len, picture.rest_layers if isinstance(picture, BakedPicture) else picture.layers))
        say(f"Wrote {self.output}: {size}, {count:,} Gaussians, {note}")

    def _safetensors(self, picture: BakedPicture) -> str:
        from gainer_ns.storage.picture_files import picture_header, save_picture
        from gainer_ns.storage.pixels import is_of_pixels

        save_picture(picture, self.output, self.bits)
        layers = picture_header(self.output)["layers"]
        pixels = sum(is_of_pixels(layer) for layer in layers)
        return "as pixels, losslessly" if pixels == len(layers) else f"{self.bits} bits a feature channel"

    def _points(self, shown: BakedPicture | LiftedScene) -> str:
        from gainer_ns.exporting.gaussians import write_points

        gaussians, comments = self._gaussians(shown)
        write_points(self.output, gaussians, comments)
        return f"{len(gaussians.means):,} of them seen"

    def _splat(self, shown: BakedPicture | LiftedScene) -> str:
        from gainer_ns.exporting.splat import write_splat

        gaussians, comments = self._gaussians(shown)
        growth = write_splat(self.output, gaussians, comments)
        return f"{len(gaussians.means):,} of them seen, sized by {growth:.2f} for viewers"

    _spz = _splat

    def _glb(self, shown: BakedPicture | LiftedScene) -> str:
        from gainer_ns.exporting.mesh import write_mesh

        return f"as {write_mesh(self.output, shown):,} textured triangles"

    def _html(self, shown: BakedPicture | LiftedScene) -> str:
        from gainer_ns.exporting.page import write_page

        return write_page(self.output, shown)

    def _ora(self, shown: BakedPicture | LiftedScene) -> str:
        from gainer_ns.exporting.open_raster import write_open_raster

        return f"of layers: {write_open_raster(self.output, shown)}"

    @staticmethod
    def _gaussians(shown: BakedPicture | LiftedScene) -> tuple[PlainGaussians, Sequence[str]]:
        """Return Gaussians, and comments on their space."""
        from gainer_ns.exporting.gaussians import plain_gaussians
        from gainer_ns.rendering.plane import BakedPicture

        if isinstance(shown, BakedPicture):
            return plain_gaussians(shown), ()
        from gainer_ns.exporting.lifted import comments_on, lifted_gaussians

        return lifted_gaussians(shown), comments_on(shown)

    def _triangles(self, picture: BakedPicture) -> str:
        from gainer_ns.exporting.gaussians import plain_gaussians, write_triangles

        write_triangles(self.output, plain_gaussians(picture))
        return "a triangle each"

    def _cage(self, picture: BakedPicture) -> str:
        from gainer_ns.exporting.cage import cage_over
        from gainer_ns.io.meshes import write_obj

        cage = cage_over(picture.plane, picture.gaussians.means, self.cells)
        write_obj(self.output, *cage)
        return f"under {len(cage.faces):,} triangles"
