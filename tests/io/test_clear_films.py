"""Films that other programs lay over something: written, and read back with their opacity."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.sequence_io import open_sequence_writer

Frames = list[tuple[np.ndarray, np.ndarray]]
DECODERS = {".webm": "libvpx-vp9", ".mov": "prores"}


def soft_discs(count: int, width: int = 161, height: int = 107) -> Frames:
    """Frames of a colour ramp that shows through a soft disc which moves."""
    y, x = np.mgrid[:height, :width]
    colours = np.stack([x / width, y / height, 0.5 + 0.4 * np.sin(x / 9)], axis=2).astype(np.float32)
    return [
        (colours, np.clip((40 - np.hypot(x - 60 - 4 * i, y - 50)) / 12, 0, 1).astype(np.float32)) for i in range(count)
    ]


def written(path: Path, frames: Frames, fps: float = 24.0, bit_depth: int = 8) -> Path:
    with open_sequence_writer(path, frames=len(frames), fps=fps, bit_depth=bit_depth) as writer:
        for colours, opacity in frames:
            writer.write(colours, opacity)
    return path


def decoded(path: Path) -> list[np.ndarray]:
    """The frames of a video as float [h, w, 4], in [0, 1]; of WebM by the decoder that reads opacity."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = av.CodecContext.create(DECODERS[path.suffix], "r")
        decoder.extradata = stream.codec_context.extradata
        decoder.width, decoder.height = stream.width, stream.height
        decoder.codec_tag = stream.codec_context.codec_tag
        frames = [
            frame for packet in container.demux(stream) for frame in decoder.decode(packet if packet.size else None)
        ]
    kind, most = ("rgba64le", 65535) if path.suffix == ".mov" else ("rgba", 255)
    return [frame.reformat(format=kind, src_colorspace="ITU709").to_ndarray() / most for frame in frames]


def decibels(error: np.ndarray) -> float:
    return float(-10 * np.log10(max(1e-12, np.square(error).mean())))


@pytest.mark.parametrize(("suffix", "alpha_db", "colour_db"), [(".webm", 40, 32), (".mov", 50, 40)])
def test_videos_keep_opacity_and_colours_where_they_show(
    tmp_path: Path, suffix: str, alpha_db: float, colour_db: float
) -> None:
    frames = soft_discs(5)
    seen = decoded(written(tmp_path / f"out{suffix}", frames))
    assert len(seen) == len(frames)
    for (colours, opacity), frame in zip(frames, seen, strict=True):
        assert frame.shape[:2] == opacity.shape
        assert decibels(frame[..., 3] - opacity) >= alpha_db
        assert decibels((frame[..., :3] - colours)[opacity > 0.05]) >= colour_db


@pytest.mark.parametrize("suffix", [".webm", ".mov"])
def test_edges_bear_no_fringe_of_what_is_clear(tmp_path: Path, suffix: str) -> None:
    """A light disc stays light up to its very edge: nothing dark beyond it is mixed in."""
    frames = [(np.where(opacity[..., None] > 0, np.float32(0.9), np.float32(0.0)) * np.ones(3, np.float32), opacity)
              for _, opacity in soft_discs(3)]  # fmt: skip
    for (_, opacity), frame in zip(frames, decoded(written(tmp_path / f"out{suffix}", frames)), strict=True):
        assert float(np.abs(frame[..., :3] - 0.9)[opacity > 0.02].max()) < 0.03


def test_apng_is_exact_and_in_time(tmp_path: Path) -> None:
    frames = soft_discs(6)
    path = written(tmp_path / "out.apng", frames, fps=12.5)
    with Image.open(path) as image:
        assert image.format == "PNG" and image.info["loop"] == 0 and image.n_frames == 6
        for (colours, opacity), frame in zip(frames, ImageSequence.Iterator(image), strict=True):
            assert frame.info["duration"] == 80
            seen = np.array(frame.convert("RGBA"))
            assert np.array_equal(seen[..., 3], np.rint(opacity * 255))
            assert np.array_equal(seen[seen[..., 3] > 0, :3], np.rint(colours * 255)[seen[..., 3] > 0])


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (5, 3, 2), (6, 3, 2), (7, 3, 3)])
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_a_sheet_holds_all_frames_row_by_row(
    tmp_path: Path, count: int, columns: int, rows: int, bit_depth: int
) -> None:
    frames = soft_discs(count, 20, 12)
    sheet = read_picture(written(tmp_path / "walk.sheet.png", frames, bit_depth=bit_depth))
    assert sheet.bit_depth == bit_depth
    opacity = sheet.opacity()
    assert opacity is not None and opacity.shape == (12 * rows, 20 * columns)
    for i in range(rows * columns):
        part = slice(i // columns * 12, (i // columns + 1) * 12), slice(i % columns * 20, (i % columns + 1) * 20)
        wanted = frames[i][1] if i < count else np.zeros((12, 20))
        np.testing.assert_allclose(opacity[part], wanted, atol=0.51 / sheet.max_value)


def test_a_sheet_that_is_too_large_is_said(tmp_path: Path) -> None:
    huge = np.zeros((4000, 4000, 3), np.float32), np.ones((4000, 4000), np.float32)
    with (
        pytest.raises(GainerError, match="too many for a picture; draw smaller"),
        open_sequence_writer(tmp_path / "a.sheet.png", frames=10_000) as writer,
    ):
        writer.write(*huge)
    assert not list(tmp_path.iterdir())
