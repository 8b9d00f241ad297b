"""How pinned material may give way."""

from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["rigid", "normal", "distort"]
"""Material resists bending, it does not, or it stretches rather than turns."""
