"""What a run's config.yml says, read as data: nothing that it names is imported, built or called."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from gainer_ns.errors import GainerError
from gainer_ns.io.yaml_file import MAX_YAML_BYTES, MAX_YAML_DEPTH

_MAX_NUMBER_LETTERS = 40
"""The longest number that is read, in letters."""

_YAML = "tag:yaml.org,2002:"
_OBJECT = f"{_YAML}python/object:"
_PLAIN = {f"{_YAML}{kind}" for kind in ("null", "bool", "int", "float", "str")}

Config = TypeVar("Config")


class RunFile:
    """A config.yml as ns-train writes it, whoever wrote this one.

    ns-train writes Python objects, and a YAML loader that builds them runs whatever the file says. So the file is only
    taken apart: tags are names, and what is wanted of it is looked up. What nobody asks for is not even looked at.

    Raises:
        GainerError: If the file is not there or no configuration of ns-train; where a place is asked for, if it holds
            something else than is wanted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise GainerError(
                f"{path}: there is no such file; give a run's config.yml or an exported .safetensors file"
            )
        if path.stat().st_size > MAX_YAML_BYTES:
            raise self._no_configuration(f"longer than {MAX_YAML_BYTES >> 20} MiB, which is ")
        try:
            root = _Composer(path.read_text("utf8")).get_single_node()
        except OSError as error:
            raise GainerError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
        except RecursionError as error:
            raise self._no_configuration(f"nested more than {MAX_YAML_DEPTH} deep, which is ") from error
        except (yaml.YAMLError, ValueError) as error:
            raise self._no_configuration() from error
        if root is None or _kind(root) is None:
            raise self._no_configuration()
        self._root = root
        if self.kind("pipeline", "model") is None:
            raise self._no_configuration()

    def __str__(self) -> str:
        return str(self.path)

    def kind(self, *words: str) -> str | None:
        """Return the full name of the class that a place holds an object of; None where it holds none."""
        return _kind(self._node(*words))

    def value(self, *words: str, of: Any) -> Any:
        """Return a plain value.

        Args:
            words: The way to it.
            of: Its type: numbers, text, lists and mappings of them, or None among others.

        Returns:
            The value; None where there is nothing.
        """
        node = self._node(*words)
        return None if node is None else self._checked(node, of, words)

    def file_path(self, *words: str) -> Path | None:
        """Return a path that stands at a place; None where there is none."""
        node = self._node(*words)
        if node is None or node.tag == f"{_YAML}null":
            return None
        if isinstance(node, yaml.SequenceNode) and node.tag.startswith(f"{_YAML}python/object/apply:pathlib."):
            parts = [self._checked(part, str, words) for part in node.value]
        else:
            parts = [self._checked(node, str, words)]
        if any("\0" in part for part in parts):
            raise self._mistake(words)
        return Path(*parts)

    def config(
        self, wanted: type[Config], *words: str, known: Collection[type] = (), skip: Collection[str] = ()
    ) -> Config:
        """Return a configuration that stands at a place, made of plain values; what it does not say has its default.

        Args:
            wanted: Its dataclass. Those of its fields that are dataclasses too are made likewise.
            words: The way to it.
            known: Subclasses of such dataclasses that may stand in their place.
            skip: Fields that keep their defaults.
        """
        node = self._node(*words)
        if node is None or _kind(node) != class_name(wanted) or not isinstance(node, yaml.MappingNode):
            raise self._mistake(words)
        hints, values = _hints(wanted), {}
        for field in dataclasses.fields(wanted):  # pyright: ignore[reportArgumentType]
            place = (*words, field.name)
            part = self._node(*place)
            if part is None or field.name.startswith("_") or field.name in skip:
                continue
            hint = hints[field.name]
            if isinstance(hint, type) and dataclasses.is_dataclass(hint):
                named = _kind(part)
                fitting = (one for one in (hint, *known) if hint in one.__mro__ and class_name(one) == named)
                kind = next(fitting, None)
                if kind is None:
                    raise self._mistake(place)
                values[field.name] = self.config(kind, *place, known=known)
            else:
                values[field.name] = self._checked(part, hint, place)
        return wanted(**values)

    @property
    def tags(self) -> set[str]:
        """All tags of the file: of plain values, and of what a loader of Python objects would look up, make or call."""
        return _tags(self._root)

    def _node(self, *words: str) -> yaml.Node | None:
        node: yaml.Node | None = self._root
        for word in words:
            if not isinstance(node, yaml.MappingNode):
                return None
            found = [value for key, value in node.value if isinstance(key, yaml.ScalarNode) and key.value == word]
            node = found[-1] if found else None  # the last of several counts, as with PyYAML
        return node

    def _checked(self, node: yaml.Node, hint: Any, words: tuple[str, ...]) -> Any:
        try:
            return _adapter(hint).validate_python(_plain(node))
        except (ValidationError, ValueError, ArithmeticError) as error:
            raise self._mistake(words) from error

    def _mistake(self, words: tuple[str, ...]) -> GainerError:
        return GainerError(
            f"{self.path}: {'.'.join(words)} is nothing that this program's ns-train writes there; "
            "give an unchanged config.yml, or fit the picture again"
        )

    def _no_configuration(self, reason: str = "") -> GainerError:
        return GainerError(f"{self.path}: {reason}not a configuration of ns-train; give a run's config.yml")


def as_run(source: Path | RunFile) -> RunFile:
    """Return a run's config.yml, which is read unless it was before."""
    return source if isinstance(source, RunFile) else RunFile(source)


def class_name(kind: type) -> str:
    """Return the name by which YAML files know a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def tags_in(text: str) -> set[str]:
    """Return all tags of a YAML text; see :attr:`RunFile.tags`."""
    root = _Composer(text).get_single_node()
    return set() if root is None else _tags(root)


class _Composer(yaml.SafeLoader):
    """PyYAML's parser, of which only the tree of nodes is used, and that tree is shallow."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_YAML_DEPTH:
            raise RecursionError
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _kind(node: yaml.Node | None) -> str | None:
    if not isinstance(node, yaml.MappingNode) or not node.tag.startswith(_OBJECT):
        return None
    return node.tag.removeprefix(_OBJECT)


def _tags(root: yaml.Node) -> set[str]:
    found, seen, left = set[str](), set[int](), [root]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue  # an alias, perhaps within itself
        seen.add(id(node))
        found.add(node.tag)
        if isinstance(node, yaml.MappingNode):
            left += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            left += node.value
    return found


def _plain(node: yaml.Node) -> Any:
    """Return a plain value, or a list or mapping of such.

    Nothing is nested deeper, so aliases can neither go round in circles nor say much with little.

    Raises:
        ValueError: If it is something else.
    """
    if isinstance(node, yaml.SequenceNode) and node.tag in (f"{_YAML}seq", f"{_YAML}python/tuple"):
        return [_scalar(part) for part in node.value]
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_YAML}map":
        return {_scalar(key): _scalar(part) for key, part in node.value}
    return _scalar(node)


def _scalar(node: yaml.Node) -> str | int | float | bool | None:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _PLAIN:
        raise ValueError(f"{node.tag} is no plain value")
    if node.tag != f"{_YAML}str" and len(node.value) > _MAX_NUMBER_LETTERS:
        raise ValueError("is too long for a number")
    value = yaml.constructor.SafeConstructor().construct_object(node)
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("is not a number")
    return value


@functools.cache
def _hints(config: type) -> dict[str, Any]:
    return get_type_hints(config)


@functools.cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)
