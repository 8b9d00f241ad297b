"""What the values of a depth map mean. Light to import: command lines name these in their help."""

from typing import Literal

DepthKind = Literal["depth", "inverse", "disparity"]
"""What stored values are: depth; inverse depth of unknown scale and offset, as networks tell it; or disparity, inverse
depth of unknown scale alone, as two cameras tell it, where 0 is unknown."""

DepthUnits = Literal["metres", "relative"]

MAX_RELATIVE_DEPTH = 5.0
"""Where relative inverse depth ends unless something else is said; the nearest is 1."""
