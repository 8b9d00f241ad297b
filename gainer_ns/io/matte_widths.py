"""How wide the soft edges of masks may be."""

MAX_MATTE_PX = 100
"""The farthest from a mask's edge that its soft edge may reach."""
