"""The words of an edit script, each with the operation that it stands for."""

from gainer_ns.editing.operations import (
    Bend,
    Cut,
    Drag,
    FreeForm,
    Mirror,
    Move,
    Operation,
    Perspective,
    Rotate,
    Scale,
    Stretch,
    Twirl,
    Wave,
)
from gainer_ns.editing.pins import Pins
from gainer_ns.editing.rig import Rig

OPERATIONS: dict[str, type[Operation]] = {
    "move": Move,
    "rotate": Rotate,
    "scale": Scale,
    "mirror": Mirror,
    "stretch": Stretch,
    "bend": Bend,
    "twirl": Twirl,
    "wave": Wave,
    "perspective": Perspective,
    "cut": Cut,
    "drag": Drag,
    "lattice": FreeForm,
    "pins": Pins,
    "rig": Rig,
}
"""The word that a script uses for each operation."""
