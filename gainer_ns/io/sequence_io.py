"""Write frames as a folder of pictures or as a moving picture: one at a time, and whole or not at all."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gainer_ns.errors import GainerError
from gainer_ns.interrupts import interrupts_delayed
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.io.files import cannot_write, synchronise, whole_file
from gainer_ns.io.folders import whole_folder
from gainer_ns.io.image_io import MAX_PIXELS
from gainer_ns.io.image_writing import encode_samples
from gainer_ns.io.outputs import PICTURES, SHEET_SUFFIX, OutputTarget, output_for
from gainer_ns.io.samples import Colour, flattened, integer_samples
from gainer_ns.io.writing_behind import WritingBehind
from gainer_ns.memory import check_free

WHITE_RGB: Colour = (1.0, 1.0, 1.0)

_MAX_FRAMES_BEHIND, _WRITING_THREADS = 3, 2
"""How many frames of a folder wait to be written at most, and how many are written at once."""

_FRAME_NAME = re.compile(r"frame_\d+\.png")

_Put = Callable[[np.ndarray, "np.ndarray | None"], None]


class SequenceWriter:
    """Takes the frames of an open sequence, in order. ``open_sequence_writer`` makes it."""

    def __init__(self, path: Path, frames: int, put: _Put) -> None:
        self._path = path
        self._frames = frames
        self._put = put
        self._size: tuple[int, ...] | None = None
        self.written = 0

    def write(self, colours: Float[np.ndarray, "h w 3"], opacity: Float[np.ndarray, "h w"] | None = None) -> None:
        """Add the next frame.

        Args:
            colours: [h, w, 3] in [0, 1], not multiplied by the opacity; values outside are clamped.
            opacity: [h, w] in [0, 1]; None means opaque.

        Raises:
            GainerError: The frame has another size than the first or holds NaN, or it cannot be written or encoded.
            ValueError: The arrays are no picture, or there are more frames than were announced.
        """
        if self.written == self._frames:
            raise ValueError(f"{self._frames} frames were announced, and more are written")
        self._size = self._size or colours.shape[:2]
        if colours.shape[:2] != self._size:
            shapes = [f"{shape[1]} x {shape[0]}" for shape in (colours.shape, self._size)]
            raise GainerError(
                f"{self._path}: frame {self.written} has {shapes[0]} pixels and the first {shapes[1]}; "
                "draw all frames with one scale and crop"
            )
        if not (np.isfinite(colours).all() and (opacity is None or np.isfinite(opacity).all())):
            raise GainerError(
                f"{self._path}: frame {self.written} has values that are no numbers; "
                "look for an edit that stretches without bound"
            )
        with interrupts_delayed():
            self._put(colours, opacity)
            self.written += 1


@contextmanager
def open_sequence_writer(
    path: Path | OutputTarget,
    *,
    frames: int,
    fps: float = 24.0,
    bit_depth: int = 8,
    background: Colour = WHITE_RGB,
    profile: ColourProfile | None = None,
    keep_interrupted: bool = False,
) -> Iterator[SequenceWriter]:
    """Open a picture, a folder of pictures or a moving picture for writing. The name chooses the kind.

    - No suffix, or a folder that exists: frame_00000.png and so on, with opacity. Frames that are there already are
      replaced at the very end, never seen beside new ones, and files of other names are left alone.
    - ``.mp4``: H.264 of high quality (4:2:0, BT.709, within 2/255 of flat colours), without opacity. Where width or
      height is odd, the last column or row is repeated once, since H.264 of this kind holds even sizes only.
    - ``.webp``: without loss, with opacity.
    - ``.webm``: VP9 with opacity, 4:2:0, as browsers lay it over pages; ``.mov``: ProRes 4444 with opacity, for editing
      programs. Colours go on a little beyond edges in both, where nothing shows of them.
    - ``.apng``: without loss, with opacity.
    - ``.sheet.png``: all frames in one picture, row by row from the top left, in as many columns as rows, or one more.
    - ``.gif``: 255 colours a frame, dithered; opacity is all or nothing. Delays are multiples of 1/100 s, chosen so
      that the frames stay in time.
    - ``.png``, ``.tif``, ``.jpg``, or ``.webp`` with one frame: the picture itself.

    Frames are encoded and written in threads of their own, a few behind. Memory does not grow with the number of
    frames, but for sheets, and for WebP, whose encoder keeps the compressed frames. Nothing shows under the name before
    all frames are written, and nothing is left behind if they never are.

    Args:
        path: Where to, or what :func:`gainer_ns.io.outputs.output_for` made of it. Missing folders are made.
        frames: How many frames will be written.
        fps: Frames a second, of a moving picture.
        bit_depth: Bits a sample: 8, or 16 of PNG.
        background: Red, green and blue in [0, 1] of what lies behind, for the kinds without opacity (.mp4, .jpg).
        profile: What the colours mean; None for sRGB. Pictures and frames say it, moving pictures are made sRGB.
        keep_interrupted: Whether Ctrl-C or SIGTERM ends the sequence early, with the frames that there are, instead of
            leaving nothing. The KeyboardInterrupt goes on once these are in place.

    Raises:
        GainerError: The kind is unknown or cannot hold the frames, or the place cannot be written; all of that before
            the first frame, except for a full disk and a size that the encoder refuses.
        ValueError: Fewer frames were written than announced.
    """
    output = path if isinstance(path, OutputTarget) else output_for(path, "picture", "frames", "film")
    output.check_frames(frames, fps)
    interrupt: KeyboardInterrupt | None = None
    bits = output.bit_depth(bit_depth)
    if output.is_folder:
        opened = _folder(output.path, bits, profile)
    elif output.suffix == SHEET_SUFFIX:
        opened = _sheet(output.path, frames, bits, profile)
    elif output.is_film(frames):
        from gainer_ns.io.movie_io import open_movie  # FFmpeg, which pictures are written without

        opened = open_movie(output, fps, background, profile)
    else:
        opened = _still(output, bits, background, profile)
    with opened as put:
        writer = SequenceWriter(output.path, frames, put)
        try:
            yield writer
            if writer.written < frames:
                raise ValueError(f"{frames} frames were announced, and {writer.written} written")
        except KeyboardInterrupt as raised:
            if not (keep_interrupted and writer.written):
                raise
            interrupt = raised
    if interrupt is not None:
        raise interrupt


@contextmanager
def _complaint(path: Path) -> Iterator[None]:
    """Say in one line why something could not be written."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error, "free some space, draw smaller or choose another folder") from error
    except ValueError as error:  # Where a kind of picture cannot hold so many pixels a side.
        if isinstance(error, GainerError):
            raise
        raise GainerError(f"{path}: cannot be written ({error}); choose a .png name") from error


@contextmanager
def _still(output: OutputTarget, bit_depth: int, background: Colour, profile: ColourProfile | None) -> Iterator[_Put]:
    """Open a picture, complete after one frame."""
    path, suffix = output.path, output.suffix
    with whole_file(path) as file:

        def put(colours: np.ndarray, opacity: np.ndarray | None) -> None:
            if not PICTURES[suffix].opacity:
                colours, opacity = flattened(colours, opacity, background), None
            samples = integer_samples(colours, opacity, bit_depth)
            with _complaint(path):
                encode_samples(file, samples, suffix, profile)

        yield put


@contextmanager
def _sheet(path: Path, frames: int, bit_depth: int, profile: ColourProfile | None) -> Iterator[_Put]:
    """Open a picture of all frames, complete after the last."""
    columns = math.ceil(math.sqrt(frames))
    sheet: np.ndarray | None = None
    count = 0

    def put(colours: np.ndarray, opacity: np.ndarray | None) -> None:
        nonlocal sheet, count
        height, width = colours.shape[:2]
        if sheet is None:
            shape = height * math.ceil(frames / columns), width * columns, 4
            remedy = "draw smaller or fewer frames, or name a folder"
            if shape[0] * shape[1] > MAX_PIXELS:
                raise GainerError(f"{path}: {shape[1]} x {shape[0]} pixels are too many for a picture; {remedy}")
            check_free(math.prod(shape) * bit_depth // 8, f"a sheet of {shape[1]} x {shape[0]} pixels", remedy)
            sheet = np.zeros(shape, np.uint8 if bit_depth == 8 else np.uint16)
        opacity = np.ones(colours.shape[:2], np.float32) if opacity is None else opacity
        top, left = count // columns * height, count % columns * width
        sheet[top : top + height, left : left + width] = integer_samples(colours, opacity, bit_depth)
        count += 1

    with whole_file(path) as file:
        yield put
        with _complaint(path):
            if sheet is not None:
                encode_samples(file, sheet, ".png", profile)


@contextmanager
def _folder(path: Path, bit_depth: int, profile: ColourProfile | None) -> Iterator[_Put]:
    """Open a folder of frames, complete after the last."""
    count = 0
    with whole_folder(path, _FRAME_NAME) as collected, contextlib.ExitStack() as stack:
        threads = WritingBehind(_MAX_FRAMES_BEHIND, _WRITING_THREADS)
        stack.callback(threads.end)

        def write(name: str, samples: np.ndarray) -> None:
            with (collected / name).open("xb") as file:
                encode_samples(file, samples, ".png", profile)
                file.flush()
                synchronise(file.fileno())

        def put(colours: np.ndarray, opacity: np.ndarray | None) -> None:
            nonlocal count
            samples = integer_samples(colours, opacity, bit_depth)
            with _complaint(path):
                threads.give(write, f"frame_{count:05d}.png", samples)
            count += 1

        yield put
        with _complaint(path):
            threads.finish()
