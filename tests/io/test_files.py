"""Files that are written whole, or not at all."""

import os
import resource
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.io.files import cannot_write, temporary_name, whole_file


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


def write(path: Path, content: bytes = b"new") -> None:
    with whole_file(path) as file:
        file.write(content)


def killed_amid(path: Path) -> None:
    """Writes half a file in another process, which is killed."""
    child = os.fork()
    if child == 0:
        with whole_file(path) as file:
            file.write(b"half of")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.parametrize("name", ["picture.bin", "n" * 251 + ".bin", os.fsdecode(b"caf\xe9.bin")])
def test_what_a_killed_write_has_left_is_cleared_once_it_is_a_day_old(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    killed_amid(path)
    (left,) = tmp_path.iterdir()
    write(path)
    assert left.exists(), "its writer may live"
    os.utime(left, (0, 0))
    write(path)
    assert names(tmp_path) == [name] and path.read_bytes() == b"new"


def test_files_and_links_of_others_stay(tmp_path: Path) -> None:
    """A writer makes no links, and what they lead to may be anything."""
    for name in (".part", ".a.part", "a.01234567-0123456789ab.part"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    link = Path(temporary_name(tmp_path))
    link.symlink_to(".part")
    os.utime(link, (0, 0), follow_symlinks=False)
    before = names(tmp_path)
    write(tmp_path / "a")
    assert names(tmp_path) == sorted([*before, "a"])


@pytest.mark.parametrize(
    ("named", "blamed"),
    [
        (None, "/a/b.png"),
        ("/a/b.png", "/a/b.png"),
        ("/a/.gainer-0123456789ab.part", "/a/b.png"),
        (b"/a", "/a/b.png"),
        ("/a/b", "/a/b"),
        ("/home/cache", "/home/cache"),
        (b"/home/cache", "/home/cache"),
    ],
)
def test_errors_are_blamed_on_the_file_that_they_are_of(named: str | bytes | None, blamed: str) -> None:
    error = cannot_write(Path("/a/b.png"), OSError(13, "Permission denied", named))
    assert str(error).startswith(f"{blamed}: cannot be written (Permission denied); ")


@pytest.mark.parametrize("exists", [False, True])
def test_links_are_followed(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "target", tmp_path / "link"
    if exists:
        target.write_bytes(b"before")
    link.symlink_to(Path("far", "target"))
    write(link)
    assert link.is_symlink() and not target.is_symlink() and target.read_bytes() == b"new"
    assert names(tmp_path) == ["far", "link"] and names(target.parent) == ["target"]


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    refused(tmp_path / "a")
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_the_mode_of_what_is_replaced_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a"
    path.touch()
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_what_is_write_protected_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"before")
    path.chmod(0o444)
    with pytest.raises(GainerError, match="write-protected"):
        write(path)
    assert path.read_bytes() == b"before" and names(tmp_path) == ["a"]


def test_a_pipe_gets_the_whole_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    with whole_file(tmp_path / "pipe") as file:
        file.write(b"12345")
        file.seek(1)
        file.write(b"x")
    reader.join()
    assert got == [b"1x345"] and names(tmp_path) == ["pipe"] and (tmp_path / "pipe").is_fifo()


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content first, then the name, then the folder that holds the name."""
    done: list[str] = []

    def noted(name: str, call: Callable[..., None]) -> Callable[..., None]:
        return lambda *arguments: (done.append(name), call(*arguments))[1]

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", noted("replace", os.replace))
    write(tmp_path / "a")
    assert done == ["fsync", "replace", "fsync"]


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file", "/somewhere/else"),
        PermissionError(13, "Permission denied", b"/proc/nohome"),
        BrokenPipeError(32, "Broken pipe"),
    ],
)
def test_errors_of_something_else_pass(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(type(error)) as raised, whole_file(tmp_path / "a"):
        raise error
    assert raised.value is error and names(tmp_path) == []


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may be longer than 1,000 bytes."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.mark.usefixtures("small_files")
def test_a_limit_of_file_sizes_is_one_line_whoever_writes(tmp_path: Path) -> None:
    """Also where a library turns the failed write into an error of its own, as torch does."""
    for save in (lambda file: torch.save(torch.rand(5000), file), lambda file: file.write(bytes(20000))):
        with pytest.raises(GainerError, match="too large") as error, whole_file(tmp_path / "a") as file:
            save(file)
        assert str(error.value).startswith(f"{tmp_path / 'a'}: cannot be written (")
        assert names(tmp_path) == []
