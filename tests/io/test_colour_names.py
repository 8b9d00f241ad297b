"""Colours as people write them."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from gainer_ns.errors import GainerError
from gainer_ns.io.colour_names import Colour, colour_words
from gainer_ns.io.yaml_file import read_yaml, to_yaml


class Paint(BaseModel):
    color: Colour


def read(folder: Path, text: str) -> Paint:
    (folder / "paint.yaml").write_text(text)
    return read_yaml(folder / "paint.yaml", Paint)[0]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("tomato", (255, 99, 71)),
        ("ReBeccaPurple", (102, 51, 153)),
        ("'#ff8800'", (255, 136, 0)),
        ('"#f80"', (255, 136, 0)),
        ("'#ff880080'", (255, 136, 0, 128)),
        ("'#f808'", (255, 136, 0, 136)),
        ("'#ff8800ff'", (255, 136, 0)),
        ("[255, 136, 0.5]", (255, 136, 0.5)),
        ("[255, 136, 0, 64]", (255, 136, 0, 64)),
        ("[255, 136, 0, 255]", (255, 136, 0)),
        ("rgb(10, 20, 30)", (10, 20, 30)),
    ],
)
def test_a_colour_is_read_and_written(text: str, numbers: tuple[float, ...], tmp_path: Path) -> None:
    paint = read(tmp_path, f"color: {text}\n")
    assert paint.color == numbers
    assert read(tmp_path, to_yaml(paint)) == paint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("color: tomatoe\n", "color: there is no colour 'tomatoe'; did you mean tomato?"),
        ("color: '#ff88'x\n", "is not valid YAML"),
        ("color: '#ff88001'\n", "write a name of CSS, '#rrggbb', or [red, green, blue]"),
        ("color: #ff8800\n", "line 1: color: # begins a comment; put quotes around '#ff8800'"),
        ("{color: #f80}\n", "# begins a comment; put quotes around '#f80'"),
        ("color: # orange\n", "color: has no value"),
        ("color: [1, 2]\n", "color: must have 3 values, not 2"),
        ("color: [1, 2, 3, 4, 5]\n", "color: must have at most 4 values, not 5"),
        ("color: [1, 2, 3, 256]\n", "color[3]: must be less than or equal to 255"),
        ("color: [1, 2, red]\n", "color[2]: must be a number, not 'red'"),
        ("color: 7\n", "color: must be a list, not 7"),
    ],
)
def test_what_is_no_colour_is_refused_in_one_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(GainerError) as caught:
        read(tmp_path, text)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_words_of_a_command() -> None:
    assert colour_words(["teal"]) == (0, 128, 128) and colour_words(["1", "2", "3"]) == (1, 2, 3)
    for words in (["teel"], ["1", "2"], ["1", "2", "x"], ["1", "2", "300"], ["nan", "2", "3"]):
        with pytest.raises(GainerError, match="--background-color: "):
            colour_words(words)
