"""Folders of numbered files that are replaced all at once."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gainer_ns.errors import GainerError
from gainer_ns.io.folders import whole_folder

NAMES = re.compile(r"frame_\d+")


def write(path: Path, content: str, count: int) -> None:
    with whole_folder(path, NAMES) as folder:
        for number in range(count):
            (folder / f"frame_{number}").write_text(content)


def killed_at(path: Path, step: int) -> bool:
    """Writes new files in another process, which is killed before it takes or puts one; whether it came so far."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(usual: Callable[..., None]) -> Callable[..., None]:
            def call(*words: str) -> None:
                nonlocal count
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                usual(*words)

            return call

        os.rename, os.unlink = counted(os.rename), counted(os.unlink)
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
    step = 1
    while True:
        folder = tmp_path / str(step)
        folder.mkdir()
        (folder / "notes").write_text("mine")
        write(folder, "old", 4)
        assert visible(folder) == ["frame_0", "frame_1", "frame_2", "frame_3", "notes"] and not hidden(folder)
        if not killed_at(folder, step):
            break
        assert len(frames(folder)) <= 1
        shown = visible(folder)[:-1]
        assert shown == [f"frame_{number}" for number in range(len(shown))], "the first ones, without a gap"
        write(folder, "newer", 2)
        assert visible(folder) == ["frame_0", "frame_1", "notes"] and frames(folder) == {"newer"}
        step += 1
    assert step == 4 + 3 + 1, "every one of the steps"


def test_a_folder_that_was_not_complete_is_cleared_once_it_is_a_day_old(tmp_path: Path) -> None:
    for path in (tmp_path / "new", tmp_path):
        child = os.fork()
        if child == 0:
            with whole_folder(path, NAMES) as folder:
                (folder / "frame_0").write_text("half")
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        (left,) = hidden(tmp_path)
        os.utime(tmp_path / left, (0, 0))
        write(path, "new", 1)
        assert not hidden(tmp_path)
    assert visible(tmp_path) == ["frame_0", "new"] and visible(tmp_path / "new") == ["frame_0"]


def test_living_writers_are_not_cleared(tmp_path: Path) -> None:
    with whole_folder(tmp_path, NAMES) as folder:
        (folder / "frame_0").write_text("last")
        write(tmp_path, "first", 2)
        assert frames(tmp_path) == {"first"}
    assert visible(tmp_path) == ["frame_0"] and frames(tmp_path) == {"last"} and not hidden(tmp_path)


@pytest.mark.parametrize("error", [GainerError("no"), KeyboardInterrupt()])
def test_an_error_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    write(tmp_path, "old", 2)

    def fail() -> None:
        with whole_folder(tmp_path, NAMES) as folder:
            (folder / "frame_0").write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert visible(tmp_path) == ["frame_0", "frame_1"] and frames(tmp_path) == {"old"} and not hidden(tmp_path)


def test_a_link_to_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write(tmp_path / "link", "new", 1)
    assert (tmp_path / "link").is_symlink() and visible(tmp_path / "target") == ["frame_0"]
