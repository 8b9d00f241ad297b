"""Files of rigs and of clips, whose points are in percent of the box of what they are laid on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, model_validator

from gainer_ns.editing.operations import FiniteNumber, PlanePoint, PositiveFactor
from gainer_ns.editing.selection import ScriptModel
from gainer_ns.editing.timing import Time, check_order
from gainer_ns.errors import GainerError
from gainer_ns.io.yaml_file import read_yaml

JointName = Annotated[str, Field(min_length=1, max_length=60)]
BoneName = JointName
Bones = dict[BoneName, tuple[JointName, JointName]]
Part = TypeVar("Part", bound=ScriptModel)


class RigFile(ScriptModel):
    """A rig that fits many pictures.

    Attributes:
        joints: In percent of the box, from its left and its top.
        bones: From which joint to which each goes.
        parents: What carries a bone along, where it is not the bone that ends where it starts.
        depth: How near bones are.
    """

    joints: Annotated[dict[JointName, PlanePoint], Field(min_length=2)]
    bones: Annotated[Bones, Field(min_length=1)]
    parents: dict[BoneName, BoneName] = Field(default={})
    depth: dict[BoneName, FiniteNumber] = Field(default={})

    @model_validator(mode="after")
    def _hangs_together(self) -> RigFile:
        check_bones(self.joints, self.bones, self.parents)
        return self


class ClipKeyframe(ScriptModel):
    """A pose at a time.

    Attributes:
        time: From 0 to 1 over the film.
        pose: How far bones have turned, in degrees counter-clockwise.
        scale: How many times larger they are.
        ik: Where joints are held, in percent of the box.
        depth: How near bones are.
    """

    time: Time
    pose: dict[BoneName, FiniteNumber] = Field(default={})
    scale: dict[BoneName, PositiveFactor] = Field(default={})
    ik: dict[JointName, PlanePoint] = Field(default={})
    depth: dict[BoneName, FiniteNumber] = Field(default={})


class ClipFile(ScriptModel):
    """Poses in the course of a film, for any rig that has such bones.

    Attributes:
        keyframes: In order.
    """

    keyframes: Annotated[tuple[ClipKeyframe, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> ClipFile:
        check_order(keyframe.time for keyframe in self.keyframes)
        return self


def read_part(path: Path, model: type[Part]) -> Part:
    """Read a file that a script names.

    Raises:
        ValueError: In one line, what is wrong with it.
    """
    try:
        return read_yaml(path, model)[0]
    except GainerError as error:
        raise ValueError(str(error)) from None


def check_bones(
    joints: Mapping[str, PlanePoint], bones: Mapping[str, tuple[str, str]], parents: Mapping[str, str]
) -> tuple[list[str], dict[str, str | None]]:
    """Return the bones' names, parents first, and the parent of each.

    Raises:
        ValueError: A bone has a joint that is not there or no length, or bones carry one another in a circle.
    """
    for name, (start, end) in bones.items():
        for joint in (start, end):
            if joint not in joints:
                raise ValueError(f"bones: {name} has no joint {joint[:40]!r}; there are {', '.join(joints)}")
        if joints[start] == joints[end]:
            raise ValueError(f"bones: {name} has no length; its joints {start} and {end} lie at the same place")
    for name, parent in parents.items():
        for bone in (name, parent):
            if bone not in bones:
                raise ValueError(f"parents: there is no bone {bone[:40]!r}; there are {', '.join(bones)}")
    found: dict[str, str | None] = {}
    for name, (start, _) in bones.items():
        before = next((other for other, (_, end) in bones.items() if end == start and other != name), None)
        found[name] = parents.get(name, before)
    order: list[str] = []
    while len(order) < len(bones):
        ready = [name for name in bones if name not in order and (found[name] is None or found[name] in order)]
        if not ready:
            left = ", ".join(name for name in bones if name not in order)
            raise ValueError(f"bones: {left} carry one another in a circle; let one begin where none ends")
        order.extend(ready)
    return order, found
