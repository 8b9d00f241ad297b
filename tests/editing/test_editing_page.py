"""docs/editing.md says what scripts may say."""

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from gainer_ns.editing.operations import OPERATIONS, Handle
from gainer_ns.editing.script import Background, Edit, Inpaint, Layer, Order, Script, read_script
from gainer_ns.editing.selection import Disc, Selection
from gainer_ns.editing.timing import Easing

PAGE = (Path(__file__).parents[2] / "docs" / "editing.md").read_text("utf8")
SCRIPTS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("word", OPERATIONS)
def test_each_operation_has_its_row(word: str) -> None:
    """The table says what the models say of themselves and of each field."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{word}` |")]
    model = OPERATIONS[word]
    assert (model.__doc__ or "").splitlines()[0] in row
    for name, field in model.model_fields.items():
        said = " ".join((field.description or "").split()).rstrip(".")
        assert f"**{field.alias or name}**{'' if field.is_required() else ' (optional)'}: {said}" in row
    assert len(re.findall(r"\*\*\w+\*\*", row)) == len(model.model_fields), "no field that does not exist"


@pytest.mark.parametrize("model", [Background, Disc, Edit, Handle, Inpaint, Layer, Script, Selection])
def test_each_word_is_there(model: type) -> None:
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]
        word = field.alias or name
        if model is Inpaint and word == "method":
            word = "telea"
        assert re.search(rf"[`{{ ]{word}[`:]|`[^`]*\b{word}\b[^`]*`", PAGE), word


def test_each_choice_is_there() -> None:
    seams = get_args(Edit.model_fields["seam"].annotation)
    methods = get_args(get_args(Inpaint.model_fields["method"].annotation)[0])
    for choice in (*get_args(Easing), *get_args(Order), *seams, *methods):
        assert re.search(rf"`[^`]*\b{choice}\b[^`]*`", PAGE), choice


@pytest.mark.parametrize("text", SCRIPTS, ids=lambda text: text.split("\n")[1].strip())
def test_each_script_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "sticker.safetensors").touch()
    Image.fromarray(np.full((512, 768), 255, np.uint8)).save(tmp_path / "ear.png")
    (tmp_path / "script.yaml").write_text(text, "utf8")
    assert read_script(tmp_path / "script.yaml", 768, 512).edits
    assert len(SCRIPTS) >= 3
