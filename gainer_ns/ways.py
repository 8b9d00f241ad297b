"""How a picture is read between the centres of its pixels, as commands, programs and kernels call it."""

from __future__ import annotations

from typing import Literal, TypeAlias

Way: TypeAlias = Literal["smooth", "clamped", "nearest"]
"""As it was fitted; no lighter and no darker than the pixels around; or as the nearest pixel."""
WAYS: tuple[Way, ...] = ("smooth", "clamped", "nearest")
