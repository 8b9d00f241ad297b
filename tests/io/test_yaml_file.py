"""YAML files: what is read, and the one line that is said about everything else."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gainer_ns.errors import GainerError
from gainer_ns.io.places import PlacedError, Places
from gainer_ns.io.yaml_file import MAX_YAML_BYTES, ExistingFile, read_yaml, to_yaml

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    degrees: Number
    axis: tuple[Number, Number] = (0.0, 0.0)
    start: Annotated[Number, Field(alias="from")] = 0.0


class Thing(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    on: bool = False
    count: Annotated[int, Field(ge=1)] = 1
    size: Number = 0.0
    kind: Literal["sand", "snow"] = "sand"
    file: ExistingFile | None = None
    parts: tuple[Part, ...] = ()
    named: dict[str, Part] = {}
    times: Annotated[dict[Number, Number], Field(min_length=1)] | None = None
    either: Number | tuple[Number, Number] = 0.0
    points: Annotated[tuple[tuple[Number, Number], ...], Field(min_length=3)] | None = None

    @field_validator("name")
    @classmethod
    def _not_bad(cls, name: str) -> str:
        if name == "bad":
            raise GainerError("is a\nbad name; take a good one")
        return name

    @model_validator(mode="after")
    def _parts_known(self) -> "Thing":
        for i, part in enumerate(self.parts):
            if part.degrees == 666:
                raise PlacedError(("parts", i, "degrees"), "is the number of the beast; take another")
        return self


WORDS = "name, on, count, size, kind, file, parts, named, times, either, points"
PART = "degrees, axis, from"


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str | bytes], Thing]:
    def run(text: str | bytes) -> Thing:
        (tmp_path / "thing.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return read_yaml(tmp_path / "thing.yaml", Thing)[0]

    return run


@pytest.fixture
def refusal(read: Callable[[str | bytes], Thing], tmp_path: Path) -> Callable[[str | bytes], str]:
    """``refusal(text)``: the message, without the folder."""

    def run(text: str | bytes) -> str:
        with pytest.raises(GainerError) as caught:
            read(text)
        message = str(caught.value)
        assert "\n" not in message and message.startswith(f"{tmp_path}{os.sep}thing.yaml")
        return message.replace(f"{tmp_path}{os.sep}", "")

    return run


def test_what_is_read(read: Callable[[str], Thing], tmp_path: Path) -> None:
    (tmp_path / "mask.png").touch()
    thing = read(
        """\ufeff# a comment
name: 'yes'
on: yes
count: 3
size: 1e3
file: mask.png
parts:
  - {degrees: -5, axis: [.5, 1.], from: +2}
  - degrees: 0
named: {no: {degrees: 1}}
times: {0: 1, 0.5: 2}
either: [1, 2]
"""
    )
    assert thing == Thing(
        name="yes",
        on=True,
        count=3,
        size=1000.0,
        file=tmp_path / "mask.png",
        parts=(Part(degrees=-5, axis=(0.5, 1), **{"from": 2}), Part(degrees=0)),
        named={"no": Part(degrees=1)},
        times={0: 1, 0.5: 2},
        either=(1, 2),
    )


def test_text_that_older_yaml_takes_for_something_else(read: Callable[[str], Thing]) -> None:
    for text in ("yes", "NO", "on", "true", "2001-01-01", "1:30", "0x10", "1_000", "=", "<<", "'1'", '"~"', "'nan'"):
        assert read(f"name: {text}").name == text.strip("'\"")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f": is empty; write {WORDS} into it"),
        ("# nothing\n\n", f": is empty; write {WORDS} into it"),
        ("hello", ", line 1: must be a mapping of words to values, not 'hello'"),
        ("\n- 1\n- 2", ", line 2: must be a mapping of words to values, not a list of 2"),
        ("size: 1\nsise: 2", f", line 2: sise: unknown word; allowed: {WORDS}"),
        ("\nparts:\n  - degres: 1", f", line 3: parts[0].degres: unknown word; allowed: {PART}"),
        (
            "parts:\n  - {degrees: 1}\n  - axis: [1, 2]\n",
            f", line 3: parts[1]: misses the word degrees; allowed: {PART}",
        ),
        ("named:\n  a b: {}\n", f", line 2: named['a b']: misses the word degrees; allowed: {PART}"),
        ("parts: 3", ", line 1: parts: must be a list, not 3"),
        ("parts: {degrees: 3}", ", line 1: parts: must be a list, not a mapping"),
        ("parts: [3]", ", line 1: parts[0]: must be a mapping of words to values, not 3"),
        ("named: []", ", line 1: named: must be a mapping of words to values, not a list of 0"),
        ("parts:\n- degrees: 1\n  axis:\n    - 1\n    - x", ", line 5: parts[0].axis[1]: must be a number, not 'x'"),
        ("parts: [{degrees: 1, axis: [1]}]", ", line 1: parts[0].axis: must have 2 values, not 1"),
        ("parts: [{degrees: 1, axis: []}]", ", line 1: parts[0].axis: must have 2 values, not 0"),
        ("parts: [{degrees: 1, axis: [1, 2, 3]}]", ", line 1: parts[0].axis: must have at most 2 values, not 3"),
        ("points: [[1, 2]]", ", line 1: points: must have at least 3 values, not 1"),
        ("points: [[1, 2], [3, x], [5, 6]]", ", line 1: points[1][1]: must be a number, not 'x'"),
        ("times: {}", ", line 1: times: must have at least 1 values, not 0"),
        ("times: {0: 1,\n 0.5: no}", ", line 2: times[0.5]: must be a number, not 'no'"),
        ("times:\n  0: 1\n  soon: 2", ", line 3: times.soon: must be a number, not 'soon'"),
        ("size: yes", ", line 1: size: must be a number, not 'yes'"),
        ("size: '5'", ", line 1: size: must be a number, not '5'"),
        ("size: [1]", ", line 1: size: must be a number, not a list of 1"),
        ("size: 'nan'", ", line 1: size: must be a number, not 'nan'"),
        ("size: .nan", ", line 1: size: must be a finite number, not '.nan'"),
        ("size: nan", ", line 1: size: must be a finite number, not 'nan'"),
        ("size: -.inf", ", line 1: size: must be a finite number, not '-.inf'"),
        ("size: -Infinity", ", line 1: size: must be a finite number, not '-Infinity'"),
        ("size: 1e400", ", line 1: size: must be a finite number, not '1e400'"),
        (f"size: {'9' * 5000}", f", line 1: size: must be a finite number, not '{'9' * 55}...'"),
        ("size: !!float x", ", line 1: size: must be a number, not 'x'"),
        ("count: 2.5", ", line 1: count: must be a whole number, not 2.5"),
        ("count: on", ", line 1: count: must be a whole number, not 'on'"),
        ("count: 0", ", line 1: count: must be greater than or equal to 1, not 0"),
        ("on: maybe", ", line 1: on: must be true or false, not 'maybe'"),
        ("name: 5", ", line 1: name: must be text, not 5"),
        ("name: [a]", ", line 1: name: must be text, not a list of 1"),
        ("kind: mud", ", line 1: kind: must be 'sand' or 'snow', not 'mud'"),
        ("either: x", ", line 1: either: must be a number, not 'x'"),
        ("either:\n- 1\n- x", ", line 1: either: must be a number, not a list of 2"),
        ("size:", ", line 1: size: has no value; write one, or leave the word out"),
        ("\nparts:\n  -", ", line 3: parts[0]: has no value; write one, or leave the word out"),
        ("size: ~", ", line 1: size: has no value; write one, or leave the word out"),
        ("~: 1", ", line 1: ['~']: has no value; write one, or leave the word out"),
        ("name: bad", ", line 1: name: is a bad name; take a good one"),
        (
            "parts:\n- degrees: 1\n- axis: [0, 0]\n  degrees: 666",
            ", line 4: parts[1].degrees: is the number of the beast",
        ),
        ("size: 1\ncount: 2\nsize: 2", ", line 3: size: is there twice, first on line 1; keep one"),
        ("times: {0: 1,\n 0.0: 2}", ", line 2: times[0.0]: is there twice; keep one"),
        ("parts:\n- degrees: 1\n  degrees: 1", ", line 3: parts[0].degrees: is there twice, first on line 2; keep one"),
        ("? [a, b]\n: 1", ", line 1: a list or mapping cannot be a word; write word: value"),
        ("named:\n  {a: 1}: 1", ", line 2: named: a list or mapping cannot be a word; write word: value"),
        ("size: 1\nname: !name x", ", line 2: name: has the tag !name; tags are not read, leave it out"),
        ("name: !!python/object:os.system x", ", line 1: name: has the tag tag:yaml.org,2002:python/object:os.system;"),
        ("on: !!bool yes", ", line 1: on: has the tag tag:yaml.org,2002:bool; tags are not read, leave it out"),
        ("parts: &p\n- *p", ", line 2: is not valid YAML (aliases (*name) are not read)"),
        ("size: 1\nname: 'x\n", ", line 3: is not valid YAML (found unexpected end of stream)"),
        ("name: a\n\tsize: 1", ", line 2: is not valid YAML (found character '\\t' that cannot start any token)"),
        ("name: a: b", ", line 1: is not valid YAML (mapping values are not allowed here)"),
        ("parts: [1, 2", ", line 1: is not valid YAML (expected ',' or ']', but got '<stream end>')"),
        ("size: 1\n---\nsize: 2", ", line 2: is not valid YAML (but found another document)"),
        ("name: a\nsize: \x07", ", line 2: has a control character; delete it"),
        (b"name: a\nname: \xff", ", line 2: is not UTF-8 text; save it as UTF-8"),
        ("name: x".encode("utf-16"), ", line 1: is not UTF-8 text; save it as UTF-8"),
        ("parts: " + "[" * 60 + "]" * 60, ", line 1: parts[0][0][0]: is nested more than 50 deep; write it flatter"),
        ("[" * 100_000, ": is nested more than 50 deep; write it flatter"),
        (f"name: {'x' * MAX_YAML_BYTES}", ": is longer than 1 MiB; put large data into files that it names"),
        ('"a\\nb": 1', f", line 1: ['a\\nb']: unknown word; allowed: {WORDS}"),
        ("name: 5\nsise: 2", f", line 2: sise: unknown word; allowed: {WORDS}"),
        ("size: x\nname: 5", ", line 1: size: must be a number, not 'x'"),
    ],
)
def test_what_is_wrong(refusal: Callable[[str | bytes], str], text: str | bytes, message: str) -> None:
    assert refusal(text).removeprefix("thing.yaml").startswith(message)


def test_long_values_are_cut(refusal: Callable[[str], str]) -> None:
    assert refusal(f"size: {'x' * 5000}") == f"thing.yaml, line 1: size: must be a number, not '{'x' * 55}...'"


def test_no_file(tmp_path: Path) -> None:
    for path, problem in (
        (tmp_path / "no.yaml", "does not exist; check the spelling and the folder"),
        (tmp_path, "is a folder; name a YAML file in it"),
        (Path(os.devnull), "is a device or a pipe; save the YAML text to a file first"),
    ):
        with pytest.raises(GainerError) as caught:
            read_yaml(path, Thing)
        assert str(caught.value) == f"{path}: {problem}"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    (tmp_path / "thing.yaml").touch(mode=0o000)
    with pytest.raises(GainerError, match="cannot be read"):
        read_yaml(tmp_path / "thing.yaml", Thing)


def test_paths_start_at_the_folder_of_the_file(
    read: Callable[[str], Thing], refusal: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mask.png").touch()
    assert read("file: sub/mask.png").file == tmp_path / "sub" / "mask.png"
    assert read(f"file: {tmp_path / 'sub' / 'mask.png'}").file == tmp_path / "sub" / "mask.png"
    rest = "(paths start at the folder of the YAML file)"
    assert refusal("file: no.png") == f"thing.yaml, line 1: file: no.png does not exist; check the spelling {rest}"
    assert refusal("\nfile: sub") == f"thing.yaml, line 2: file: sub is a folder; name a file in it {rest}"
    assert "does not exist" in refusal(f"file: {'x' * 5000}") and "does not exist" in refusal('file: "a\\0b"')
    assert "must be a path" in refusal("file: 5")
    (tmp_path / "thing.yaml").write_text("file: mask.png")
    assert read_yaml(tmp_path / "thing.yaml", Thing, {"folder": tmp_path / "sub"})[0].file is not None
    assert Thing(file=Path("anywhere.png")).file == Path("anywhere.png"), "without a file nothing is resolved"


def test_places(tmp_path: Path) -> None:
    path = tmp_path / "thing.yaml"
    path.write_text("size: 1\nparts:\n  - degrees: 1\n  -\n    axis: [1,\n      2]\n    degrees: 2\ntimes: {0.5: 1}\n")
    places = read_yaml(path, Thing)[1]
    assert places.where() == f"{path}, line 1"
    assert places.where(("parts",)) == f"{path}, line 2: parts"
    assert places.where(("parts", 0)) == f"{path}, line 3: parts[0]"
    assert places.where(("parts", 1)) == f"{path}, line 5: parts[1]"
    assert places.where(("parts", 1, "axis", 1)) == f"{path}, line 6: parts[1].axis[1]"
    assert places.where(("parts", 0, "axis")) == f"{path}, line 3: parts[0].axis", (
        "what is not there: its parent's line"
    )
    assert places.where(("times", "0.5")) == f"{path}, line 8: times[0.5]"
    assert str(places.error(("parts", 1, "degrees"), "is\nbad")) == f"{path}, line 7: parts[1].degrees: is bad"
    assert Places().where(("parts", 1)) == "parts[1]" and str(Places().error((), "is bad")) == "is bad"
    assert places == Places(), "where things stand is no part of what they say"


text = st.text(st.characters(codec="utf-8"), max_size=12)
number = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**20), 10**20).map(float)
parts = st.builds(
    lambda degrees, axis, start: Part(degrees=degrees, axis=axis, **{"from": start}),
    number,
    st.tuples(number, number),
    number,
)
things = st.builds(
    Thing,
    name=st.one_of(
        text, st.sampled_from(["1e3", "yes", "~", "nan", "0x1", "", "5", "1:30", "- a", "a: b", "!x", "&a"])
    ),
    on=st.booleans(),
    count=st.integers(1, 10**9),
    size=number,
    kind=st.sampled_from(["sand", "snow"]),
    parts=st.lists(parts, max_size=3).map(tuple),
    named=st.dictionaries(text, parts, max_size=3),
    times=st.none() | st.dictionaries(number, number, min_size=1, max_size=3),
    either=number | st.tuples(number, number),
    points=st.none() | st.lists(st.tuples(number, number), min_size=3, max_size=30).map(tuple),
).filter(lambda thing: thing.name != "bad" and all(part.degrees != 666 for part in thing.parts))


@given(things)
def test_written_and_read_again(tmp_path_factory: pytest.TempPathFactory, thing: Thing) -> None:
    written = to_yaml(thing)
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    path.write_text(written, encoding="utf-8", newline="")
    if written != "{}\n":
        again = read_yaml(path, Thing)[0]
        assert again == thing and to_yaml(again) == written


def test_what_is_written_reads_well(tmp_path: Path) -> None:
    thing = Thing(
        name="yes",
        size=12.0,
        file=tmp_path / "sub" / "mask.png",
        parts=(Part(degrees=0.5, axis=(1, 2)),),
        points=((1, 2), (3.5, 4), (5, 6)),
        on=False,
    )
    expected = """name: 'yes'
size: 12
file: sub/mask.png
parts:
- degrees: 0.5
  axis: [1, 2]
points: [[1, 2], [3.5, 4], [5, 6]]
"""
    assert to_yaml(thing, tmp_path) == expected
    assert f"file: {tmp_path / 'sub' / 'mask.png'}" in to_yaml(thing)


def refused(path: Path) -> str | None:
    """What is said about a file, or None if it is read."""
    try:
        read_yaml(path, Thing)
    except GainerError as error:
        return str(error)
    return None


@given(st.binary(max_size=60) | st.text(alphabet="abc:-[]{},#&*!|>'\"%@`? \n\t01.~<", max_size=60).map(str.encode))
def test_anything_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "anything.yaml"
    path.write_bytes(data)
    message = refused(path)
    assert message is None or (message.startswith(str(path)) and len(message.splitlines()) == 1)


_tree: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*Thing.model_fields, "from", "degrees", "axis"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_tree)
def test_any_values_are_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    import yaml

    path = tmp_path_factory.getbasetemp() / "tree.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    message = refused(path)
    assert message is None or (message.startswith(str(path)) and len(message.splitlines()) == 1)
