"""What may lie behind the pictures of an edit script, checked on reading."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from gainer_ns.editing.selection import ScriptModel
from gainer_ns.errors import GainerError
from gainer_ns.io.colour_names import Colour
from gainer_ns.io.image_io import check_opens
from gainer_ns.io.yaml_file import ExistingFile


def _picture(path: Path, info: ValidationInfo) -> Path:
    """Refuse a file that is no picture, where files are looked for at all."""
    if isinstance(info.context, Mapping) and "folder" in info.context:
        try:
            check_opens(path)
        except GainerError as error:
            raise ValueError(str(error)) from None
    return path


class Inpaint(ScriptModel):
    """What fills the holes that moved parts leave: exactly one of the first three.

    Attributes:
        method: One of OpenCV's own; in YAML just the word.
        lama: A TorchScript file of LaMa.
        diffusers: The id or the folder of an inpainting model for diffusers.
        prompt: What that model should paint.
    """

    method: Literal["telea", "navier-stokes"] | None = None
    lama: ExistingFile | None = None
    diffusers: Annotated[str, Field(min_length=1)] | None = None
    prompt: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_word(cls, data: Any) -> Any:
        if isinstance(data, str):
            if data not in ("telea", "navier-stokes"):
                raise ValueError(
                    f"must be telea, navier-stokes, or a mapping with lama or diffusers, not {data[:40]!r}"
                )
            return {"method": data}
        return data

    @field_validator("diffusers")
    @classmethod
    def _folder(cls, name: str | None, info: ValidationInfo) -> str | None:
        """Return a folder beside the script, if there is one of that name; else an id."""
        if name is not None and isinstance(info.context, Mapping) and "folder" in info.context:
            folder = Path(info.context["folder"]) / name
            return str(folder) if os.path.isdir(folder) else name
        return name

    @model_validator(mode="after")
    def _one_kind(self) -> Inpaint:
        if sum(each is not None for each in (self.method, self.lama, self.diffusers)) != 1:
            raise ValueError("needs exactly one of telea, navier-stokes, lama, diffusers")
        if self.prompt and self.diffusers is None:
            raise ValueError("only diffusers reads a prompt; leave prompt out")
        return self

    @property
    def spec(self) -> str | dict[str, Any]:
        """What :func:`gainer_ns.preparation.inpainting.inpainter_for` understands."""
        if self.method is not None:
            return self.method
        return {"lama": self.lama} if self.lama is not None else {"diffusers": self.diffusers, "prompt": self.prompt}

    @model_serializer(mode="wrap")
    def _write_word(self, write: SerializerFunctionWrapHandler) -> Any:
        return write(self) if self.method is None else self.method


class Background(ScriptModel):
    """What shows through holes and beyond the picture: exactly one of these.

    Attributes:
        transparent: Nothing; in YAML just the word ``transparent``.
        color: A name, hexadecimal digits, or red, green and blue and perhaps opacity, 0 to 255.
        image: A picture, scaled to cover the main one.
        inpaint: The picture itself, with holes painted over.
    """

    transparent: bool = False
    color: Colour | None = None
    image: Annotated[ExistingFile, AfterValidator(_picture)] | None = None
    inpaint: Inpaint | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_word(cls, data: Any) -> Any:
        if isinstance(data, str):
            if data != "transparent":
                *most, last = (kind for kind in cls.model_fields if kind != "transparent")
                kinds = f"{', '.join(most)} or {last}"
                raise ValueError(f"must be transparent, or a mapping with {kinds}, not {data[:40]!r}")
            return {"transparent": True}
        return data

    @model_validator(mode="after")
    def _one_kind(self) -> Background:
        kinds = list(type(self).model_fields)
        if sum(getattr(self, kind) not in (None, False) for kind in kinds) != 1:
            raise ValueError(f"needs exactly one of {', '.join(kinds)}")
        return self

    @model_serializer(mode="wrap")
    def _write_word(self, write: SerializerFunctionWrapHandler) -> Any:
        return "transparent" if self.transparent else write(self)
