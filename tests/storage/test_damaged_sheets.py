"""Files of edited pictures that are not what they should be: each is refused in one line."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gainer_ns.errors import GainerError
from gainer_ns.motion.rest_map import RestMap
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.sheet import Sheet
from gainer_ns.storage.means import Bits
from gainer_ns.storage.picture_files import load_picture, picture_bytes
from gainer_ns.storage.sheets import MAX_POSES

MakePicture = Callable[..., BakedPicture]
Edit = Callable[..., BakedPicture]
TURN = {"rotate": {"degrees": 20.0}}
PART = {"select": {"box": [3, 4, 14, 13]}, "move": {"by": [6.5, 3]}, "mode": "piece"}


@pytest.fixture
def changed(picture: MakePicture, edited: Edit, changed_file: Callable[..., Any]) -> Callable[..., Any]:
    """A file of a part that was moved, in two sheets, the second with depths."""

    def make(bits: Bits = 32) -> Any:
        source = edited(picture(24, 18), PART)
        below, above = source.layers
        assert isinstance(above, Sheet) and isinstance(above.rest_map, RestMap)
        rows, columns, _ = above.rest_map.grid.nodes.shape
        above = replace(above, rest_map=replace(above.rest_map, depths=torch.rand(rows - 3, columns - 3)))
        return changed_file(replace(source, layers=(below, above)), bits)

    return make


def refused(path: Path, message: str = "damaged") -> None:
    with pytest.raises(GainerError, match=message) as error:
        load_picture(path)
    text = str(error.value)
    assert "\n" not in text and text.startswith(str(path)) and len(text) < 600


def test_unchanged_files_load(changed: Callable[..., Any]) -> None:
    for bits in (32, 16, 8):
        file = changed(bits)
        assert file.header["version"] == 6 and len(load_picture(file.write()).layers) == 2
        halves = torch.float32 if bits == 32 else torch.float16
        nodes = ("nodes", torch.float32) if bits == 32 else ("node_changes", torch.int32)
        assert (
            file.tensors["sheet.1.presence"].dtype == halves and file.tensors[f"sheet.1.{nodes[0]}"].dtype == nodes[1]
        )


SOME = (None, "far", [], {}, [1], [1, 2, 3], [math.nan, 1], [1, math.inf], [1e9, 1])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("origin", value) for value in SOME],
        *[("step", value) for value in (*SOME, [0, 0.1], [0.1, 0], [1e-12, 1])],
        *[("canvas", value) for value in (*SOME, [0, 4], [-3, 4], [2**20, 2**20], [25, 18])],
        *[
            ("limits", value)
            for value in ("far", [], [[0, 0]], [[1, 0], [0, 1]], [[0, 1], [1, 0]], [[math.nan, 0], [1, 1]])
        ],
        *[
            ("corner", value)
            for value in (None, "far", [], {}, [1], [1, 2, 3], [math.nan, 1], [1, math.inf], [2**40, 1])
        ],
        *[
            ("rest", value)
            for value in (None, 0, [], {}, "layer", {"layer": 1}, {"layer": -1}, {"sheet": 1}, {"sheet": 2})
        ],
        *[("rest", value) for value in ({"layer": None}, {"other": 0}, {"layer": 0, "sheet": 0}, {"layer": math.nan})],
    ],
)
def test_headers_that_make_no_sense(key: str, value: Any, changed: Callable[..., Any]) -> None:
    file = changed()
    file.header["sheets"][1][key] = value
    refused(file.write())
    del file.header["sheets"][1][key]
    refused(file.write())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("sheets", value) for value in (None, 3, [], "sheets", [None, None], [{}, {}])],
        *[("shown", value) for value in (None, 3, [], {}, "shown", [None], [{}], [{"layer": 1}], [{"sheet": 2}], [0])],
    ],
)
def test_lists_that_make_no_sense(key: str, value: Any, changed: Callable[..., Any]) -> None:
    file = changed()
    file.header[key] = value
    refused(file.write())
    del file.header[key]
    refused(file.write())


@pytest.mark.parametrize("size", [None, [], [24], "wide", [0, 18], [24, 18, 1], [2**20, 2**20], [18, 24], [48, 36]])
def test_sizes_of_layers_that_make_no_sense(size: Any, changed: Callable[..., Any]) -> None:
    """Another size is that of another lattice, or of what lies as it did."""
    file = changed()
    file.header["layers"][0]["size"] = size
    refused(file.write())


def test_a_layer_of_another_size_is_not_shown_as_it_is(
    picture: MakePicture, edited: Edit, changed_file: Callable[..., Any]
) -> None:
    file = changed_file(edited(picture(24, 18), TURN, other=picture(16, 20)))
    load_picture(file.write())
    file.header["shown"].append({"layer": 0})
    load_picture(file.write())
    file.header["shown"].append({"layer": 1})
    refused(file.write())


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (name, shape)
        for name in ("nodes", "present", "depths", "presence")
        for shape in ((), (0,), (3,), (7, 9), (2, 2, 2), (3, 3, 2), (0, 9, 2), (9, 9, 3), (0, 4))
        if (name, shape) != ("presence", (7, 9))  # a field of any size is one
    ],
)
def test_tensors_of_another_shape(name: str, shape: tuple[int, ...], changed: Callable[..., Any]) -> None:
    file = changed()
    file.tensors[f"sheet.1.{name}"] = torch.zeros(shape, dtype=file.tensors[f"sheet.1.{name}"].dtype)
    refused(file.write())


@pytest.mark.parametrize("name", ["nodes", "depths", "presence"])
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e9])
def test_numbers_that_make_no_sense(name: str, value: float, changed: Callable[..., Any]) -> None:
    file = changed()
    file.tensors[f"sheet.1.{name}"].view(-1)[5] = value
    refused(file.write())


@pytest.mark.parametrize("dtype", [torch.int8, torch.float32, torch.int64])
def test_patches_are_bits(dtype: torch.dtype, changed: Callable[..., Any]) -> None:
    file = changed()
    file.tensors["sheet.1.present"] = file.tensors["sheet.1.present"].to(dtype)
    refused(file.write(), "patches")


def test_sheets_upon_sheets_without_end(changed: Callable[..., Any]) -> None:
    """A header alone can name them; drawing would call itself as often."""
    file = changed()
    sheets = [{"rest": {"layer": 0}, "canvas": [24, 18]}]
    sheets += [{"rest": {"sheet": number}, "canvas": [24, 18]} for number in range(2000)]
    for count, fits in ((MAX_POSES, True), (MAX_POSES + 1, False), (len(sheets), False)):
        file.header |= {"sheets": sheets[:count], "shown": [{"sheet": count - 1}]}
        file.tensors = {name: value for name, value in file.tensors.items() if not name.startswith("sheet.")}
        if fits:
            load_picture(file.write()).raster()
        else:
            refused(file.write(), "times over")


def test_cut_short(changed: Callable[..., Any]) -> None:
    path = changed().write()
    whole = path.read_bytes()
    for length in [0, 8, 100, *range(500, len(whole), 1501), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bytes(changes: list[tuple[int, int]], picture: MakePicture, edited: Edit, tmp_path: Path) -> None:
    """Anywhere in the file: it loads as a picture that can be drawn, or is refused in one line."""
    torch.manual_seed(0)
    damaged = bytearray(picture_bytes(edited(picture(4, 3, num_neighbours=4), TURN), 16))
    for position, value in changes:
        damaged[position % min(len(damaged), 2500)] = value  # mostly in the header
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damaged)
    try:
        loaded = load_picture(path)
    except GainerError:
        refused(path, "")
    else:
        assert loaded.at(torch.zeros(1, 2)).rgb.shape == (1, 3)


@pytest.mark.parametrize("name", ["reaches", "opacity_slopes"])
def test_edited_pictures_of_older_versions_are_refused(
    name: str, picture: MakePicture, changed_file: Callable[..., Any]
) -> None:
    file = changed_file(picture())
    shape = (108,) if name == "reaches" else (108, 2)
    file.tensors[f"0.{name}"] = torch.zeros(shape)
    file.header["layers"][0]["fade"] = 0.5
    refused(file.write(), "edited picture of an older version.*edit the fitted picture again")
