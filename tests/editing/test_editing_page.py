"""docs/editing.md says what scripts may say."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from gainer_ns.editing.backgrounds import Background, Inpaint
from gainer_ns.editing.flat_or_lifted import LAYERS
from gainer_ns.editing.operations import Handle, Operation
from gainer_ns.editing.script import Edit, Mode, Order, Script, ScriptLayer, read_script
from gainer_ns.editing.selection import Disc, Selection
from gainer_ns.editing.stage import Stage
from gainer_ns.editing.timing import Easing
from gainer_ns.editing.vocabulary import OPERATIONS
from gainer_ns.rendering.plane import BakedPicture

PAGE = (Path(__file__).parents[2] / "docs" / "editing.md").read_text("utf8")
FLAT, LIFTED = PAGE.split("## Output")[0].split("## Lifted photos")
BLOCK = re.compile(r"```yaml\n(.*?)```", flags=re.DOTALL)
README = (Path(__file__).parents[2] / "README.md").read_text("utf8")
SCRIPTS = BLOCK.findall(FLAT) + [text for text in BLOCK.findall(README) if text.startswith("edits:")]


@pytest.mark.parametrize(("word", "model"), OPERATIONS.items(), ids=OPERATIONS)
def test_each_operation_has_its_row(word: str, model: type[Operation]) -> None:
    """The table says what the models say of themselves and of each field."""
    (row,) = [line for line in FLAT.splitlines() if line.startswith(f"| `{word}` |")]
    assert (model.__doc__ or "").splitlines()[0] in row
    for name, field in model.model_fields.items():
        said = " ".join((field.description or "").split()).rstrip(".")
        assert f"**{field.alias or name}**{'' if field.is_required() else ' (optional)'}: {said}" in row
    assert len(re.findall(r"\*\*\w+\*\*", row)) == len(model.model_fields), "no field that does not exist"


@pytest.mark.parametrize("model", [Background, Disc, Edit, Handle, Inpaint, ScriptLayer, Script, Selection])
def test_each_word_is_there(model: type) -> None:
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]
        word = field.alias or name
        if model is Inpaint and word == "method":
            word = "telea"
        assert re.search(rf"[`{{ ]{word}[`:]|`[^`]*\b{word}\b[^`]*`", PAGE), word


def test_each_choice_is_there() -> None:
    modes = get_args(Mode)
    methods = get_args(get_args(Inpaint.model_fields["method"].annotation)[0])
    for choice in (*get_args(Easing), *get_args(Order), *modes, *methods):
        assert re.search(rf"`[^`]*\b{choice}\b[^`]*`", PAGE), choice


@pytest.mark.parametrize("size", [(768, 512), (24, 16), (12, 90), (200, 18)])
@pytest.mark.parametrize("text", SCRIPTS, ids=lambda text: text.split("\n")[1].strip())
def test_each_script_fits_any_picture(
    text: str, size: tuple[int, int], fitted: Callable[..., BakedPicture], tmp_path: Path
) -> None:
    width, height = size
    (tmp_path / "sticker.safetensors").touch()
    for name, value in (("ear.png", 255), ("labels.png", 2)):
        mask = np.zeros((height, width), np.uint8)
        mask[height // 4 : height // 2, width // 4 : width // 2] = value
        Image.fromarray(mask).save(tmp_path / name)
    (tmp_path / "script.yaml").write_text(text, "utf8")
    script = read_script(tmp_path / "script.yaml", width, height)
    assert script.edits and len(SCRIPTS) >= 3
    if width < 768:
        picture, sticker = (fitted(torch.rand(*shape, 3)) for shape in ((height, width), (8, 12)))
        edited = Stage(script, picture, dict.fromkeys(script.layers, sticker)).at(0.5 if script.frames else 1.0)
        (before, clear), (after, opaque) = picture.raster(), edited.raster()
        assert float((before * clear - after * opaque).abs().max()) > 0.05, "something changes"


def test_the_words_of_lifted_photos_are_there(tmp_path: Path) -> None:
    for word in (*OPERATIONS, *Edit.model_fields, *Script.model_fields, *(f"layer: {name}" for name in LAYERS)):
        assert re.search(rf"`[^`]*\b{word}\b[^`]*`", LIFTED) or f"{word}:" in LIFTED, word
    (text,) = BLOCK.findall(LIFTED)
    (tmp_path / "script.yaml").write_text(text, "utf8")
    assert read_script(tmp_path / "script.yaml", 741, 500, lifted_layers=1).edits
