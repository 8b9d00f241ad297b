"""Read numbers that a script writes in percent of its picture: places and lengths that fit a picture of any size.

A percentage becomes pixels while the script is read, by the size of the picture in the validation context. It remembers
how it was written, so that a script is written as it was read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationInfo, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema

_PERCENTAGE = re.compile(r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\s*%")


class Percentage(float):
    """Pixels that were written in percent.

    Attributes:
        text: What was written.
    """

    text: str

    def __new__(cls, pixels: float, text: str) -> Percentage:
        """Return the pixels, with what was written."""
        number = super().__new__(cls, pixels)
        number.text = text
        return number

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes a copy."""
        return Percentage, (float(self), self.text)


@dataclass(frozen=True)
class InPercentOf:
    """Annotation of a number that may be written in percent of a picture's side.

    Attributes:
        side: Which; ``shorter`` is the one for lengths that have no direction.
    """

    side: Literal["width", "height", "shorter"]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read percentages before the number is checked, and write them as they were read."""
        written = core_schema.plain_serializer_function_ser_schema(_as_written)
        return core_schema.with_info_wrap_validator_function(self._read, handler(source), serialization=written)

    def _read(self, value: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        found = _PERCENTAGE.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is None:
            return Percentage(check(float(value)), value.text) if isinstance(value, Percentage) else check(value)
        size = info.context.get("size") if isinstance(info.context, Mapping) else None
        if size is None:
            raise ValueError(f"{value[:20]} of a picture is known to edit scripts only; write a number")
        width, height = size
        side = {"width": width, "height": height, "shorter": min(width, height)}[self.side]
        return Percentage(check(side * float(found[1]) / 100), value.strip())


def _as_written(number: float) -> float | str:
    return number.text if isinstance(number, Percentage) else number


ACROSS, DOWN, LENGTH = InPercentOf("width"), InPercentOf("height"), InPercentOf("shorter")


def has_percentages(part: Any) -> bool:
    """Return whether any number in a part of a script was written in percent."""
    if isinstance(part, BaseModel):
        return any(has_percentages(getattr(part, name)) for name in type(part).model_fields)
    if isinstance(part, Mapping):
        return any(map(has_percentages, part.values()))
    if isinstance(part, list | tuple):
        return any(map(has_percentages, part))
    return isinstance(part, Percentage)
