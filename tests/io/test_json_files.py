"""JSON files that hold something else are refused in one line, by all that read any."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gainer_ns.errors import GainerError
from gainer_ns.io.json_files import read_object
from gainer_ns.lifting.camera_path_files import camera_path_of
from gainer_ns.physics.exchange.folder import SimulationFolder
from gainer_ns.physics.exchange.folder_files import MANIFEST
from gainer_ns.preparation.prepared_folder import CAMERA, read_camera


def test_a_mapping_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, null]}')
    assert read_object(tmp_path / "a.json", "a thing", "write one") == {"a": [1, None]}


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "any": ("a.json", lambda path: read_object(path, "a thing", "write one")),
    "camera path": ("path.json", camera_path_of),
    "prepared folder": (CAMERA, lambda path: read_camera(path.parent)),
    "simulation": (MANIFEST, lambda path: SimulationFolder(path.parent, 40, 30).manifest()),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"null", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe\x00", b"9" * 5000, b"{}"],
    ids=lambda content: str(content[:6]),
)
def test_anything_else_is_one_line(reader: str, content: bytes, tmp_path: Path) -> None:
    name, read = READERS[reader]
    if (reader, content) == ("any", b"{}"):
        content = b"{]"
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GainerError) as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", ["any", "camera path", "prepared folder"])
def test_what_is_not_there_is_one_line(reader: str, tmp_path: Path) -> None:
    name, read = READERS[reader]
    with pytest.raises(GainerError, match="cannot be read"):
        read(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(GainerError, match="cannot be read"):
        read(tmp_path / name)
