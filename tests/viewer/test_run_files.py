"""Files of the panel stay in its folder."""

from pathlib import Path

import pytest

from gainer_ns.errors import GainerError
from gainer_ns.viewer.run_files import RunFiles


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return RunFiles(tmp_path / "run")


@pytest.mark.parametrize(
    "name", ["", "  ", ".", "..", "../out", "a/b", "/etc/passwd", "a\\b", "a\0b", "a\nb", ".hidden", "x" * 99, "CON"]
)
def test_names_cannot_leave_the_folder(files: RunFiles, name: str) -> None:
    with pytest.raises(GainerError, match="is no name") as refused:
        files.path(name, ".yaml")
    assert "\n" not in str(refused.value)


def test_good_names_are_files_of_the_folder(files: RunFiles) -> None:
    for name in ("edit", "edit.yaml", " edit ", "Bild 3 (neu)", "köln-1.2"):
        path = files.path(name, ".yaml")
        assert path.parent == files.folder and path.suffix == ".yaml" and not path.stem.endswith(".yaml")


def test_links_are_not_followed(files: RunFiles, tmp_path: Path) -> None:
    files.folder.mkdir(parents=True)
    (tmp_path / "secret.yaml").write_text("x")
    (files.folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    with pytest.raises(GainerError, match="is a link"):
        files.path("link", ".yaml")


def test_what_is_written_is_found(files: RunFiles) -> None:
    assert files.names(".yaml") == [] and files.folders(lambda _: True) == []
    files.write(files.path("b", ".yaml"), b"1")
    files.write(files.path("a", ".yaml"), b"2")
    (files.folder / "film").mkdir()
    assert files.names(".yaml") == ["a", "b"]
    assert files.folders(lambda folder: folder.name == "film") == ["film"]
