"""What the documentation shows, run or read as a reader would."""

import dataclasses
import importlib
import importlib.util
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tyro

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
PAGES += tuple(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs" / "benchmarks").glob("*.md")))


def _blocks(page: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in one of these languages, those in lists too."""
    text = (ROOT / page).read_text("utf8")
    fenced = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.M | re.S)  # one after the other: none within another
    return [re.sub(rf"^{indent}", "", block, flags=re.M) for indent, kind, block in fenced if kind in languages]


PYTHON = [
    pytest.param(block, id=f"{page}-{number}")
    for page in ("README.md", "docs/index.md", "docs/python.md", "docs/units.md")
    for number, block in enumerate(_blocks(page, "python"))
]
COMMANDS = sorted(
    {
        (page, " ".join(shlex.split(line, comments=True)))
        for page in PAGES
        for block in _blocks(page, "", "sh", "bash")
        for line in block.replace("\\\n", " ").splitlines()
    }
)
"""Every line of a block without a language, as words with a space between them."""


def _shown(pattern: str) -> list[Any]:
    """The commands that match a pattern, without their folder."""
    stripped = ((page, re.sub(r"^\.venv/bin/", "", line)) for page, line in COMMANDS)
    return [pytest.param(line, id=f"{page}: {line}") for page, line in stripped if re.match(pattern, line)]


def test_there_is_something_to_run() -> None:
    assert len(PYTHON) >= 6 and len(_shown("gainer ")) >= 20 and len(_shown("ns-train ")) >= 5


@pytest.mark.parametrize("code", PYTHON)
def test_python_runs(code: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(photo, tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "shown.py", "exec"), {})
    named = re.findall(r'save\("([^"]+)"', code)
    assert named and all((tmp_path / name).stat().st_size > 0 for name in named)


@pytest.mark.parametrize("line", _shown(r"gainer \w"))
def test_gainer_takes_each_command(line: str, gainer: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    _, name, *words = line.split()
    command = getattr(importlib.import_module(f"gainer_ns.cli.{name}"), name.title())
    asked = []
    monkeypatch.setattr(command, "run", lambda self: asked.append(self))
    gainer(name, *words)
    assert len(asked) == 1


@pytest.mark.parametrize("line", _shown(r"ns-train (gainer|bench)"))
def test_ns_train_takes_each_command(line: str) -> None:
    import gainer_bench.methods
    import gainer_ns.methods

    _, method, *words = line.split()
    home = gainer_bench.methods if method.startswith("bench-") else gainer_ns.methods
    config = getattr(home, method.removeprefix("bench-").replace("-", "_")).config
    assert dataclasses.is_dataclass(tyro.cli(type(config), default=config, args=words))


@pytest.mark.parametrize("line", _shown(r"(make|python|pip) "))
def test_what_other_commands_name_is_there(line: str) -> None:
    program, first, *_ = line.split()
    if program == "make":
        assert re.search(rf"^{first}:.*##", (ROOT / "Makefile").read_text("utf8"), re.M)
    elif first == "-m":
        assert importlib.util.find_spec(line.split()[2])
    elif program == "python":
        assert (ROOT / first).is_file()


def test_the_first_commands_run(
    gainer: Callable[..., None], fitted_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of docs/index.md, but for the viewer, on a small picture."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    lines = [line for page, line in COMMANDS if page == "docs/index.md" and re.match("gainer (?!view)", line)]
    for line in lines:
        quick = ["--preview"] if "simulate" in line else []
        gainer(*line.replace("CONFIG", str(fitted_run)).split()[1:], *quick)
    outputs = [re.findall(r"--output (\S+)", line)[0] for line in lines]
    assert len(outputs) == 3 and all((tmp_path / name).stat().st_size > 0 for name in outputs)


def _script(name: str) -> Any:
    """A script of docs/scripts."""
    specification = importlib.util.spec_from_file_location(name, ROOT / "docs" / "scripts" / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_notebook_runs_and_shows_what_it_stores() -> None:
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    stored = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    again = _script("notebook").run_notebook(ROOT / "docs" / "tutorial.ipynb")

    def kinds(notebook: Any) -> list[list[list[str]]]:
        return [
            [sorted(output.get("data", {"text": ""})) for output in cell.get("outputs", [])] for cell in notebook.cells
        ]

    assert kinds(stored) == kinds(again) and str(kinds(stored)).count("image/png") >= 8


def test_the_site_has_every_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A strict build: no broken link, no name of the API that is not there, nothing fetched from elsewhere."""
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))
    pages = {path.relative_to(tmp_path).as_posix(): path.read_text("utf8") for path in tmp_path.rglob("*.html")}
    assert {re.sub(r"^docs/(.*)\.md$", r"\1.html", page) for page in PAGES if "/" in page} <= set(pages)
    for name in ("fit", "load", "lift", "Picture", "Picture.edit", "Film.save", "GainerError"):
        assert f'id="gainer_ns.{name}"' in pages["api.html"]
    for name, page in pages.items():
        assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="?https?://', page), name


@pytest.mark.slow
def test_the_gallery_is_made_by_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", [])
    _script("gallery").main(tmp_path, 96)
    _script("figures").main(tmp_path)
    for path in tmp_path.rglob("*.*"):
        kept = ROOT / "docs" / "images" / path.relative_to(tmp_path)
        assert kept.is_file(), "make gallery writes it"
        with Image.open(path) as image:
            assert image.convert("L").getextrema() != (255, 255), "something is to be seen"
    examples = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert {path.stem for path in (tmp_path / "examples").iterdir()} == examples
