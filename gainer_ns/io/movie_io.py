"""Encode moving pictures, one frame after the other, by FFmpeg through PyAV (Pillow wants all frames at once)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.filter import Graph
from jaxtyping import UInt8

from gainer_ns.errors import GainerError
from gainer_ns.io.colour_profiles import ColourProfile, converted
from gainer_ns.io.files import cannot_write, whole_file
from gainer_ns.io.outputs import OutputTarget
from gainer_ns.io.samples import Colour, flattened, integer_samples
from gainer_ns.io.writing_behind import WritingBehind
from gainer_ns.memory import check_free

_BT709 = 1
"""FFmpeg's number for the primaries, the transfer curve and the matrix of Rec. ITU-R BT.709."""

_VIDEO_RANGE = 1
"""FFmpeg's number for luma from 16 to 235, which players expect."""

_SPREAD_PX = 8
"""How far colours go on beyond edges, in kinds that mix neighbouring samples."""

_MAX_FRAMES_BEHIND = 3
"""How many frames wait to be encoded at most: whoever draws them faster waits, too."""


@dataclass(frozen=True)
class MovieKind:
    """Settings of FFmpeg for one kind of moving picture.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        pixel_format: FFmpeg's name of the samples that the encoder takes.
        bytes_per_pixel: Memory that encoding takes for a pixel of a frame, about: frames wait for one another.
        ticks: Time steps a second; None where each frame is one.
        options: Of the encoder.
        container_options: Of the file around it.
    """

    encoder: str
    pixel_format: str
    bytes_per_pixel: int
    ticks: int | None
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)

    @property
    def is_video(self) -> bool:
        """Whether it holds luma and chroma, and not the colours themselves."""
        return self.pixel_format.startswith("yuv")


MOVIES: dict[str, MovieKind] = {
    # As near as the default preset at 17, in half of its time; files are a third larger or more.
    ".mp4": MovieKind(
        "libx264",
        "yuv420p",
        260,
        None,
        {"preset": "veryfast", "crf": "15", "mbtree": "0"},
        {"movflags": "+faststart"},
    ),
    # With the reference frames that are never shown, VP9 would lose opacity.
    ".webm": MovieKind(
        "libvpx-vp9",
        "yuva420p",
        260,
        None,
        {"crf": "18", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "auto-alt-ref": "0"},
    ),
    ".mov": MovieKind(
        "prores_ks", "yuva444p10le", 260, None, {"profile": "4444", "vendor": "apl0", "alpha_bits": "16"}
    ),
    ".apng": MovieKind("apng", "rgba", 150, None, {"pred": "mixed"}, {"plays": "0"}),
    ".webp": MovieKind("libwebp_anim", "bgra", 150, 1000, {"lossless": "1"}, {"loop": "0"}),
    ".gif": MovieKind("gif", "pal8", 140, 100, {}, {"loop": "0"}),
}


@contextmanager
def open_movie(
    output: OutputTarget, fps: float, background: Colour, profile: ColourProfile | None
) -> Iterator[Callable[[np.ndarray, np.ndarray | None], None]]:
    """Open a moving picture, whose frames are encoded in a thread of their own.

    FFmpeg opens the temporary file by its name, because ``faststart`` reads it again.

    Yields:
        To be called with the colours [h, w, 3] and the opacity [h, w], or None, of each frame. It raises what became of
        earlier frames, too.

    Raises:
        GainerError: If this PyAV lacks the encoder, or the file cannot be written.
    """
    path, suffix = output.path, output.suffix
    _check_encoder(output)
    with whole_file(path) as file, contextlib.ExitStack() as stack:
        encoding: MovieEncoder | None = None
        thread = WritingBehind(_MAX_FRAMES_BEHIND)
        stack.callback(lambda: encoding is None or encoding.abandon())
        stack.callback(thread.end)  # before the other

        def put(colours: np.ndarray, opacity: np.ndarray | None) -> None:
            nonlocal encoding
            samples = _movie_samples(converted(colours, profile, None), opacity, suffix, background)
            with _complaint(path):
                if encoding is None:
                    encoding = MovieEncoder(os.path.abspath(file.name), suffix, fps, samples.shape)
                thread.give(encoding.add, samples)

        yield put
        with _complaint(path):
            thread.finish()
            if encoding is not None:
                encoding.close()


@contextmanager
def _complaint(path: Path) -> Iterator[None]:
    """Say in one line why a film could not be written."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error, "free some space, draw smaller or choose another folder") from error
    except FFmpegError as error:
        reason = error.strerror or error
        raise GainerError(f"{path}: cannot be written ({reason}); draw smaller or choose another kind") from error


def _check_encoder(output: OutputTarget) -> None:
    """Refuse a PyAV that lacks the encoder of a kind."""
    encoder = MOVIES[output.suffix].encoder
    if encoder not in av.codecs_available:
        raise GainerError(f"{output.path}: this PyAV lacks the encoder {encoder}; run `pip install --force av`")


class MovieEncoder:
    """A moving picture under way: frames pass through FFmpeg's filters and encoder into a file.

    Args:
        name: Absolute path of the file.
        suffix: The kind.
        fps: Frames a second.
        shape: Of the samples of every frame: [h, w, 3] without, [h, w, 4] with opacity.

    Raises:
        GainerError: If there is no memory for frames as large.
    """

    def __init__(self, name: str, suffix: str, fps: float, shape: tuple[int, ...]) -> None:
        movie = MOVIES[suffix]
        what = f"a film of {shape[1]} x {shape[0]} pixels"
        check_free(shape[0] * shape[1] * movie.bytes_per_pixel, what, "lower the scale, or write a folder of frames")
        rate = Fraction(fps).limit_denominator(1001)
        self._ticks_a_frame = Fraction(1) if movie.ticks is None else movie.ticks / rate
        self._tick = 1 / rate if movie.ticks is None else Fraction(1, movie.ticks)
        self._kind = "rgb24" if shape[2] == 3 else "rgba"
        self._count = 0
        options = dict(movie.container_options)
        if suffix == ".gif":
            options["final_delay"] = str(round(self._ticks_a_frame))
        if suffix == ".apng":
            options["final_delay"] = f"{self._tick.numerator}/{self._tick.denominator}"
        self._container = av.open(name, "w", format=suffix[1:], options=options)
        stream: Any = self._container.add_stream(movie.encoder, rate=1 / self._tick, options=movie.options)
        stream.width, stream.height, stream.pix_fmt = shape[1], shape[0], movie.pixel_format
        context = stream.codec_context
        context.time_base = self._tick
        if movie.is_video:
            context.color_primaries = context.color_trc = context.colorspace = _BT709
            context.color_range = _VIDEO_RANGE
        self._stream = stream
        # PyAV's filters do not keep the graph alive that they are in.
        self._graph, self._source, self._sink = _filters(suffix, self._kind, shape, self._tick)

    def add(self, samples: UInt8[np.ndarray, "h w c"]) -> None:
        """Encode the next frame."""
        frame = av.VideoFrame.from_ndarray(samples, format=self._kind)
        frame.pts = round(self._count * self._ticks_a_frame)
        frame.time_base = self._tick
        self._count += 1
        self._source.push(frame)
        self._drain()

    def close(self) -> None:
        """Encode what is still under way, and end the file."""
        self._source.push(None)
        self._drain()
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Let go of the file; harmless after ``close``."""
        with contextlib.suppress(FFmpegError, OSError):
            self._container.close()

    def _drain(self) -> None:
        """Move filtered frames into the encoder, and what comes out of that into the file."""
        while True:
            try:
                frame = self._sink.pull()
            except (BlockingIOError, EOFError):
                return
            frame.pict_type = 0  # The encoder chooses the key frames, not what the filters made of them.
            self._container.mux(self._stream.encode(frame))


def _filters(suffix: str, kind: str, shape: tuple[int, ...], tick: Fraction) -> tuple[Graph, Any, Any]:
    """Make a graph of filters, where RGB or RGBA frames go in, and where they come out as the encoder takes them."""
    graph: Any = Graph()
    source: Any = graph.add_buffer(width=shape[1], height=shape[0], format=kind, time_base=tick)
    sink: Any = graph.add("buffersink")
    if suffix == ".gif":
        split: Any = graph.add("split")
        palette: Any = graph.add("palettegen", "stats_mode=single:reserve_transparent=1")
        last: Any = graph.add("paletteuse", "new=1:dither=sierra2_4a:alpha_threshold=128")
        graph.link_nodes(source, split, last, sink)
        split.link_to(palette, 1, 0)
        palette.link_to(last, 0, 1)
    elif MOVIES[suffix].is_video:
        exact = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
        scale = graph.add("scale", f"out_color_matrix=bt709:out_range=tv:{exact}")
        graph.link_nodes(source, scale, graph.add("format", MOVIES[suffix].pixel_format), sink)
    else:
        graph.link_nodes(source, graph.add("format", MOVIES[suffix].pixel_format), sink)
    graph.configure()
    return graph, source, sink


def _movie_samples(
    colours: np.ndarray, opacity: np.ndarray | None, suffix: str, background: Colour
) -> UInt8[np.ndarray, "h w c"]:
    """Quantise a frame to what the kind holds: even sizes without opacity, or RGBA."""
    if suffix == ".mp4":
        flat = integer_samples(flattened(colours, opacity, background), None, 8)
        height, width = flat.shape[:2]
        return np.pad(flat, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    opacity = np.ones(colours.shape[:2], np.float32) if opacity is None else opacity
    if suffix == ".gif":
        opacity = (opacity >= 0.5).astype(np.float32)
    if MOVIES[suffix].is_video:
        return integer_samples(_spread(colours, opacity), opacity, 8)
    return integer_samples(np.where(opacity[..., None] > 0, colours, 0.0), opacity, 8)


def _spread(colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Carry colours on into what is clear, as far as chroma and blocks of samples mix them with what is not."""
    if float(opacity.min()) > 0:
        return colours
    side = (2 * _SPREAD_PX + 1,) * 2
    share = cv2.blur(opacity, side)[..., None]
    around = cv2.blur(colours * opacity[..., None], side) / np.maximum(share, 1e-6)
    return np.where(opacity[..., None] > 0, colours, np.where(share > 1e-4, around, 0.0))
