"""Depth maps read from every kind of file, beside the array that was written."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.io.depth_files import known_depth, read_depth, write_depth

WIDTH, HEIGHT = 7, 5


@pytest.fixture(scope="session")
def exr() -> Callable[[np.ndarray], bytes]:
    """``exr(samples)`` is an uncompressed EXR file with one channel, Y."""

    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value

    def encode(samples: np.ndarray) -> bytes:
        height, width = samples.shape
        box = struct.pack("<4i", 0, 0, width - 1, height - 1)
        head = b"v/1\x01" + struct.pack("<i", 2)
        head += attribute(b"channels", b"chlist", b"Y\0" + struct.pack("<iB3xii", 2, 0, 1, 1) + b"\0")
        head += attribute(b"compression", b"compression", b"\0")
        head += attribute(b"dataWindow", b"box2i", box) + attribute(b"displayWindow", b"box2i", box)
        head += attribute(b"lineOrder", b"lineOrder", b"\0")
        head += attribute(b"pixelAspectRatio", b"float", struct.pack("<f", 1))
        head += attribute(b"screenWindowCenter", b"v2f", struct.pack("<2f", 0, 0))
        head += attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1)) + b"\0"
        lines = [struct.pack("<2i", y, 4 * width) + samples[y].astype("<f4").tobytes() for y in range(height)]
        first = len(head) + 8 * height
        offsets = [first + y * len(lines[0]) for y in range(height)]
        return head + struct.pack(f"<{height}Q", *offsets) + b"".join(lines)

    return encode


def depth(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A ramp with something of everything that is unknown."""
    values = np.linspace(0.5, 9.5, height * width, dtype=np.float32).reshape(height, width)
    values[0, :4] = [np.nan, np.inf, -2.0, 0.0]
    return values


def known(values: np.ndarray) -> np.ndarray:
    """What should come back of ``depth()``."""
    values = values.copy()
    values[0, :4] = 0
    return values


def pfm(values: np.ndarray, scale: str = "-1.0", kind: str = "Pf") -> bytes:
    order = "<f4" if scale.startswith("-") else ">f4"
    return f"{kind}\n{values.shape[1]} {values.shape[0]}\n{scale}\n".encode() + values[::-1].astype(order).tobytes()


def complaint(path: Path, width: int = WIDTH, height: int = HEIGHT, scale: float | None = None) -> str:
    with pytest.raises(GainerError) as caught:
        read_depth(path, width, height, scale)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message and ";" in message
    return message


class TestFloats:
    @pytest.fixture(params=["npy", "npz", "npz-named", "tif", "tiff-compressed", "pfm", "pfm-big-endian", "exr"])
    def path(self, request: pytest.FixtureRequest, tmp_path: Path, exr: Callable[[np.ndarray], bytes]) -> Path:
        values, kind = depth(), request.param
        path = tmp_path / f"depth.{kind.split('-')[0]}"
        if kind == "npy":
            np.save(path, values)
        elif kind == "npz":
            np.savez_compressed(path, values)
        elif kind == "npz-named":
            np.savez(path, depth=values, focallength_px=np.float32(500))
        elif kind == "tif":
            Image.fromarray(values).save(path)
        elif kind == "tiff-compressed":
            assert cv2.imwrite(str(path), values)
        else:
            path.write_bytes(exr(values) if kind == "exr" else pfm(values, "1.0" if "big" in kind else "-1.0"))
        return path

    def test_come_back_with_the_invalid_as_zero(self, path: Path) -> None:
        result = read_depth(path, WIDTH, HEIGHT)
        np.testing.assert_array_equal(result.depth, known(depth()))
        assert result.depth.dtype == np.float32
        assert (result.units, result.focal_length, result.made_by) == ("metres", None, path.name)

    def test_are_multiplied_by_the_scale(self, path: Path) -> None:
        np.testing.assert_allclose(read_depth(path, WIDTH, HEIGHT, 0.25).depth, 0.25 * known(depth()), rtol=1e-6)

    def test_of_another_size_are_refused(self, path: Path) -> None:
        message = complaint(path, width=8)
        assert "7x5" in message and "8x5" in message and "resize" in message
        assert "turn it upright" in complaint(path, width=HEIGHT, height=WIDTH)

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF")
    def test_cut_short_are_refused(self, path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        complaint(path)

    def test_headers_that_promise_more_make_no_memory(self, path: Path) -> None:
        tracemalloc.start()
        with pytest.raises(GainerError):
            read_depth(path, 2**14, 2**14)
        assert tracemalloc.get_traced_memory()[1] < 2**24
        tracemalloc.stop()

    @pytest.mark.parametrize("content", [b"", b"\0" * 200, b"P", b"Pf\n7 5\n-1.0\n", b"\x93NUMPY\x01\x00\xff\xff"])
    def test_with_another_content_are_refused(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        complaint(path)


@pytest.mark.parametrize("shape", [(1, HEIGHT, WIDTH), (HEIGHT, WIDTH, 1), (1, 1, HEIGHT, WIDTH)])
def test_axes_of_length_one_are_dropped(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", depth().reshape(shape))
    np.testing.assert_array_equal(read_depth(tmp_path / "a.npy", WIDTH, HEIGHT).depth, known(depth()))


def test_fortran_order_and_doubles(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(depth().astype(np.float64)))
    np.testing.assert_array_equal(read_depth(tmp_path / "a.npy", WIDTH, HEIGHT).depth, known(depth()))


def test_a_picture_one_pixel_wide(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((1, 3), np.float32))
    assert read_depth(tmp_path / "a.npy", 3, 1).depth.shape == (1, 3)


@pytest.mark.parametrize("scale", ["-0.00392156862", "-2.0", "1e-3"])
def test_the_size_of_a_pfm_scale_changes_nothing(tmp_path: Path, scale: str) -> None:
    (tmp_path / "a.pfm").write_bytes(pfm(depth(), scale))
    np.testing.assert_array_equal(read_depth(tmp_path / "a.pfm", WIDTH, HEIGHT).depth, known(depth()))


def test_values_beyond_float32_are_unknown() -> None:
    np.testing.assert_array_equal(known_depth(np.array([1e300, -1e300, 1e-60, 2.0])), [0, 0, 0, 2])


class TestWholeNumbers:
    @pytest.fixture(params=["png", "tif", "npy"])
    def path(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        path = tmp_path / f"depth.{request.param}"
        values = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 1871
        if request.param == "npy":
            np.save(path, values)
        else:
            Image.fromarray(values).save(path)
        return path

    @pytest.mark.parametrize("scale", [None, 0.001, 0.0002])
    def test_are_millimetres_unless_a_scale_is_given(self, path: Path, scale: float | None) -> None:
        expected = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 1871 * (scale or 0.001)
        np.testing.assert_allclose(read_depth(path, WIDTH, HEIGHT, scale).depth, expected, rtol=1e-6)

    @pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
    def test_of_8_bits_need_a_scale(self, tmp_path: Path, suffix: str) -> None:
        values, path = np.arange(1, 36, dtype=np.uint8).reshape(HEIGHT, WIDTH), tmp_path / f"a{suffix}"
        np.save(path, values) if suffix == ".npy" else Image.fromarray(values).save(path)
        assert "8 bits" in complaint(path)
        np.testing.assert_allclose(read_depth(path, WIDTH, HEIGHT, 0.5).depth, 0.5 * values)


class TestRefusals:
    @pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
    def test_scales(self, tmp_path: Path, scale: float) -> None:
        np.save(tmp_path / "a.npy", depth())
        assert "above 0" in complaint(tmp_path / "a.npy", scale=scale)

    @pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
    def test_nothing_valid(self, tmp_path: Path, value: float) -> None:
        np.save(tmp_path / "a.npy", np.full((HEIGHT, WIDTH), value))
        assert "no depth above 0" in complaint(tmp_path / "a.npy")

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
    def test_coloured_pictures(self, tmp_path: Path, mode: str) -> None:
        Image.new(mode, (WIDTH, HEIGHT)).save(tmp_path / "a.png")
        assert "coloured" in complaint(tmp_path / "a.png")

    def test_coloured_arrays_and_pfm(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.ones((HEIGHT, WIDTH, 3)))
        assert "3 channels" in complaint(tmp_path / "a.npy")
        (tmp_path / "a.pfm").write_bytes(pfm(np.ones((HEIGHT, 3 * WIDTH)), kind="PF").replace(b"21 5", b"7 5"))
        assert "3 channels" in complaint(tmp_path / "a.pfm")

    @pytest.mark.parametrize("values", [np.ones((HEIGHT, WIDTH), bool), np.ones((HEIGHT, WIDTH), complex)])
    def test_values_that_are_no_depth(self, tmp_path: Path, values: np.ndarray) -> None:
        np.save(tmp_path / "a.npy", values)
        assert "floats or whole numbers" in complaint(tmp_path / "a.npy")

    @pytest.mark.parametrize("suffix", [".npy", ".npz"])
    def test_pickles_are_never_loaded(self, tmp_path: Path, suffix: str) -> None:
        class Trap:
            def __reduce__(self) -> tuple[Any, ...]:
                return (Path.touch, (tmp_path / "sprung",))

        buffer = io.BytesIO()
        np.save(buffer, np.array([Trap()], object), allow_pickle=True)
        path = tmp_path / f"a{suffix}"
        if suffix == ".npy":
            path.write_bytes(buffer.getvalue())
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("depth.npy", buffer.getvalue())
        complaint(path)
        assert not (tmp_path / "sprung").exists()

    def test_several_arrays(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", first=depth(), second=depth())
        assert "2 arrays" in complaint(tmp_path / "a.npz")

    def test_places_without_a_file(self, tmp_path: Path) -> None:
        assert "does not exist" in complaint(tmp_path / "none.npy")
        (tmp_path / "folder.npy").mkdir()
        assert "folder" in complaint(tmp_path / "folder.npy")
        (tmp_path / "a.jpg").touch()
        assert ".npy, .npz, .png" in complaint(tmp_path / "a.jpg")

    def test_an_exr_whose_window_is_hostile(self, tmp_path: Path, exr: Callable[[np.ndarray], bytes]) -> None:
        data = exr(depth())
        box = struct.pack("<4i", 0, 0, WIDTH - 1, HEIGHT - 1)
        wild = struct.pack("<4i", -(2**31), -(2**31), 2**31 - 1, 2**31 - 1)
        (tmp_path / "a.exr").write_bytes(data.replace(box, wild))
        assert "4294967296x4294967296" in complaint(tmp_path / "a.exr")

    def test_an_opencv_without_exr(
        self, tmp_path: Path, exr: Callable[[np.ndarray], bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def disabled(*_: object) -> None:
            raise cv2.error("imgcodecs: OpenEXR codec is disabled. You can enable it via 'OPENCV_IO_ENABLE_OPENEXR'")

        monkeypatch.setattr(cv2, "imdecode", disabled)
        (tmp_path / "a.exr").write_bytes(exr(depth()))
        assert "save the depth as .npy" in complaint(tmp_path / "a.exr")


class TestWriting:
    def test_comes_back_bit_by_bit(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "depth.npy"
        write_depth(path, depth())
        np.testing.assert_array_equal(read_depth(path, WIDTH, HEIGHT).depth, known(depth()))
        assert [file.name for file in path.parent.iterdir()] == ["depth.npy"]

    def test_other_names_and_shapes_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(GainerError, match=r"end the name in \.npy"):
            write_depth(tmp_path / "depth.png", depth())
        with pytest.raises(ValueError, match="height, width"):
            write_depth(tmp_path / "depth.npy", depth()[None])
        assert not list(tmp_path.iterdir())
