"""Where everything in a scene happens: a box that nothing leaves, with some room around what the picture shows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gainer_ns.editing.selection import Box
from gainer_ns.physics.lengths import Bounds

MARGIN = (0.25, 0.15, 0.25, 0.3)
"""Room around what the picture shows: to fall by half the height of most things, and to spread."""

Length = Annotated[float, Field(strict=True, ge=0, le=1e4, allow_inf_nan=False)]


class Domain(BaseModel):
    """Where everything happens; nothing leaves it. One of the two.

    Attributes:
        margin: Room around what the picture shows, in widths: left, top, right and bottom, or one number for all.
        box: Left, top, right and bottom, in widths.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin: tuple[Length, Length, Length, Length] | None = None
    box: Box | None = None

    @field_validator("margin", mode="before")
    @classmethod
    def _read_number(cls, data: Any) -> Any:
        return data if isinstance(data, list | tuple) or data is None else (data,) * 4

    @model_validator(mode="after")
    def _one_kind(self) -> Domain:
        if (self.margin is None) == (self.box is None):
            raise ValueError("needs exactly one of margin, box")
        return self

    def around(self, content: Bounds) -> Bounds:
        """Left, top, right and bottom, in widths, given what the picture shows, in widths."""
        if self.box is not None:
            return self.box
        left, top, right, bottom = self.margin or MARGIN
        return content[0] - left, content[1] - top, content[2] + right, content[3] + bottom
