"""How many frames the film of a script has, and at which times they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gainer_ns.io.places import PlacedError

MAX_FRAMES = 100_000

FrameCount = Annotated[int, Field(strict=True, ge=1, le=MAX_FRAMES)]
FrameRate = Annotated[float, Field(strict=True, gt=0, le=1000, allow_inf_nan=False)]
Duration = Annotated[float, Field(strict=True, gt=0, le=1e5, allow_inf_nan=False)]
"""Field type: seconds."""

DEFAULT_FPS = 24.0
"""Frames a second, where nobody says."""


def _read_word(loop: Any) -> Any:
    """Read true and false as YAML files hold them: as text."""
    known = {"true": True, "false": False, True: True, False: False, "pingpong": "pingpong"}
    if not isinstance(loop, str | bool) or loop not in known:
        shown = f"{loop!r}"[:40]
        raise ValueError(f"must be true, false or pingpong, not {shown}")
    return known[loop]


Loop = Annotated[bool | Literal["pingpong"], BeforeValidator(_read_word)]
"""Field type: whether a film begins again after its end, or goes there and back."""


def check_length(frames: int | None, seconds: float | None, fps: float) -> None:
    """Refuse a film whose length is told twice, or that is too long.

    Args:
        frames: How many pictures the script asks for.
        seconds: How long a film it asks for.
        fps: Frames a second.

    Raises:
        PlacedError: It is such.
    """
    if seconds is not None and frames is not None:
        raise PlacedError(("seconds",), "says how long the film is, and so does frames; leave one out")
    if seconds is not None and frames_in(seconds, fps) > MAX_FRAMES:
        raise PlacedError(("seconds",), f"makes {frames_in(seconds, fps)} frames, but at most {MAX_FRAMES} can be made")


def frames_in(seconds: float, fps: float) -> int:
    """Return how many frames take so long."""
    return max(1, round(seconds * fps))


def frame_times(frames: int | None, loop: bool | Literal["pingpong"] = False) -> list[float]:
    """Return the times of a film's frames, from 0 to 1; a single picture (None, or one frame) shows time 1.

    Args:
        frames: How many.
        loop: Whether the film begins again after its end: time 1, which is time 0 again, is left out then. ``pingpong``
            goes to time 1 and back, and shows neither end twice.
    """
    if frames is None or frames == 1:
        return [1.0]
    if loop == "pingpong":
        there, back = frames - frames // 2, frames // 2
        return [i / there for i in range(there)] + [1 - i / back for i in range(back)]
    steps = frames if loop else frames - 1
    return [i / steps for i in range(frames)]
