"""What a file is that is no picture is named, with the remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from gainer_ns.errors import GainerError
from gainer_ns.io import inputs
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.inputs import check_run


def iso(brand: bytes, *others: bytes) -> bytes:
    """The first box of an MP4, HEIC or AVIF file."""
    body = brand + b"\0\0\0\0" + b"".join((brand, *others))
    return (8 + len(body)).to_bytes(4, "big") + b"ftyp" + body + bytes(64)


FILES = {
    "a.mp4": (iso(b"isom", b"avc1"), "is a video (MP4); extract a frame: ffmpeg -i a.mp4 -frames:v 1 frame.png"),
    "a.mov": (iso(b"qt  "), "is a video (QuickTime); extract a frame: ffmpeg -i a.mov"),
    "old.mov": (b"\0\0\0\x08wide\0\0\0\0mdat", "is a video (QuickTime)"),
    "a.webm": (b"\x1aE\xdf\xa3" + bytes(40), "is a video (Matroska or WebM); extract a frame"),
    "a.avi": (b"RIFF\0\0\0\0AVI LIST", "is a video (AVI)"),
    "a.heic": (iso(b"heic", b"mif1"), "is a HEIC photo; run pip install 'gainer-ns[heif]'"),
    "b.heic": (iso(b"mif1", b"heic"), "is a HEIC photo"),
    "misnamed.jpg": (iso(b"heix"), "is a HEIC photo"),
    "a.cr3": (iso(b"crx "), "is a raw photo; develop it"),
    "a.cr2": (b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), "is a raw photo"),
    "a.NEF": (b"MM\0*\0\0\0\x08" + bytes(40), "is a raw photo"),
    "a.pdf": (b"%PDF-1.7\n", "is a PDF; save the page as PNG"),
    "a.svg": (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "is an SVG drawing; export it as PNG"),
    "saved.jpg": (b"<!DOCTYPE html><html></html>", "is a web page"),
    "a.exr": (b"\x76\x2f\x31\x01" + bytes(40), "is an EXR picture"),
    "a.jxl": (b"\xff\x0a" + bytes(40), "is a JPEG XL picture"),
    "a.txt": (b"no picture", "is not a picture of a known kind (it is a text file)"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_picture_is_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs.importlib.util, "find_spec", lambda _: None)
    content, says = FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GainerError) as refused:
        read_picture(tmp_path / name)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / name}: {says}") and "\n" not in message and "; " in message


@pytest.mark.parametrize("address", ["https://example.org/a.png", "HTTP://example.org/a.png", "s3://bucket/a.png"])
def test_a_web_address_is_no_path(address: str) -> None:
    for check in (read_picture, check_run):
        with pytest.raises(GainerError, match="is a web address; download it first"):
            check(Path(address))


def test_tiffs_that_are_not_read_become_png(tmp_path: Path) -> None:
    """None is told to become the TIFF that it is."""
    tifffile = pytest.importorskip("tifffile")
    kinds = {
        "float colours": (np.zeros((4, 5, 3), np.float32), {"photometric": "rgb"}),
        "gray and alpha of 16 bits": (np.zeros((4, 5, 2), np.uint16), {"extrasamples": [2]}),
        "planes of 16 bits": (np.zeros((3, 4, 5), np.uint16), {"photometric": "rgb", "planarconfig": "separate"}),
        "doubles": (np.zeros((4, 5), np.float64), {}),
        "complex": (np.zeros((4, 5), np.complex64), {}),
    }
    for name, (samples, options) in kinds.items():
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, samples, **options)
        with pytest.raises(GainerError, match="16-bit PNG") as refused:
            read_picture(path)
        assert "TIFF;" not in str(refused.value) and "or TIFF" not in str(refused.value), name


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6), (200, 30, 20)).save(tmp_path / "a.avif", quality=100)
    assert np.abs(read_picture(tmp_path / "a.avif").rgb.astype(int) - (200, 30, 20)).max() < 6


def test_heic_is_read_where_its_package_is(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (64, 64), (200, 30, 20))).save(tmp_path / "a.heic", quality=95)
    assert np.abs(read_picture(tmp_path / "a.heic").rgb.astype(int) - (200, 30, 20)).max() < 8


@pytest.mark.parametrize("name", ["photo.png", "clip.mp4", "folder", "run"])
def test_what_is_no_run_is_named(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    (tmp_path / "clip.mp4").write_bytes(iso(b"isom"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yml").touch()
    says = {
        "photo.png": "is a picture, and not a configuration of ns-train",
        "clip.mp4": "is a video",
        "folder": "is a folder; give a run's config.yml",
        "run": f"is a folder; name {tmp_path / 'run' / 'config.yml'}",
    }[name]
    with pytest.raises(GainerError) as refused:
        check_run(tmp_path / name)
    assert str(refused.value).startswith(f"{tmp_path / name}: {says}")


def test_nothing_slow_is_imported() -> None:
    slow = "torch", "nerfstudio", "cv2", "av", "numpy", "PIL"
    code = f"import sys, gainer_ns.io.inputs; sys.exit(any(name in sys.modules for name in {slow}))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
