"""Frames written and decoded again, and everything that must leave nothing behind."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from gainer_ns.errors import GainerError
from gainer_ns.io import movie_io, sequence_io
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.sequence_io import open_sequence_writer

Frame = tuple[np.ndarray, "np.ndarray | None"]
Frames = list[Frame]


def moving_disc(count: int, width: int = 48, height: int = 32) -> Frames:
    """Frames of a colour ramp that shows through a disc which moves three pixels a frame."""
    y, x = np.mgrid[:height, :width]
    colours = np.stack([x / width, y / height, np.full_like(x, 0.5, float)], axis=2).astype(np.float32)
    return [
        (colours, ((x - 12 - 3 * i) ** 2 + (y - 16) ** 2 < 80).astype(np.float32)) for i in range(count)
    ]  # fmt: skip


def written(path: Path, frames: Iterable[Frame], count: int | None = None, **options: Any) -> Path:
    """Writes all frames and returns the path; ``count`` is how many are announced where that is not their number."""
    count = count or len(list(frames))
    with open_sequence_writer(path, frames=count, **options) as writer:
        for colours, opacity in frames:
            writer.write(colours, opacity)
    return path


def decoded(path: Path) -> list[np.ndarray]:
    """The frames of a GIF or WebP as uint8 [h, w, 4]."""
    with Image.open(path) as image:
        return [np.array(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]


def video_frames(path: Path) -> list[np.ndarray]:
    """The frames of a video as uint8 [h, w, 3]."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def bytes_of(colours: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_a_folder_keeps_colours_and_opacity(tmp_path: Path, bit_depth: int) -> None:
    colours, opacity = moving_disc(1)[0]
    assert opacity is not None
    folder = written(tmp_path / "new" / "frames", [(colours, opacity * 0.4), (colours, None)], bit_depth=bit_depth)
    assert [file.name for file in sorted(folder.iterdir())] == ["frame_00000.png", "frame_00001.png"]
    assert [file.name for file in folder.parent.iterdir()] == ["frames"]
    picture = read_picture(folder / "frame_00000.png")
    assert picture.bit_depth == bit_depth
    half_step = 0.51 / picture.max_value
    np.testing.assert_allclose(picture.colours(), colours, atol=half_step)
    np.testing.assert_allclose(picture.opacity(), opacity * 0.4, atol=half_step)
    assert read_picture(folder / "frame_00001.png").alpha is None


def test_an_existing_folder_loses_its_old_frames_and_nothing_else(tmp_path: Path) -> None:
    for name in ("frame_00000.png", "frame_00007.png", "frame_notes.png", "script.yaml"):
        (tmp_path / name).write_text(name)
    with open_sequence_writer(tmp_path, frames=2) as writer:
        for colours, opacity in moving_disc(2):
            writer.write(colours, opacity)
        assert (tmp_path / "frame_00000.png").read_text() == "frame_00000.png"
    names = ["frame_00000.png", "frame_00001.png", "frame_notes.png", "script.yaml"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert read_picture(tmp_path / "frame_00000.png").width == 48
    assert (tmp_path / "script.yaml").read_text() == "script.yaml"


@pytest.mark.parametrize("width_height", [(48, 32), (47, 31), (1, 1)])
def test_video_is_close_to_flat_colours_and_does_not_shift(tmp_path: Path, width_height: tuple[int, int]) -> None:
    width, height = width_height
    colours = np.full((height, width, 3), 0.25, np.float32)
    colours[height // 2 :, : width // 2] = [1.0, 0.0, 0.0]
    path = written(tmp_path / "out.mp4", [(colours, None)] * 3, fps=24)
    shown = video_frames(path)
    assert len(shown) == 3
    assert shown[0].shape == (height + height % 2, width + width % 2, 3)
    error = np.abs(shown[1][:height, :width].astype(int) - bytes_of(colours))
    inner = np.ones((height, width), bool)  # The colour of neighbouring pixels is shared at edges.
    inner[max(0, height // 2 - 3) : height // 2 + 3] = height == 1
    inner[:, max(0, width // 2 - 3) : width // 2 + 3] = width == 1
    assert error[inner].max() <= 4
    if height % 2:
        np.testing.assert_allclose(shown[1][-1].astype(int), shown[1][-2], atol=2)


def test_video_keeps_grays_and_saturated_colours(tmp_path: Path) -> None:
    gray = np.repeat(np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[None, :, None], 32, 0), 3, 2)
    corners = np.array([[i & 1, i >> 1 & 1, i >> 2] for i in range(8)], np.float32)
    patches = np.repeat(np.repeat(corners[None], 32, 0), 32, 1)
    shown = video_frames(written(tmp_path / "out.MP4", [(gray, None), (patches, None)]))
    assert np.abs(shown[0].astype(int) - bytes_of(gray)).max() <= 3
    assert np.abs(shown[1][:, 16::32].astype(int) - bytes_of(corners)).max() <= 3


def test_video_says_what_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "out.mp4", moving_disc(4), fps=29.97)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # Shown before it has arrived whole.
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(video=0))
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == Fraction(2997, 100)
        assert (frame.format.name, int(frame.colorspace), int(frame.color_range)) == ("yuv420p", 1, 1)
        assert (stream.codec_context.color_primaries, stream.codec_context.color_trc) == (1, 1)


def test_video_shows_the_background_behind_what_is_transparent(tmp_path: Path) -> None:
    colours = np.zeros((32, 32, 3), np.float32)
    opacity = np.zeros((32, 32), np.float32)
    opacity[:16] = 0.5
    white = video_frames(written(tmp_path / "white.mp4", [(colours, opacity)]))[0].astype(int)
    green = video_frames(written(tmp_path / "green.mp4", [(colours, opacity)], background=(0.0, 1.0, 0.0)))[0]
    np.testing.assert_allclose(white[4, 16], 128, atol=3)
    np.testing.assert_allclose(white[28, 16], 255, atol=3)
    np.testing.assert_allclose(green[28, 16].astype(int), [0, 255, 0], atol=3)


def test_webp_loses_nothing(tmp_path: Path) -> None:
    frames = moving_disc(5)
    path = written(tmp_path / "out.webp", frames, fps=30)
    shown = decoded(path)
    assert len(shown) == 5
    for picture, (colours, opacity) in zip(shown, frames, strict=True):
        assert opacity is not None
        np.testing.assert_array_equal(picture[..., 3], bytes_of(opacity))
        np.testing.assert_array_equal(picture[opacity > 0][:, :3], bytes_of(colours)[opacity > 0])
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        image.seek(3)
        image.load()
        assert image.info["timestamp"] in (100, 133)  # Pillow has named a frame's end or its start.


def test_gif_keeps_the_silhouette_and_nearly_the_colours(tmp_path: Path) -> None:
    frames = moving_disc(5)
    shown = decoded(written(tmp_path / "out.gif", frames))
    assert len(shown) == 5
    for picture, (colours, opacity) in zip(shown, frames, strict=True):
        assert opacity is not None
        np.testing.assert_array_equal(picture[..., 3] > 0, opacity > 0)
        error = picture[opacity > 0][:, :3].astype(int) - bytes_of(colours)[opacity > 0]
        assert np.abs(error).mean() < 4
        assert np.abs(error.mean(axis=0)).max() < 1


@pytest.mark.parametrize(("fps", "delays"), [(25, [40, 40, 40, 40]), (30, [30, 40, 30, 30]), (12.5, [80, 80, 80, 80])])
def test_gif_frames_stay_in_time(tmp_path: Path, fps: float, delays: list[int]) -> None:
    path = written(tmp_path / "out.gif", moving_disc(4), fps=fps)
    with Image.open(path) as image:
        assert [frame.info["duration"] for frame in ImageSequence.Iterator(image)] == delays
        assert image.info["loop"] == 0


@pytest.mark.parametrize("name", ["out.png", "out.webp", "out.tif", "out.jpg"])
def test_one_frame_is_a_picture(tmp_path: Path, name: str) -> None:
    colours, opacity = moving_disc(1)[0]
    assert opacity is not None
    picture = read_picture(written(tmp_path / name, [(colours, opacity)], background=(1.0, 0.0, 0.0)))
    if name == "out.jpg":
        np.testing.assert_allclose(picture.colours()[-1, -1], [1, 0, 0], atol=0.03)
    else:
        np.testing.assert_array_equal(picture.opacity(), opacity)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("out.png", {"frames": 2}, "name a folder"),
        ("out.avi", {"frames": 2}, "cannot write that kind"),
        ("out.avi", {"frames": 1}, "cannot write that kind"),
        ("out", {"frames": 0}, "at least one"),
        ("file", {"frames": 2}, "is a file"),
        ("file/out.mp4", {"frames": 2}, "cannot be written"),
        ("file/out", {"frames": 2}, "cannot be written"),
        ("file/out.png", {"frames": 1}, "cannot be written"),
        ("out.gif", {"frames": 2, "fps": 60.0}, "choose from 0.01 to 50"),
        ("out.mp4", {"frames": 2, "fps": float("nan")}, "choose from"),
        ("out.mp4", {"frames": 2, "fps": 0.0}, "choose from"),
        ("out", {"frames": 2, "bit_depth": 12}, "ask for 8 or 16"),
        ("out.jpg", {"frames": 1, "bit_depth": 16}, "PNG only"),
    ],
)
def test_what_cannot_work_is_said_before_the_work(
    tmp_path: Path, name: str, options: dict[str, Any], words: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GainerError, match=words) as caught, open_sequence_writer(tmp_path / name, **options):
        pytest.fail("the work began")
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


BAD_SECOND_FRAMES = {
    "size": (np.zeros((32, 40, 3), np.float32), None),
    "nan": (np.full((32, 48, 3), np.nan, np.float32), None),
    "nan opacity": (np.zeros((32, 48, 3), np.float32), np.full((32, 48), np.nan, np.float32)),
}


@pytest.mark.parametrize("name", ["out", "out.mp4", "out.webp", "out.gif"])
@pytest.mark.parametrize("bad", BAD_SECOND_FRAMES)
def test_bad_frames_leave_nothing(tmp_path: Path, name: str, bad: str) -> None:
    frames: Frames = [*moving_disc(1), BAD_SECOND_FRAMES[bad]]
    with pytest.raises(GainerError, match="frame 1 has"):
        written(tmp_path / name, frames)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "out",
        "out.png",
        "out.mp4",
        "out.webm",
        "out.mov",
        "out.apng",
        "out.sheet.png",
        "out.webp",
        "out.gif",
        "existing",
    ],
)
@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_leaves_things_as_they_were(tmp_path: Path, name: str, stop: type[BaseException]) -> None:
    (tmp_path / "existing").mkdir()
    (tmp_path / "existing" / "frame_00000.png").write_text("old")
    frames = 1 if name == "out.png" else 3

    def drawn() -> Iterator[Frame]:
        yield moving_disc(1)[0]
        raise stop

    with pytest.raises(stop):
        written(tmp_path / name, drawn(), frames)
    assert [file.name for file in tmp_path.rglob("*")] == ["existing", "frame_00000.png"]
    assert (tmp_path / "existing" / "frame_00000.png").read_text() == "old"


@pytest.mark.parametrize("name", ["out", "out.png", "out.mp4"])
def test_too_few_or_too_many_frames_are_a_callers_mistake(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="0 written"), open_sequence_writer(tmp_path / name, frames=1):
        pass
    with pytest.raises(ValueError, match="more"):
        written(tmp_path / name, moving_disc(2), 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out.mp4", "out.webp", "out.gif", "out.png"])
def test_an_old_file_gives_way_only_at_the_end(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("old")
    with open_sequence_writer(path, frames=1) as writer:
        writer.write(*moving_disc(1)[0])
        assert path.read_text() == "old"
    assert path.read_bytes() != b"old"


def test_sizes_that_an_encoder_refuses_are_said_in_one_line(tmp_path: Path) -> None:
    wide = np.zeros((1, 20000, 3), np.float32)
    for name in ("out.mp4", "out.webp"):
        with pytest.raises(GainerError, match="cannot be written") as caught:
            written(tmp_path / name, [(wide, None)] * 2)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_missing_encoder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"gif"})
    with pytest.raises(GainerError, match="libx264"), open_sequence_writer(tmp_path / "out.mp4", frames=1):
        pass


KINDS = ["out", "out.mp4", "out.webp", "out.gif", "existing"]


@pytest.mark.parametrize("name", KINDS)
def test_an_interrupted_sequence_can_keep_what_is_finished(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "existing":
        path.mkdir()
        (path / "frame_00009.png").write_text("old")
    frames = moving_disc(3)
    with pytest.raises(KeyboardInterrupt), open_sequence_writer(path, frames=9, keep_interrupted=True) as writer:  # noqa: PT012
        for frame in frames:
            writer.write(*frame)
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == [name]
    if path.is_dir():
        assert sorted(file.name for file in path.iterdir()) == [f"frame_{number:05d}.png" for number in range(3)]
        assert read_picture(path / "frame_00002.png").width == 48
    else:
        assert len(video_frames(path) if name == "out.mp4" else decoded(path)) == 3


@pytest.mark.parametrize("name", [*KINDS, "out.png"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_kept_without_a_frame_or_of_a_failure(tmp_path: Path, name: str, stop: type[BaseException]) -> None:
    path = tmp_path / name
    if name == "existing":
        path.mkdir()
        (path / "frame_00009.png").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(stop), open_sequence_writer(path, frames=1, keep_interrupted=True) as writer:  # noqa: PT012
        if stop is RuntimeError:
            writer.write(*moving_disc(1)[0])
        raise stop
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", KINDS[:4])
def test_ctrl_c_amid_a_frame_waits_for_its_end(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second frame is whole, or not there; never a half of it."""
    frames, convert = moving_disc(3), sequence_io.integer_samples
    calls: list[int] = []

    def interrupting(*arguments: Any) -> np.ndarray:
        calls.append(len(calls))
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return convert(*arguments)

    for module in (sequence_io, movie_io):
        monkeypatch.setattr(module, "integer_samples", interrupting)
    usual = signal.getsignal(signal.SIGINT)
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        open_sequence_writer(tmp_path / name, frames=3, keep_interrupted=True) as writer,
    ):
        for frame in frames:
            writer.write(*frame)
    assert signal.getsignal(signal.SIGINT) is usual
    assert [file.name for file in tmp_path.iterdir()] == [name]
    if name == "out":
        seen = [read_picture(file).width for file in sorted((tmp_path / name).iterdir())]
    else:
        seen = video_frames(tmp_path / name) if name == "out.mp4" else decoded(tmp_path / name)
    assert len(seen) == 2


class SlowEncoder(movie_io.MovieEncoder):
    """Takes its time, tells what it has done and in which thread, and may fail."""

    done: list[str]
    fails_at: int | None
    waits: threading.Event

    def add(self, samples: np.ndarray) -> None:
        self.waits.wait(20)
        self.done.append(threading.current_thread().name)
        if len(self.done) - 1 == self.fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().add(samples)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> type[SlowEncoder]:
    SlowEncoder.done, SlowEncoder.fails_at, SlowEncoder.waits = [], None, threading.Event()
    monkeypatch.setattr(movie_io, "MovieEncoder", SlowEncoder)
    return SlowEncoder


def test_a_film_is_encoded_in_another_thread_a_few_frames_behind(tmp_path: Path, slow: type[SlowEncoder]) -> None:
    with open_sequence_writer(tmp_path / "out.mp4", frames=9) as writer:
        for number, frame in enumerate(moving_disc(9)):
            if number == movie_io._MAX_FRAMES_BEHIND:
                assert not slow.done, "who draws does not wait so early"
                slow.waits.set()
            writer.write(*frame)
            assert number + 1 - len(slow.done) <= movie_io._MAX_FRAMES_BEHIND
    assert len(slow.done) == 9 and len(set(slow.done)) == 1 and slow.done[0].startswith("gainer-film")
    assert len(video_frames(tmp_path / "out.mp4")) == 9
    assert not [one for one in threading.enumerate() if one.name.startswith("gainer-film")]


@pytest.mark.parametrize("fails_at", [0, 3, 8])
def test_what_an_encoder_raises_reaches_the_caller(tmp_path: Path, slow: type[SlowEncoder], fails_at: int) -> None:
    slow.fails_at = fails_at
    slow.waits.set()
    with pytest.raises(GainerError, match="No space left") as caught:
        written(tmp_path / "out.mp4", moving_disc(9))
    assert str(caught.value).startswith(f"{tmp_path / 'out.mp4'}: ") and not list(tmp_path.iterdir())
    assert len(slow.done) <= fails_at + 1 + movie_io._MAX_FRAMES_BEHIND, "what comes after a failure is not encoded"


@pytest.mark.parametrize("keeps", [True, False])
def test_frames_that_wait_are_kept_or_dropped(tmp_path: Path, slow: type[SlowEncoder], keeps: bool) -> None:
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        open_sequence_writer(tmp_path / "out.gif", frames=9, keep_interrupted=keeps) as writer,
    ):
        for frame in moving_disc(movie_io._MAX_FRAMES_BEHIND):
            writer.write(*frame)
        slow.waits.set()
        raise KeyboardInterrupt
    if keeps:
        assert len(decoded(tmp_path / "out.gif")) == movie_io._MAX_FRAMES_BEHIND
    else:
        assert not list(tmp_path.iterdir())
    assert not [one for one in threading.enumerate() if one.name.startswith("gainer-film")]


def test_frames_are_written_from_other_threads_too(tmp_path: Path) -> None:
    """Only the main thread may hold interrupts back."""
    worker = threading.Thread(target=written, args=(tmp_path / "out", moving_disc(2)))
    worker.start()
    worker.join()
    assert len(list((tmp_path / "out").iterdir())) == 2
