"""Awkward pictures, each made here from an array that says what must come out."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from gainer_ns.errors import GainerError
from gainer_ns.io import image_io
from gainer_ns.io.image_io import SourceImage, read_picture

UPRIGHT = np.array([[1, 2, 3], [4, 5, 6]], np.uint8) * 40
STORED = {  # The EXIF standard: which sides of the upright picture the first stored row and column are.
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[3, 6], [2, 5], [1, 4]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[4, 1], [5, 2], [6, 3]],
}
GRAY, COLOUR, PALETTE, GRAY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6


def noise(*shape: int, dtype: type = np.uint8, seed: int = 7) -> np.ndarray:
    """Seeded samples over the whole range of a type."""
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def png(samples: np.ndarray, kind: int, *, bits: int | None = None, **chunks: bytes) -> bytes:
    """A PNG written by hand, chunk by chunk, so that no library's habits come in."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    bits = bits or samples.dtype.itemsize * 8
    if bits < 8:
        spread = np.unpackbits(samples[..., None], axis=2)[..., -bits:]
        rows = np.packbits(spread.reshape(len(samples), -1), axis=1)
    else:
        rows = samples.astype(f">u{bits // 8}")
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, kind, 0, 0, 0)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    extra = b"".join(chunk(name.encode(), data) for name, data in chunks.items())
    end = chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + end


def exif(orientation: int) -> bytes:
    """An EXIF block, in its big-endian TIFF form, with the orientation and nothing else."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    """Saves by Pillow and returns the path."""
    image.save(path, **options)  # pyright: ignore[reportArgumentType]
    return path


def stored(path: Path, data: bytes) -> Path:
    """Writes bytes and returns the path."""
    path.write_bytes(data)
    return path


def check(picture: SourceImage, rgb: np.ndarray, alpha: np.ndarray | None = None) -> None:
    """Asserts that a picture has exactly these samples; one channel of gray stands for three."""
    expected = np.repeat(rgb[..., None], 3, axis=2) if rgb.ndim == 2 else rgb
    assert picture.rgb.dtype == rgb.dtype
    np.testing.assert_array_equal(picture.rgb, expected)
    assert (picture.alpha is None) == (alpha is None)
    if picture.alpha is not None and alpha is not None:
        assert picture.alpha.dtype == rgb.dtype
        np.testing.assert_array_equal(picture.alpha, alpha)


def refusal(path: Path, **options: int) -> str:
    """The one line with which a path is refused."""
    with pytest.raises(GainerError) as caught:
        read_picture(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert "; " in message, "no remedy"
    return message


class TestKinds:
    """Every kind of file gives its samples exactly."""

    @pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.ppm", "a.tga", "png named.jpg"])
    def test_colours(self, tmp_path: Path, name: str) -> None:
        samples = noise(9, 14, 3)
        options = {"format": "PNG"} if "named" in name else {"lossless": True} if "webp" in name else {}
        check(read_picture(saved(tmp_path / name, Image.fromarray(samples), **options)), samples)

    def test_jpeg(self, tmp_path: Path) -> None:
        samples = np.full((16, 24, 3), (200, 100, 50), np.uint8)
        picture = read_picture(saved(tmp_path / "a.jpg", Image.fromarray(samples), quality=100))
        np.testing.assert_allclose(picture.rgb.astype(int), samples, atol=2)
        assert picture.alpha is None

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
    def test_alpha_is_kept_apart_from_hidden_colours(self, tmp_path: Path, name: str) -> None:
        samples = noise(9, 14, 4)
        samples[:3, :, 3] = 0
        options = {"lossless": True, "exact": True} if name == "a.webp" else {}
        picture = read_picture(saved(tmp_path / name, Image.fromarray(samples), **options))
        check(picture, samples[..., :3], samples[..., 3])

    def test_opaque_alpha_is_still_alpha(self, tmp_path: Path) -> None:
        samples = np.full((2, 3, 4), 255, np.uint8)
        check(read_picture(saved(tmp_path / "a.png", Image.fromarray(samples))), samples[..., :3], samples[..., 3])

    def test_gray_with_and_without_alpha(self, tmp_path: Path) -> None:
        samples = noise(5, 4, 2)
        check(read_picture(saved(tmp_path / "l.png", Image.fromarray(samples[..., 0]))), samples[..., 0])
        gray_alpha = Image.merge("LA", [Image.fromarray(samples[..., channel]) for channel in (0, 1)])
        check(read_picture(saved(tmp_path / "la.png", gray_alpha)), samples[..., 0], samples[..., 1])

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
    def test_one_bit(self, tmp_path: Path, name: str) -> None:
        samples = noise(5, 11) > 127
        check(read_picture(saved(tmp_path / name, Image.fromarray(samples))), samples * np.uint8(255))

    @pytest.mark.parametrize("bits", [1, 2, 4, 8])
    def test_palette(self, tmp_path: Path, bits: int) -> None:
        palette, indices = noise(2**bits, 3), noise(6, 9) & (2**bits - 1)
        plain = png(indices, PALETTE, bits=bits, PLTE=palette.tobytes())
        check(read_picture(stored(tmp_path / "p.png", plain)), palette[indices])
        opacities = noise(2**bits - 1, seed=8)  # The last entry, not named, is opaque.
        keyed = png(indices, PALETTE, bits=bits, PLTE=palette.tobytes(), tRNS=opacities.tobytes())
        alpha = np.append(opacities, np.uint8(255))[indices]
        check(read_picture(stored(tmp_path / "t.png", keyed)), palette[indices], alpha)

    def test_palette_with_one_transparent_entry(self, tmp_path: Path) -> None:
        palette, indices = noise(4, 3), np.array([[0, 1, 2, 3]], np.uint8)
        data = png(indices, PALETTE, PLTE=palette.tobytes(), tRNS=b"\xff\xff\x00\xff")
        alpha = np.array([[255, 255, 0, 255]], np.uint8)
        check(read_picture(stored(tmp_path / "p.png", data)), palette[indices], alpha)

    @pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
    def test_gray_with_a_transparent_value(self, tmp_path: Path, bits: int) -> None:
        dtype = np.uint16 if bits == 16 else np.uint8
        samples = noise(6, 9, dtype=dtype) & (2**bits - 1)
        key = int(samples[2, 3])
        white = 65535 if bits == 16 else 255
        widened = samples if bits >= 8 else samples * np.uint8(255 // (2**bits - 1))
        data = png(samples, GRAY, bits=bits, tRNS=struct.pack(">H", key))
        alpha = np.where(samples == key, 0, white).astype(dtype)
        check(read_picture(stored(tmp_path / "g.png", data)), widened, alpha)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_colours_with_a_transparent_one(self, tmp_path: Path, dtype: type) -> None:
        samples = noise(6, 9, 3, dtype=dtype)
        samples[1:4, 2:5] = samples[0, 0]
        samples[5, 5] = samples[0, 0] + np.array([0, 0, 1], dtype)  # One step away is opaque.
        white = np.iinfo(dtype).max
        alpha = np.where((samples == samples[0, 0]).all(axis=2), 0, white).astype(dtype)
        data = png(samples, COLOUR, tRNS=samples[0, 0].astype(">u2").tobytes())
        check(read_picture(stored(tmp_path / "c.png", data)), samples, alpha)

    def test_cmyk_tiff(self, tmp_path: Path) -> None:
        inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0], [0, 0, 0, 255]]], np.uint8)
        seen = np.array([[[255, 255, 255], [0, 255, 255], [255, 0, 0], [0, 0, 0]]], np.uint8)
        check(read_picture(saved(tmp_path / "a.tif", Image.fromarray(inks, "CMYK"))), seen)

    def test_cmyk_jpeg_with_adobe_s_inverted_inks(self, tmp_path: Path) -> None:
        inks = np.full((16, 16, 4), (0, 200, 200, 20), np.uint8)
        path = saved(tmp_path / "a.jpg", Image.fromarray(inks, "CMYK"), quality=100)
        assert b"Adobe" in path.read_bytes()
        np.testing.assert_allclose(read_picture(path).rgb[8, 8].astype(int), (235, 51, 51), atol=3)

    def test_many_rows_are_joined_without_a_seam(self, tmp_path: Path) -> None:
        samples = noise(2100, 1000, 4)  # More than two of the bands in which samples are converted.
        path = saved(tmp_path / "a.png", Image.fromarray(samples), compress_level=0)
        check(read_picture(path), samples[..., :3], samples[..., 3])

    def test_memory_stays_near_the_picture_s_own_size(self, tmp_path: Path) -> None:
        path = saved(tmp_path / "a.png", Image.new("RGB", (3000, 2000)))
        tracemalloc.start()
        picture = read_picture(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1.6 * picture.rgb.nbytes


class TestSixteenBits:
    """PNG, TIFF and PNM keep all 16 bits."""

    @pytest.mark.parametrize("kind", [GRAY, GRAY_ALPHA, COLOUR, COLOUR_ALPHA])
    def test_png(self, tmp_path: Path, kind: int) -> None:
        channels = {GRAY: 1, GRAY_ALPHA: 2, COLOUR: 3, COLOUR_ALPHA: 4}[kind]
        samples = noise(6, 9, channels, dtype=np.uint16)
        picture = read_picture(stored(tmp_path / "a.png", png(samples, kind, gAMA=struct.pack(">I", 100000))))
        colours = np.broadcast_to(samples[..., : 3 if channels > 2 else 1], (6, 9, 3))
        check(picture, colours, None if channels % 2 else samples[..., -1])
        assert (picture.bit_depth, picture.max_value) == (16, 65535)

    @pytest.mark.parametrize("compression", [None, "zlib"])
    @pytest.mark.parametrize("byteorder", ["<", ">"])
    def test_tiff(self, tmp_path: Path, compression: str | None, byteorder: str) -> None:
        samples = noise(6, 9, 4, dtype=np.uint16)
        options = {"compression": compression, "byteorder": byteorder}
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, samples[..., 0], photometric="minisblack", **options)
        check(read_picture(path), samples[..., 0])
        tifffile.imwrite(path, samples[..., :3], photometric="rgb", **options)
        check(read_picture(path), samples[..., :3])
        tifffile.imwrite(path, samples, photometric="rgb", extrasamples=["unassalpha"], **options)
        check(read_picture(path), samples[..., :3], samples[..., 3])
        tifffile.imwrite(path, samples, photometric="rgb", extrasamples=["unspecified"], **options)
        check(read_picture(path), samples[..., :3])

    def test_tiff_where_zero_is_white(self, tmp_path: Path) -> None:
        samples = noise(6, 9, dtype=np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", samples, photometric="miniswhite")
        check(read_picture(tmp_path / "a.tif"), 65535 - samples)

    def test_tiff_with_colours_multiplied_by_alpha(self, tmp_path: Path) -> None:
        alpha = np.array([[65535, 32768, 0]], np.uint16)
        plain = np.array([[[65535, 1000, 7], [40000, 20000, 0], [0, 0, 0]]], np.uint16)
        multiplied = np.rint(plain * (alpha[..., None] / 65535)).astype(np.uint16)
        stack = np.dstack((multiplied, alpha))
        tifffile.imwrite(tmp_path / "a.tif", stack, photometric="rgb", extrasamples=["assocalpha"])
        picture = read_picture(tmp_path / "a.tif")
        np.testing.assert_allclose(picture.rgb.astype(int), plain, atol=1)
        check(picture, picture.rgb, alpha)

    @pytest.mark.parametrize(("name", "magic"), [("a.pgm", 5), ("a.ppm", 6)])
    def test_pnm(self, tmp_path: Path, name: str, magic: int) -> None:
        samples = noise(6, 9, *([3] if magic == 6 else []), dtype=np.uint16)
        path = stored(tmp_path / name, f"P{magic} 9 6 65535\n".encode() + samples.astype(">u2").tobytes())
        check(read_picture(path), samples)


@pytest.mark.parametrize("orientation", STORED)
class TestOrientation:
    """A turned picture comes out upright, however it says so."""

    def as_stored(self, orientation: int) -> np.ndarray:
        return np.array(STORED[orientation], np.uint8) * 40

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
    def test_eight_bits(self, tmp_path: Path, orientation: int, name: str) -> None:
        image = Image.fromarray(self.as_stored(orientation))
        image = image.convert("RGB") if name == "a.webp" else image
        tags = Image.Exif()
        tags[0x0112] = orientation
        options = {"lossless": True} if name == "a.webp" else {}
        check(read_picture(saved(tmp_path / name, image, exif=tags, **options)), UPRIGHT)

    def test_alpha_turns_too(self, tmp_path: Path, orientation: int) -> None:
        samples = np.repeat(self.as_stored(orientation)[..., None], 2, axis=2)
        data = png(samples, GRAY_ALPHA, eXIf=exif(orientation))
        check(read_picture(stored(tmp_path / "a.png", data)), UPRIGHT, UPRIGHT)

    def test_sixteen_bit_png(self, tmp_path: Path, orientation: int) -> None:
        gray = self.as_stored(orientation).astype(np.uint16) * 257
        upright = UPRIGHT.astype(np.uint16) * 257
        check(read_picture(stored(tmp_path / "a.png", png(gray, GRAY, eXIf=exif(orientation)))), upright)
        colours = np.repeat(gray[..., None], 3, axis=2)
        check(read_picture(stored(tmp_path / "a.png", png(colours, COLOUR, eXIf=exif(orientation)))), upright)

    def test_sixteen_bit_tiff(self, tmp_path: Path, orientation: int) -> None:
        gray = self.as_stored(orientation).astype(np.uint16) * 257
        upright = UPRIGHT.astype(np.uint16) * 257
        tag = [(0x0112, "H", 1, orientation, True)]
        tifffile.imwrite(tmp_path / "g.tif", gray, photometric="minisblack", extratags=tag)
        check(read_picture(tmp_path / "g.tif"), upright)
        colours = np.repeat(gray[..., None], 3, axis=2)
        tifffile.imwrite(tmp_path / "c.tif", colours, photometric="rgb", extratags=tag)
        check(read_picture(tmp_path / "c.tif"), upright)

    def test_imagemagick_s_text_in_a_png(self, tmp_path: Path, orientation: int) -> None:
        block = b"Exif\0\0" + exif(orientation)
        text = PngImagePlugin.PngInfo()
        text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
        image = Image.fromarray(self.as_stored(orientation))
        check(read_picture(saved(tmp_path / "a.png", image, pnginfo=text)), UPRIGHT)

    def test_jpeg(self, tmp_path: Path, orientation: int) -> None:
        blocks = np.kron(self.as_stored(orientation), np.ones((16, 16), np.uint8))
        path = saved(tmp_path / "a.jpg", Image.fromarray(blocks), quality=100, exif=b"Exif\0\0" + exif(orientation))
        np.testing.assert_allclose(read_picture(path).rgb[8::16, 8::16, 0].astype(int), UPRIGHT, atol=1)


class TestSeveralFrames:
    """Of several frames the first is read, and that is said."""

    @pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tif", "a.webp"])
    def test_first_frame(self, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
        colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
        frames = [Image.new("RGB", (8, 5), colour) for colour in colours]
        options = {"lossless": True} if name == "a.webp" else {}
        path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], **options)
        check(read_picture(path), np.full((5, 8, 3), (255, 0, 0), np.uint8))
        assert [record.name for record in caplog.records] == ["gainer_ns.io.image_io"]
        assert "only the first" in caplog.text
        assert str(path) in caplog.text

    def test_one_frame_is_not_worth_a_word(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        read_picture(saved(tmp_path / "a.gif", Image.new("RGB", (8, 5))))
        assert not caplog.records


class TestRefusals:
    """What is no whole picture is refused in one line."""

    def test_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
        os.mkfifo(tmp_path / "pipe.png")
        assert "does not exist" in refusal(tmp_path / "missing.png")
        assert "does not exist" in refusal(tmp_path / "link.png")
        assert "does not exist" in refusal(tmp_path / ("n" * 300 + ".png"))
        assert "is a folder" in refusal(tmp_path / "folder")
        assert "is a device or a pipe" in refusal(tmp_path / "pipe.png")
        assert "is empty" in refusal(stored(tmp_path / "empty.png", b""))

    def test_no_permission(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        path = saved(tmp_path / "a.png", Image.new("L", (2, 2)))
        monkeypatch.setattr(Path, "open", refuse)
        assert "may not be read" in refusal(path)

    @pytest.mark.parametrize("content", [b"This is a letter, not a picture.\n" * 40, b"\x89PNG\r\n\x1a\n", b"\0"])
    def test_no_picture(self, tmp_path: Path, content: bytes) -> None:
        assert "not a picture of a known kind" in refusal(stored(tmp_path / "a.png", content))

    def test_no_pixels(self, tmp_path: Path) -> None:
        refusal(stored(tmp_path / "a.png", png(np.zeros((4, 0, 3), np.uint8), COLOUR)))
        refusal(stored(tmp_path / "a.ppm", b"P6 0 4 255\n"))

    @pytest.mark.parametrize(
        "samples",
        [np.ones((4, 5), np.float32), np.ones((4, 5), np.int32), np.ones((4, 5), np.int16), np.ones((4, 5), np.uint32)],
    )
    def test_no_agreed_white(self, tmp_path: Path, samples: np.ndarray) -> None:
        tifffile.imwrite(tmp_path / "a.tif", samples)
        assert "not plain 8- or 16-bit" in refusal(tmp_path / "a.tif")

    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_sixteen_bit_planes_apart(self, tmp_path: Path, compression: str | None) -> None:
        planes = noise(3, 4, 5, dtype=np.uint16)
        options = {"photometric": "rgb", "planarconfig": "separate", "compression": compression}
        tifffile.imwrite(tmp_path / "a.tif", planes, **options)
        assert "not plain 8- or 16-bit" in refusal(tmp_path / "a.tif")

    def test_too_many_pixels(self, tmp_path: Path) -> None:
        bomb = bytearray(png(np.zeros((1, 1), np.uint8), GRAY))
        bomb[16:24] = struct.pack(">II", 60_000, 60_000)
        bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
        assert "536 megapixels" in refusal(stored(tmp_path / "a.png", bytes(bomb)))

    def test_pillow_s_lower_limit_is_no_obstacle(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        samples = noise(20, 20)
        check(read_picture(saved(tmp_path / "a.png", Image.fromarray(samples))), samples)
        assert Image.MAX_IMAGE_PIXELS == 10

    def test_own_limit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(image_io, "MAX_PIXELS", 400)
        read_picture(saved(tmp_path / "a.png", Image.new("L", (20, 20))))
        assert "crop or shrink" in refusal(saved(tmp_path / "b.png", Image.new("L", (20, 21))))

    def test_leniency_set_by_others_does_not_count(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        path = saved(tmp_path / "a.jpg", Image.fromarray(noise(64, 64, 3)))
        assert "cut short" in refusal(stored(path, path.read_bytes()[:-500]))
        assert ImageFile.LOAD_TRUNCATED_IMAGES is True

    @pytest.mark.parametrize("factor", [0, -2])
    def test_downscaling_by_nothing(self, tmp_path: Path, factor: int) -> None:
        path = saved(tmp_path / "a.png", Image.new("L", (4, 4)))
        assert "downscaled" in refusal(path, downscale_factor=factor)

    @settings(deadline=None, max_examples=60)
    @given(kind=st.sampled_from(["png", "png16", "jpeg", "progressive", "tiff16", "webp", "gif"]), part=st.floats(0, 1))
    @example(kind="png16", part=0.9)
    @example(kind="progressive", part=0.6)
    def test_a_cut_file_never_gives_other_pixels(
        self, tmp_path_factory: pytest.TempPathFactory, kind: str, part: float
    ) -> None:
        path = tmp_path_factory.mktemp("cut") / "a.bin"
        samples, buffer = noise(24, 31, 3), io.BytesIO()
        match kind:
            case "png16":
                buffer.write(png(samples.astype(np.uint16) * 257, COLOUR))
            case "tiff16":
                tifffile.imwrite(buffer, samples.astype(np.uint16) * 257, photometric="rgb")
            case "progressive":
                Image.fromarray(samples).save(buffer, "JPEG", progressive=True)
            case _:
                Image.fromarray(samples).save(buffer, kind)
        data = buffer.getvalue()
        whole = read_picture(stored(path, data)).rgb
        stored(path, data[: int(part * (len(data) - 1))])
        with contextlib.suppress(GainerError):
            check(read_picture(path), whole)


class TestDownscaling:
    """Smaller pictures, by Pillow's antialiased bicubic."""

    def test_eight_bits_are_pillow_s(self, tmp_path: Path) -> None:
        image = Image.fromarray(noise(21, 34, 3))
        expected = np.asarray(image.resize((11, 7), Image.Resampling.BICUBIC))
        check(read_picture(saved(tmp_path / "a.png", image), downscale_factor=3), expected)

    def test_sixteen_bits_keep_their_depth(self, tmp_path: Path) -> None:
        shallow = noise(20, 30, 3)
        deep = png(shallow.astype(np.uint16) * 257, COLOUR)
        picture = read_picture(stored(tmp_path / "deep.png", deep), downscale_factor=2)
        expected = read_picture(saved(tmp_path / "a.png", Image.fromarray(shallow)), downscale_factor=2)
        assert picture.rgb.dtype == np.uint16
        np.testing.assert_allclose(picture.rgb / 257, expected.rgb, atol=1)

    def test_hidden_colours_do_not_bleed(self, tmp_path: Path) -> None:
        samples = np.zeros((8, 12, 4), np.uint8)
        samples[:, :5] = (255, 0, 0, 0)
        samples[:, 5:] = (10, 200, 30, 255)
        picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(samples)), downscale_factor=2)
        assert picture.alpha is not None
        assert (picture.rgb[picture.alpha > 0] == (10, 200, 30)).all()
        assert picture.alpha[0, 0] == 0
        assert 100 < picture.alpha[0, 2] < 156
        assert picture.alpha[0, -1] == 255

    def test_never_below_one_pixel(self, tmp_path: Path) -> None:
        picture = read_picture(saved(tmp_path / "a.png", Image.new("L", (5, 1), 90)), downscale_factor=4)
        check(picture, np.full((1, 1), 90, np.uint8))


class TestPicture:
    """What a picture says about itself."""

    def test_floats(self) -> None:
        rgb = np.array([[[0, 255, 51]]], np.uint8)
        picture = SourceImage(rgb, np.array([[102]], np.uint8), Path("a.png"))
        assert (picture.width, picture.height, picture.bit_depth, picture.max_value) == (1, 1, 8, 255)
        assert picture.colours().dtype == picture.opacity().dtype == np.float32
        np.testing.assert_array_equal(picture.colours(), np.array([[[0, 1, 0.2]]], np.float32))
        np.testing.assert_array_equal(picture.opacity(), np.array([[0.4]], np.float32))

    def test_opaque_without_alpha(self) -> None:
        picture = SourceImage(np.zeros((2, 3, 3), np.uint16), None, Path("a.png"))
        assert (picture.width, picture.height, picture.bit_depth) == (3, 2, 16)
        np.testing.assert_array_equal(picture.opacity(), np.ones((2, 3), np.float32))
