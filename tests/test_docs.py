"""The Python that the documentation shows, run as a reader would: copied, beside a photo.png."""

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHOWN = [
    pytest.param(block, id=f"{page}-{number}")
    for page in ("README.md", "docs/python.md")
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text("utf8"), re.M | re.S))
]


def test_there_is_something_to_run() -> None:
    assert len(SHOWN) >= 5


@pytest.mark.parametrize("code", SHOWN)
def test_what_is_shown_runs(code: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(photo, tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "shown.py", "exec"), {})
    named = re.findall(r'save\("([^"]+)"', code)
    assert named and all((tmp_path / name).stat().st_size > 0 for name in named)
