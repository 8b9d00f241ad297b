"""Read colours as people write them: by name, by their hexadecimal digits, or as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any, TypeAlias

from PIL import ImageColor
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from gainer_ns.errors import GainerError

Channel: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=255, allow_inf_nan=False)]
ColourNumbers: TypeAlias = tuple[float, float, float] | tuple[float, float, float, float]
"""Red, green and blue, and perhaps opacity, 0 to 255."""


def colour_of(written: Any) -> Any:
    """Return the numbers of a colour that is written as text: ``tomato``, ``#f80``, ``#ff8800`` or ``#ff880080``.

    What is no text is returned as it is.

    Raises:
        ValueError: There is no such colour; the message says which are known.
    """
    if not isinstance(written, str):
        return written
    name = written.strip()
    try:
        return tuple(float(part) for part in ImageColor.getrgb(name))
    except ValueError:
        near = get_close_matches(name.lower(), ImageColor.colormap, n=1)
        remedy = f"did you mean {near[0]}?" if near else "write a name of CSS, '#rrggbb', or [red, green, blue]"
        raise ValueError(f"there is no colour {name[:40]!r}; {remedy}") from None


def colour_words(words: Sequence[str]) -> Any:
    """Return the numbers of a colour that the words of a command say: text, or three or four numbers.

    Raises:
        GainerError: They say none.
    """
    try:
        if len(words) == 1:
            return colour_of(words[0])
        numbers = tuple(map(float, words))
    except ValueError as error:
        problem = str(error) if len(words) == 1 else f"{' '.join(words)[:40]} are no numbers from 0 to 255"
        raise GainerError(f"--background-color: {problem}") from None
    if len(numbers) not in (3, 4) or not all(0 <= part <= 255 for part in numbers):
        raise GainerError(f"--background-color: {' '.join(words)[:40]}: write red, green and blue, each 0 to 255")
    return numbers


def _without_full_opacity(colour: Any) -> Any:
    """Leave out an opacity that is whole."""
    return colour[:3] if len(colour) == 4 and colour[3] == 255 else colour


Colour: TypeAlias = Annotated[
    Annotated[tuple[Channel, Channel, Channel], Tag("opaque")]
    | Annotated[tuple[Channel, Channel, Channel, Channel], Tag("clear")],
    Discriminator(lambda value: "clear" if isinstance(value, list | tuple) and len(value) > 3 else "opaque"),
    BeforeValidator(colour_of),
    AfterValidator(_without_full_opacity),
]
"""Field type: red, green and blue, and where it is not opaque its opacity, 0 to 255; read from text or numbers."""
