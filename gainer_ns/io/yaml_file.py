"""Read YAML files that people write, checked by pydantic models, and write them back.

PyYAML says on which line a word stands, pydantic what may stand there; this joins the two, so that every mistake is one
line with the file, the line, the place and what is allowed. Files are a plain subset of YAML 1.2: numbers, text, lists
and mappings. ``yes``, ``on`` and dates are text unless a field wants something else; aliases and tags are refused.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails
from yaml.composer import ComposerError

from gainer_ns.errors import GainerError
from gainer_ns.io.inputs import check_regular_file
from gainer_ns.io.places import Loc, PlacedError, Places, dotted, shown

MAX_YAML_BYTES = 2**20
"""The longest file that is read: larger data belongs in files of its own, which the YAML file names."""

MAX_YAML_DEPTH = 50
"""How deep lists and mappings may be nested."""

Model = TypeVar("Model", bound=BaseModel)

_NUMBERS = {
    "null": re.compile(r"^(?:~|null|Null|NULL|)$"),
    "int": re.compile(r"^[-+]?[0-9]+$"),
    "float": re.compile(
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|(?i:\.?(?:inf|infinity|nan)))$"
    ),
}
"""YAML 1.2's numbers without quotes, where 1.1 takes 1:30 for 90 and 1e3 for text."""

_WANTED = {
    "float": "a number",
    "finite": "a finite number",
    "int": "a whole number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping of words to values",
    "model": "a mapping of words to values",
}
"""What to call a type, for each first word of pydantic's error types."""


def _existing_file(path: Path, info: ValidationInfo) -> Path:
    """Resolve a path against the context's folder, where there is one, and insist on a file.

    Where the context says ``enclosed``, the file must be in that folder: nothing is said about those that are not.
    """
    if not isinstance(info.context, Mapping) or "folder" not in info.context:
        return path
    folder = Path(info.context["folder"])
    path = folder / path
    if info.context.get("enclosed") and not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path.name[:40]} is elsewhere; name files of the folder {folder.name} only")
    if not os.path.isfile(path):
        problem = "is a folder; name a file in it" if os.path.isdir(path) else "does not exist; check the spelling"
        raise ValueError(f"{path} {problem} (paths start at the folder of the YAML file)")
    return path


ExistingFile = Annotated[Path, AfterValidator(_existing_file)]
"""Field type: a file. In a YAML file its path is relative to the folder of that file."""


def read_document(
    source: Path | Mapping[str, Any], model_type: type[Model], context: Mapping[str, Any] | None = None
) -> tuple[Model, Places]:
    """Read a YAML file, or check what a program says in place of one.

    A mapping has no lines, and its relative paths start at the working folder. See :func:`read_yaml` for all else.
    """
    if not isinstance(source, Mapping):
        return read_yaml(source, model_type, context)
    places = Places()
    _note(source, (), places)
    return _checked(source, model_type, {"folder": Path(), **(context or {})}, places), places


def read_yaml(path: Path, model_type: type[Model], context: Mapping[str, Any] | None = None) -> tuple[Model, Places]:
    """Read a YAML file into a pydantic model, and return it with where its parts stand in the file.

    The model's own number fields should be strict, or they take quoted text for numbers ("nan" too).

    Args:
        path: The file.
        model_type: What it must hold.
        context: For the model's validators; ``folder``, which relative paths start at, is the file's unless given;
            ``enclosed`` is whether all files must be in that folder.

    Raises:
        GainerError: The file cannot be read, is no YAML, or does not fit the model. Of several mistakes unknown words
            come first, since they cause others; then the one highest up in the file.
    """
    path = Path(path)
    places = Places(path)
    text = _text(path)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except RecursionError:
        raise GainerError(f"{path}: is nested more than {MAX_YAML_DEPTH} deep; write it flatter") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise GainerError(f"{path}, line {line}: has a control character; delete it") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        near = [] if mark is None else [mark.line, mark.line - 1]  # what a comment swallows is missed on the next line
        colour = _commented_colour(text, *near, *([error.context_mark.line] if error.context_mark else []))
        if colour is not None:
            raise GainerError(f"{path}{line}: # begins a comment; put quotes around '{colour}'") from None
        problem = " ".join(str(error.problem or error.context).split())
        raise GainerError(f"{path}{line}: is not valid YAML ({problem}); check indents, colons and quotes") from None
    if node is None:
        raise GainerError(f"{path}: is empty; write {_list_of_words(model_type)} into it")
    data = _plain(node, (), places)
    return _checked(data, model_type, {"folder": path.parent, **(context or {})}, places), places


def _note(data: Any, loc: Loc, places: Places) -> None:
    """Note that a value, and all that it holds, has a place; nothing has a line."""
    places.lines[tuple(map(str, loc))] = 0
    parts = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list | tuple) else ()
    for name, part in parts:
        _note(part, (*loc, name), places)


def _checked(data: Any, model_type: type[Model], context: Mapping[str, Any], places: Places) -> Model:
    """Validate plain data."""
    try:
        return model_type.model_validate(data, context=context)
    except ValidationError as caught:
        errors = caught.errors()
    # A list counts its bad items as missing: what is said about it follows from what is said about them.
    causes = [one for one in errors if not any(_is_below(other["loc"], one["loc"]) for other in errors)]
    mistakes = [(one["type"] != "extra_forbidden", *_mistake(one, errors, model_type, places)) for one in causes]
    _, loc, problem = min(mistakes, key=lambda each: (each[0], places.lines.get(tuple(map(str, each[1])), 0)))
    raise places.error(loc, problem)


def to_yaml(model: BaseModel, folder: Path | None = None) -> str:
    """Write a model as the text that ``read_yaml`` reads back; what has its default value is left out.

    Paths inside ``folder``, where the text will be stored, are written relative to it.
    """
    data = _writable(model.model_dump(exclude_defaults=True, by_alias=True), folder)
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """PyYAML's parser, without its YAML 1.1 types and without aliases, with which a small file can say a lot."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 (PyYAML's own protocol)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise ComposerError(None, None, "aliases (*name) are not read", event.start_mark)
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer, which quotes text that either its own reader or ours would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        node.flow_style = all(
            isinstance(item, yaml.ScalarNode) or (isinstance(item, yaml.SequenceNode) and item.flow_style)
            for item in node.value
        )
        return node  # Points and lists of points go on one line.


for _kind, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _pattern, None)
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _pattern, None)


def _text(path: Path) -> str:
    """Read the file's text."""
    check_regular_file(path, "a YAML file", "the YAML text")
    if os.path.getsize(path) > MAX_YAML_BYTES:
        raise GainerError(f"{path}: is longer than {MAX_YAML_BYTES >> 20} MiB; put large data into files that it names")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GainerError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise GainerError(f"{path}, line {line}: is not UTF-8 text; save it as UTF-8") from None


def _plain(node: yaml.Node, loc: Loc, places: Places) -> Any:
    """Convert a node to lists, dictionaries, text and finite numbers; note the lines of all it holds in ``places``."""
    places.lines.setdefault(tuple(map(str, loc)), node.start_mark.line + 1)
    if len(loc) > MAX_YAML_DEPTH:
        raise places.error(loc[:4], f"is nested more than {MAX_YAML_DEPTH} deep; write it flatter")
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind not in ("null", "int", "float", "str", "seq", "map"):
        raise places.error(loc, f"has the tag {node.tag}; tags are not read, leave it out")
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*loc, i), places) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, loc, places)
    return _scalar(node, kind, loc, places)


def _mapping(node: yaml.MappingNode, loc: Loc, places: Places) -> dict[Any, Any]:
    """Convert a mapping node to a dictionary."""
    values: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            line = Places(places.path, {(): key_node.start_mark.line + 1})
            raise line.error((), f"{dotted(loc)}: a list or mapping cannot be a word; write word: value".lstrip(": "))
        key = _plain(key_node, (*loc, key_node.value), Places(places.path))
        place = (*loc, str(key))
        first = places.lines.get(tuple(map(str, place)))
        if first is not None or key in values:
            places.lines[tuple(map(str, place))] = key_node.start_mark.line + 1
            raise places.error(place, f"is there twice{'' if first is None else f', first on line {first}'}; keep one")
        places.lines[tuple(map(str, place))] = key_node.start_mark.line + 1
        values[key] = _plain(value_node, place, places)
    return values


def _scalar(node: yaml.Node, kind: str, loc: Loc, places: Places) -> str | int | float:
    """Convert a scalar node to text or a finite number."""
    if kind == "null" and node.end_mark.buffer is not None:
        after = node.end_mark.buffer[node.end_mark.pointer :].partition("\n")[0]
        if (colour := _commented_colour(f":{after}")) is not None:
            raise places.error(loc, f"# begins a comment; put quotes around '{colour}'")
    if kind == "null":
        raise places.error(loc, "has no value; write one, or leave the word out")
    if kind == "str":
        return node.value
    try:
        number = float(re.sub(r"\.(?=[a-zA-Z])", "", node.value))  # Python writes YAML's .inf without the point.
    except ValueError:
        raise places.error(loc, f"must be a number, not {shown(node.value)}") from None
    if not math.isfinite(number):
        raise places.error(loc, f"must be a finite number, not {shown(node.value)}")
    return int(node.value) if kind == "int" else number


def _commented_colour(text: str, *lines: int) -> str | None:
    """Return what looks like a colour in a comment, where a value should be, on the first or these lines of a text."""
    every = text.splitlines()
    found = (re.search(r"[:\[,]\s*(#[0-9a-fA-F]{3,8})\b", one) for n, one in enumerate(every) if n in (lines or (0,)))
    return next((each[1] for each in found if each is not None), None)


def _mistake(
    error: ErrorDetails, errors: list[ErrorDetails], model_type: type[BaseModel], places: Places
) -> tuple[Loc, str]:
    """Translate one of pydantic's errors: where it is, and what it says, in our words."""
    # Members of unions and "[key]" stand in pydantic's locations, but not in the file.
    loc: Loc = ()
    for part in error["loc"]:
        if (*map(str, loc), str(part)) in places.lines:
            loc = (*loc, part)
    kind, given, details = error["type"], error["input"], error.get("ctx", {})
    cause = details.get("error")
    if isinstance(cause, PlacedError):
        return (*loc, *cause.loc), cause.problem
    if cause is not None:
        return loc, str(cause)
    if kind == "extra_forbidden":
        return loc, f"unknown word; allowed: {_list_of_words(_type_at(model_type, loc[:-1]))}"
    if kind == "missing" and isinstance(error["loc"][-1], int):
        beside = [each["loc"][-1] for each in errors if each["loc"][:-1] == error["loc"][:-1]]
        count = 1 + max(index for index in beside if isinstance(index, int))
        return loc, f"must have {count} values, not {len(given)}"
    if kind == "missing":
        return loc, f"misses the word {error['loc'][-1]}; allowed: {_list_of_words(_type_at(model_type, loc))}"
    if kind in ("too_short", "too_long"):
        limit = f"at most {details['max_length']}" if kind == "too_long" else f"at least {details['min_length']}"
        return loc, f"must have {limit} values, not {details['actual_length']}"
    if kind == "literal_error":
        return loc, f"must be {details['expected']}, not {shown(given)}"
    wanted = _WANTED.get(kind.split("_")[0]) if kind.endswith(("_type", "_parsing", "_number", "_float")) else None
    if wanted is not None:
        return loc, f"must be {wanted}, not {shown(given)}"
    return loc, f"{re.sub('^.* should', 'must', error['msg'])}, not {shown(given)}"


def _is_below(loc: Loc, outer: Loc) -> bool:
    """Return whether a place is part of another."""
    return len(loc) > len(outer) and loc[: len(outer)] == outer


def _type_at(annotation: Any, loc: Loc) -> Any:
    """Return the type that stands at a place in a model, or None where that is not plain."""
    if get_origin(annotation) is Annotated:
        return _type_at(get_args(annotation)[0], loc)
    if get_origin(annotation) in (Union, UnionType):
        found = [_type_at(each, loc) for each in get_args(annotation) if each is not type(None)]
        return next((each for each in found if each is not None), None)
    if not loc:
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        member = next((each for name, each in annotation.model_fields.items() if loc[0] == (each.alias or name)), None)
        return None if member is None else _type_at(member.annotation, loc[1:])
    arguments = get_args(annotation)
    return _type_at(arguments[-1] if arguments[-1] is not Ellipsis else arguments[0], loc[1:]) if arguments else None


def _list_of_words(model_type: Any) -> str:
    """List the words that a model knows."""
    if not (isinstance(model_type, type) and issubclass(model_type, BaseModel)):
        return "none"
    return ", ".join(member.alias or name for name, member in model_type.model_fields.items()) or "none"


def _writable(value: Any, folder: Path | None) -> Any:
    """Convert dumped fields to what YAML's writer knows; whole numbers without their point."""
    if isinstance(value, Mapping):
        return {_writable(key, folder): _writable(each, folder) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(each, folder) for each in value]
    if isinstance(value, Path):
        inside = folder is not None and value.is_relative_to(folder)
        return str(value.relative_to(folder) if inside and folder is not None else value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return value
