"""Folders of numbered files that are replaced all at once."""

import os
import re
import signal
from pathlib import Path

import pytest

from gainer_ns.errors import GainerError
from gainer_ns.io.folders import whole_folder

NAMES = re.compile(r"frame_\d+")


def write(path: Path, content: str, count: int) -> None:
    with whole_folder(path, NAMES) as folder:
        for number in range(count):
            (folder / f"frame_{number}").write_text(content)


def killed_at(path: Path, rename: int) -> bool:
    """Writes new files in another process, which is killed before the given rename; whether it came so far."""
    child = os.fork()
    if child == 0:
        usual, count = os.rename, 0

        def counted(source: str, target: str) -> None:
            nonlocal count
            count += 1
            if count == rename:
                os.kill(os.getpid(), signal.SIGKILL)
            usual(source, target)

        os.rename = counted
        write(path, "new", 3)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def frames(folder: Path) -> set[str]:
    return {path.read_text() for path in folder.iterdir() if NAMES.fullmatch(path.name)}


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_killed_at_any_point_old_and_new_never_show_together(tmp_path: Path) -> None:
    """And the next write begins with what was complete, so that where it fails the new files are all there."""
    rename = 1
    while True:
        folder = tmp_path / str(rename)
        folder.mkdir()
        (folder / "notes").write_text("mine")
        write(folder, "old", 4)
        assert visible(folder) == ["frame_0", "frame_1", "frame_2", "frame_3", "notes"] and not hidden(folder)
        if not killed_at(folder, rename):
            break
        assert len(frames(folder)) <= 1 and len(hidden(folder)) == 1
        shown = visible(folder)[:-1]
        assert shown == [f"frame_{number}" for number in range(len(shown))], "the first ones, without a gap"
        with pytest.raises(RuntimeError), whole_folder(folder, NAMES):
            raise RuntimeError
        assert visible(folder) == ["frame_0", "frame_1", "frame_2", "notes"]
        assert frames(folder) == {"new"} and not hidden(folder)
        rename += 1
    assert rename == 4 + 1 + 3 + 1, "every one of the renames"


def test_a_folder_that_was_not_complete_is_cleared(tmp_path: Path) -> None:
    for path in (tmp_path / "new", tmp_path):
        child = os.fork()
        if child == 0:
            with whole_folder(path, NAMES) as folder:
                (folder / "frame_0").write_text("half")
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert len(hidden(tmp_path)) == 1
        write(path, "new", 1)
        assert not hidden(tmp_path)
    assert visible(tmp_path) == ["frame_0", "new"] and visible(tmp_path / "new") == ["frame_0"]


def test_living_writers_are_not_cleared(tmp_path: Path) -> None:
    with whole_folder(tmp_path, NAMES) as folder:
        (folder / "frame_0").write_text("last")
        write(tmp_path, "first", 2)
        assert frames(tmp_path) == {"first"}
    assert visible(tmp_path) == ["frame_0"] and frames(tmp_path) == {"last"} and not hidden(tmp_path)


def test_a_failure_amid_the_swap_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "frames", "old", 2)
    (tmp_path / "frames" / "frame_0").with_name("frame_5").mkdir()  # what takes a new file's name is no file

    def failing(source: str, target: str, usual: object = os.rename) -> None:
        if target == str(tmp_path / "frames" / "frame_1"):
            monkeypatch.undo()
            raise PermissionError(13, "Permission denied", source)
        usual(source, target)  # pyright: ignore

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(GainerError, match="cannot be written"):
        write(tmp_path / "frames", "new", 2)
    assert visible(tmp_path / "frames") == ["frame_0", "frame_1", "frame_5"] and not hidden(tmp_path / "frames")
    assert (tmp_path / "frames" / "frame_1").read_text() == "old"


def test_a_link_to_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write(tmp_path / "link", "new", 1)
    assert (tmp_path / "link").is_symlink() and visible(tmp_path / "target") == ["frame_0"]
