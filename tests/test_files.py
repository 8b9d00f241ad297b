"""Files that are written whole, or not at all."""

import os
import stat
from pathlib import Path

import pytest

from gainer_ns.errors import GainerError
from gainer_ns.files import whole_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_written(tmp_path: Path) -> None:
    path = tmp_path / "picture.bin"
    with whole_file(path) as file:
        file.write(b"one")
        assert not path.exists(), "nobody sees half of it"
        file.write(b"two")
    assert path.read_bytes() == b"onetwo" and names(tmp_path) == ["picture.bin"]


def test_folders_are_made(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a" / "b" / "c.bin") as file:
        file.write(b"x")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"x"


def test_what_was_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "picture.bin"
    path.write_bytes(b"before")
    with whole_file(path) as file:
        file.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after" and names(tmp_path) == ["picture.bin"]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), SystemExit(3), GainerError("no")])
def test_an_error_leaves_nothing_behind(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "picture.bin"
    path.write_bytes(b"before")

    def write() -> None:
        with whole_file(path) as file:
            file.write(b"half of")
            raise error

    with pytest.raises(type(error)) as raised:
        write()
    assert raised.value is error, "it is passed on as it is"
    assert path.read_bytes() == b"before" and names(tmp_path) == ["picture.bin"]


def test_two_at_once(tmp_path: Path) -> None:
    """The one that ends last stays; neither sees the other."""
    path = tmp_path / "picture.bin"
    with whole_file(path) as one:
        with whole_file(path) as two:
            two.write(b"two")
        one.write(b"one")
        assert path.read_bytes() == b"two"
    assert path.read_bytes() == b"one" and names(tmp_path) == ["picture.bin"]


def refused(path: Path) -> None:
    with pytest.raises(GainerError) as error, whole_file(path) as file:
        file.write(b"x")
    text = str(error.value)
    assert text.startswith(f"{path}: cannot be written (") and "\n" not in text
    assert isinstance(error.value.__cause__, OSError)


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "file" / "below.bin")
    refused(tmp_path / "folder")
    refused(tmp_path / ("long" * 100) / "picture.bin")
    assert names(tmp_path) == ["file", "folder"] and names(tmp_path / "folder") == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_folders_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    refused(tmp_path / "picture.bin")
    tmp_path.chmod(0o700)
    assert names(tmp_path) == []


def test_a_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    path = tmp_path / "picture.bin"
    with pytest.raises(GainerError, match="No space left"), whole_file(path):
        os.write(os.open("/dev/full", os.O_WRONLY), b"x")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="needs file modes")
def test_others_may_read_it_as_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"x")
    with whole_file(tmp_path / "whole") as file:
        file.write(b"x")
    plain, whole = ((tmp_path / name).stat().st_mode for name in ("plain", "whole"))
    assert stat.S_IMODE(plain) == stat.S_IMODE(whole)
