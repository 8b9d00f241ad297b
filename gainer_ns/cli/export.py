"""``gainer export``: a fitted picture as a file for other programs, or for keeping."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gainer_ns.errors import GainerError

if TYPE_CHECKING:
    from gainer_ns.rendering.plane import BakedPicture


@dataclass
class Export:
    """Write a fitted picture to one file that holds all that drawing it needs."""

    load_config: Path
    """The config.yml of a run, or a .safetensors file of an earlier export."""
    output: Path
    """File to write, named as its kind: picture.safetensors."""
    format: Literal["safetensors"] = "safetensors"
    """Kind of file. A safetensors file stands in for a run's config.yml in other subcommands."""
    bits: Literal[32, 16, 8] = 32
    """Bits of each feature channel (safetensors): 32 is exact, 16 and 8 make smaller files; 8 takes some time."""

    def run(self) -> None:
        """Loads the picture and writes it."""
        from nerfstudio.utils.rich_utils import CONSOLE, status

        if self.output.suffix != f".{self.format}":
            raise GainerError(f"{self.output}: end the name in .{self.format}, by which the file is known later")
        with status("Loading the picture"):
            from gainer_ns.image.loading import load_baked

            picture = load_baked(self.load_config)
        write = {"safetensors": self._safetensors}[self.format]
        with status("Writing"):
            note = write(picture)
        size = f"{self.output.stat().st_size:,} bytes"
        CONSOLE.print(
            f"Wrote {self.output}: {size}, {len(picture.gaussians):,} Gaussians, {note}", markup=False, soft_wrap=True
        )

    def _safetensors(self, picture: BakedPicture) -> str:
        from gainer_ns.rendering.storage import save_picture

        save_picture(picture, self.output, self.bits)
        return f"{self.bits} bits a feature channel"
