"""Makes taichi_elements.tar.xz: two small simulations by Taichi Elements, as folders that the files engine reads.

Run once, by hand, where taichi and a checkout of taichi_elements are:

    python tests/physics/data/make_taichi_elements.py CHECKOUT

The picture is 100 x 100, and so is the domain. Its borders may be left, and have a friction of 0.4 at the bottom and
of 0 elsewhere. Gravity is 5 widths a squared second. A cell is two spacings.

- disc: medium (elastic, E 250, nu 0.35, density 1), centre (0.5, 0.35), radius 0.15, spacing 0.0125, 13 frames at 10 a
  second. It falls, and bounces once.
- column: liquid (bulk modulus 300, density 1), a block of 0.25 x 0.45 in the lower left corner, spacing 1/60, 11 frames
  at 5 a second. It breaks, runs up the other side and comes to rest.

Places are rounded to 2**-13, which keeps the file small. The file here was made with the solver's usual path
(not g2p2g) for taichi 0.7.30, with the names that taichi 1.7.4 has for the same things.
"""

import io
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from gainer_ns.physics.colliders import HalfSpace
from gainer_ns.physics.engine import Particles, SimulationConfig
from gainer_ns.physics.exchange.folder import SimulationFolder
from gainer_ns.physics.exchange.taichi_elements import TaichiElementsEngine
from gainer_ns.physics.forces import Gravity
from gainer_ns.physics.materials import PRESETS

SIZE = 100
BORDERS = (
    HalfSpace("separate", 0.4, (0.0, 1.0), (0.0, -1.0)),
    HalfSpace("separate", 0.0, (0.0, 0.0), (1.0, 0.0)),
    HalfSpace("separate", 0.0, (1.0, 0.0), (-1.0, 0.0)),
    HalfSpace("separate", 0.0, (0.0, 0.0), (0.0, 1.0)),
)
GRAVITY = Gravity(keyframes={0.0: (0.0, 5.0)})


def lattice(spacing: float) -> torch.Tensor:
    """Points over the whole picture."""
    line = torch.arange(0, 1, spacing, dtype=torch.float64) + spacing / 2
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(-1, 2).float()


def particles(points: torch.Tensor, spacing: float) -> Particles:
    """Points at rest, of one body."""
    n = len(points)
    return Particles(
        points,
        torch.full((n,), spacing**2),
        torch.zeros(n, 2),
        torch.zeros(n, dtype=torch.int64),
        torch.arange(n),
        spacing,
    )


def main(checkout: Path) -> None:
    """Simulates both, and writes them beside this script."""
    engine = TaichiElementsEngine(checkout)
    disc, column = lattice(0.0125), lattice(1 / 60)
    disc = disc[(disc - torch.tensor([0.5, 0.35])).norm(dim=1) < 0.15]
    column = column[(column[:, 0] < 0.25) & (column[:, 1] > 0.55)]
    config = SimulationConfig((0.0, 0.0), (1.0, 1.0), GRAVITY, colliders=BORDERS)
    cases = {
        "disc": (particles(disc, 0.0125), "medium", replace(config, frames=13, fps=10.0)),
        "column": (particles(column, 1 / 60), "liquid", replace(config, frames=11, fps=5.0)),
    }
    with tempfile.TemporaryDirectory() as name:
        for case, (some, material, told) in cases.items():
            folder = SimulationFolder(Path(name) / case, SIZE, SIZE)
            materials = (PRESETS[material],)
            folder.create(some, materials, told, engine="files", fingerprint=case)
            for number, frame in enumerate(engine.run(told, some, materials)):
                places = ((frame.positions - 0.5) * 2**13).round() / 2**13 + 0.5
                folder.write(number, replace(frame, positions=places, gradients=None))
        with tarfile.open(Path(__file__).with_name("taichi_elements.tar.xz"), "w:xz", preset=9) as file:
            for path in sorted(Path(name).rglob("*")):
                if path.is_file():
                    member = tarfile.TarInfo(path.relative_to(name).as_posix())
                    member.size = path.stat().st_size
                    file.addfile(member, io.BytesIO(path.read_bytes()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
