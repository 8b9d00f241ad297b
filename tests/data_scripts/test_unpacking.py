import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

CONTENT = b"depth" * 1000


@pytest.fixture(params=["zip", "tar", "tar.gz"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two good files among links, folders and names that lead elsewhere."""
    path = tmp_path / f"archive.{request.param}"
    plain = {"a/one.txt": CONTENT, "a/two.txt": b"2", "../outside.txt": b"x", "/absolute.txt": b"x"}
    if request.param == "zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for name, content in plain.items():
                zipped.writestr(name, content)
            link = zipfile.ZipInfo("a/link.txt")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            zipped.writestr(link, "/etc/passwd")
            zipped.mkdir("a/folder.txt") if hasattr(zipped, "mkdir") else zipped.writestr("a/folder.txt/", "")
        return path
    with tarfile.open(path, "w:gz" if request.param.endswith("gz") else "w") as tarred:
        for name, content in plain.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            tarred.addfile(item, io.BytesIO(content))
        for name, kind in (
            ("a/link.txt", tarfile.SYMTYPE),
            ("a/hard.txt", tarfile.LNKTYPE),
            ("a/pipe", tarfile.FIFOTYPE),
        ):
            item = tarfile.TarInfo(name)
            item.type, item.linkname = kind, "/etc/passwd"
            tarred.addfile(item)
    return path


def test_only_plain_files_inside_come_out(archive: Path, tmp_path: Path) -> None:
    from unpacking import unpack

    folder = tmp_path / "deep" / "out"
    files = unpack(archive, folder, lambda name: name)
    assert files == [folder / "a" / "one.txt", folder / "a" / "two.txt"]
    assert files[0].read_bytes() == CONTENT
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == files
    assert not list(tmp_path.rglob("outside.txt"))


def test_files_are_chosen_and_placed(archive: Path, tmp_path: Path) -> None:
    from unpacking import names, unpack

    def placement(name: PurePosixPath) -> PurePosixPath | None:
        return PurePosixPath("b", name.name) if name.name == "one.txt" else None

    assert unpack(archive, tmp_path / "out", placement) == [tmp_path / "out" / "b" / "one.txt"]
    assert PurePosixPath("a/two.txt") in names(archive)


def test_a_placement_outside_is_a_mistake(archive: Path, tmp_path: Path) -> None:
    from unpacking import unpack

    with pytest.raises(ValueError, match="leads out"):
        unpack(archive, tmp_path / "out", lambda name: PurePosixPath("../x"))


def test_damage_is_one_line_and_leaves_nothing_half(archive: Path, tmp_path: Path, refusal: Callable[..., str]) -> None:
    from unpacking import unpack

    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 3] if archive.suffix == ".gz" else whole[:800])
    assert str(archive) in refusal(unpack, archive, tmp_path / "out", lambda name: name)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.stat().st_size < 5000]


def test_a_flipped_bit_is_found(tmp_path: Path, refusal: Callable[..., str]) -> None:
    from unpacking import unpack

    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("one.txt", CONTENT)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert "damaged" in refusal(unpack, path, tmp_path / "out", lambda name: name)
    assert not list((tmp_path / "out").rglob("*"))
