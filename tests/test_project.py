"""What the files around the package say agrees with one another."""

import re
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]


def _text(page: str) -> str:
    return (ROOT / page).read_text("utf8")


PROJECT = tomllib.loads(_text("pyproject.toml"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def _key(requirement: str) -> str:
    """A package's name as PyPI compares names."""
    (name,) = re.findall(r"^[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", name).lower()


def test_one_version_everywhere() -> None:
    changelog = _text("CHANGELOG.md")
    version, date = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", changelog, re.M)[0]
    citation = yaml.safe_load(_text("CITATION.cff"))
    assert version == PROJECT["version"] == citation["version"]
    assert date == citation["date-released"]


def test_the_citation_names_what_citing_needs() -> None:
    citation = yaml.safe_load(_text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert citation["license"] == PROJECT["license"]
    (paper,) = citation["references"]
    assert paper["title"].startswith("GaINeR") and len(paper["authors"]) == 7


def test_each_requirement_is_pinned_and_has_its_reason() -> None:
    pinned = {_key(line) for line in _text("constraints.txt").splitlines() if "==" in line}
    reasons = _text("docs/dependencies.md").lower()
    extras = PROJECT["optional-dependencies"]
    for requirement in [*PROJECT["dependencies"], *(one for extra in extras.values() for one in extra)]:
        key = _key(requirement)
        assert key in pinned, requirement
        assert f"https://pypi.org/project/{key}/" in reasons, requirement


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_python_that_is_promised_is_tested(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text("utf8"))
    promised = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one)]
    assert workflow["jobs"]["tests"]["strategy"]["matrix"]["python"] == promised
    makefile = _text("Makefile")
    for target in re.findall(r"run: make (\w+)", path.read_text("utf8")):
        assert re.search(rf"^{target}:.*##", makefile, re.M), target


def test_each_room_has_its_sentence() -> None:
    contributing, concepts = _text("CONTRIBUTING.md"), _text("docs/concepts.md")
    for room in sorted(path.parent.name for path in (ROOT / "gainer_ns").glob("*/__init__.py")):
        assert f"| `gainer_ns/{room}/` |" in contributing, room
        assert re.search(rf"^\|[^|]*`{room}`[^|]*\|", concepts, re.M), room


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/dependencies.md"])
def test_each_path_that_is_named_is_there(page: str) -> None:
    for path in re.findall(r"`((?:gainer_ns|gainer_bench|tests|docs|configs|examples)/[\w./-]*)`", _text(page)):
        assert (ROOT / path).exists(), path
