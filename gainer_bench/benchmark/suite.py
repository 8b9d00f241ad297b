"""What a suite file says: which pictures, which methods, how long, and what is measured."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from gainer_bench.benchmark.codecs import Codec
from gainer_ns.errors import GainerError
from gainer_ns.io.places import Places
from gainer_ns.io.yaml_file import read_yaml

Extra = Literal["stored", "off_grid", "speed", "edits"]
"""What is measured besides quality and time: files of few bits, between the pixels, frames a second, and edits."""
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""What counts as a picture where a folder is named."""
PRESET_METHODS = ("siren", "wire", "finer", "gauss", "fourier", "ingp", "neurbf", "gaussian-image")
"""Methods with settings for a minute and settings of their papers (:mod:`gainer_bench.presets`, which loads torch)."""
KEY_LETTERS = 16

PixelCrop = tuple[int, int, int, int]
OptionValue = bool | int | float | str | list[float]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    short_form: ClassVar[str | None] = None  # the field that a bare word stands for

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: Any) -> Any:
        return {cls.short_form: value} if cls.short_form and isinstance(value, str) else value


class Pictures(_Model):
    """Pictures of a suite."""

    short_form = "path"
    path: str  # A file, a folder, or a pattern such as ``kodak/*.png``, from the folder of the suite
    crop: PixelCrop | None = None  # X0, Y0, X1, Y1 in pixels: the part that is fitted, after reduction
    # how many times smaller it is made, by Pillow's BICUBIC, as the paper reduces DIV2K
    reduce: Annotated[int, Field(strict=True, ge=1, le=64)] = 1

    def found(self, folder: Path) -> list[Path]:
        """Return the files, in order of their names.

        Raises:
            ValueError: If there is none.
        """
        path = folder / self.path
        if path.is_dir():
            files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in PICTURE_SUFFIXES]
        elif path.is_file():
            files = [path]
        else:
            files = sorted(file for file in folder.glob(self.path) if file.is_file()) if _is_pattern(self.path) else []
        if not files:
            raise ValueError(f"{path}: there is no such picture; data_scripts has downloads, --images names others")
        return files


class SuiteMethod(_Model):
    """A method of a suite."""

    short_form = "method"
    method: str  # name of a registered 2D method
    # which settings of a baseline: for a minute, or of its paper; None for a method that has only one
    preset: Annotated[Literal["budget", "published"] | None, Field(validate_default=True)] = None
    label: str | None = None  # what tables call it, with its preset behind; its name when not given
    # options that differ from its recipe, by the names of ns-train: ``pipeline.model.num-gaussians: 70000``
    set: dict[str, OptionValue] = {}
    # its own limit in seconds of fitting, instead of the suite's
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @field_validator("preset")
    @classmethod
    def _preset_is_known(cls, preset: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("method") in PRESET_METHODS:
            return preset or "budget"
        if preset is not None:
            raise ValueError(f"{info.data.get('method')} has no presets; only {', '.join(PRESET_METHODS)} have")
        return None

    @property
    def name(self) -> str:
        """Return what tables call it."""
        return f"{self.label or self.method} ({self.preset})" if self.preset else self.label or self.method


class Suite(_Model):
    """A suite file."""

    title: str = "Benchmark"  # heading of the report
    images: Annotated[tuple[Pictures, ...], Field(min_length=1)]  # which pictures
    methods: Annotated[tuple[SuiteMethod, ...], Field(min_length=1)]  # which methods
    codecs: tuple[Codec, ...] = ()  # everyday picture formats whose files are measured beside the models
    # each cell is fitted once for each of them
    seeds: Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], Field(min_length=1)] = (0,)
    # how long a fit may take, in seconds of fitting; None for the recipe's own steps
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    # how many steps it may take; None for no limit but that
    steps: Annotated[int, Field(strict=True, gt=0)] | None = None
    measure: tuple[Extra, ...] = ("stored", "off_grid", "speed")  # what is measured besides quality and time
    _places: Places = PrivateAttr(Places())
    _folder: Path = PrivateAttr(Path())

    @field_validator("methods")
    @classmethod
    def _labels_differ(cls, methods: tuple[SuiteMethod, ...], info: ValidationInfo) -> tuple[SuiteMethod, ...]:
        labels = [method.name for method in methods]
        twice = next((label for number, label in enumerate(labels) if label in labels[:number]), None)
        if twice is not None:
            raise ValueError(f"two methods are called {twice!r}; give them different labels")
        return methods

    def cells(
        self,
        images: tuple[Path, ...] = (),
        seconds: float | None = None,
        *,
        crop: int | None = None,
        steps: int | None = None,
    ) -> list[BenchmarkCell]:
        """Return all fits of the suite: picture by picture, so that the first tables are whole.

        Args:
            images: Pictures instead of the suite's own.
            seconds: Of fitting, instead of the suite's own.
            crop: Side in px of the square in the middle of each picture that is fitted, instead of the suite's crops.
            steps: Of fitting, instead of the suite's own.

        Raises:
            GainerError: If a picture is missing.
        """
        pictures = [(path, None, 1) for path in images] or [
            (path, one.crop, one.reduce) for number, one in enumerate(self.images) for path in self._found(number)
        ]
        if crop is not None:
            pictures = [(path, _middle(path, reduce, crop), reduce) for path, _, reduce in pictures]
        called = names_apart([(path.absolute(), _changes(crop, reduce)) for path, crop, reduce in pictures])
        fits = [(seed, method) for seed in self.seeds for method in self.methods]
        fits += [(self.seeds[0], SuiteMethod(method=codec, label=codec.upper())) for codec in self.codecs]
        return [
            BenchmarkCell(
                path=path.absolute(),
                crop=crop,
                reduce=reduce,
                method=method.method,
                label=method.name,
                options=method.set,
                seed=seed,
                seconds=method.seconds or seconds or (None if steps else self.seconds),
                steps=steps or self.steps,
                measure=self.measure,
                preset=method.preset,
                called=name,
            )
            for (path, crop, reduce), name in zip(pictures, called, strict=True)
            for seed, method in fits
        ]

    def _found(self, number: int) -> list[Path]:
        try:
            return self.images[number].found(self._folder)
        except ValueError as error:
            raise self._places.error(("images", number), str(error)) from None


@dataclass(frozen=True)
class BenchmarkCell:
    """One fit of a suite: a picture, a method, a seed, a budget."""

    path: Path
    crop: PixelCrop | None
    reduce: int
    method: str
    label: str
    options: dict[str, OptionValue]
    seed: int
    seconds: float | None
    steps: int | None
    measure: tuple[Extra, ...]
    preset: Literal["budget", "published"] | None = None
    called: str = ""

    @property
    def picture(self) -> bytes:
        """Return the picture file.

        Raises:
            GainerError: If it cannot be read.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise GainerError(f"{self.path}: cannot be read ({error.strerror}); check the path") from error

    @property
    def image(self) -> str:
        """Return what tables call the picture: as much of its path as tells it apart, and how it was changed."""
        return self.called or self.path.stem + _changes(self.crop, self.reduce)

    @cached_property
    def key(self) -> str:
        """Return what makes it the same fit as another: all of it, and the picture's content wherever it lies."""
        facts = asdict(self) | {"path": _digest(self.picture)}
        del facts["called"]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:KEY_LETTERS]

    def identity(self) -> dict[str, Any]:
        """Return how a line of the results begins."""
        return {
            "key": self.key,
            "image": self.image,
            "method": self.method,
            "label": self.label,
            "preset": self.preset,
            "seed": self.seed,
            "options": dict(self.options),
            "seconds_allowed": self.seconds,
            "steps_allowed": self.steps,
        }


def read_suite(path: Path) -> Suite:
    """Read and check a suite file.

    Raises:
        GainerError: In one line: the file, the line, what is wrong there, and what is allowed.
    """
    suite, places = read_yaml(path, Suite)
    suite._places, suite._folder = places, Path(path).parent
    return suite


def _middle(path: Path, reduce: int, side: int) -> PixelCrop:
    """Return a square in the middle of a picture, once it is reduced; no larger than that is."""
    from gainer_ns.io.image_io import read_picture

    picture = read_picture(path, downscale_factor=reduce)
    width, height = min(side, picture.width), min(side, picture.height)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return left, top, left + width, top + height


def _changes(crop: PixelCrop | None, reduce: int) -> str:
    """Return how a picture was reduced and cut, as it follows its name."""
    return (f"-{reduce}x" if reduce > 1 else "") + ("" if crop is None else "-" + "-".join(map(str, crop)))


@lru_cache(maxsize=1)
def _digest(picture: bytes) -> str:
    """Return the digest of a picture file; the cells of one follow each other."""
    return hashlib.sha256(picture).hexdigest()


def _is_pattern(path: str) -> bool:
    return any(sign in path for sign in "*?[")


def names_apart(pictures: Sequence[tuple[Path, str]]) -> list[str]:
    """Find the shortest ends of paths that tell pictures apart: ``photo``, ``before/photo``, or ``photo.png``.

    Args:
        pictures: The absolute path of each, and what follows its name: how it was cut and reduced.

    Returns:
        A name for each; pictures that are alike in both have the same one.
    """
    different = list(dict.fromkeys(pictures))
    names: dict[tuple[Path, str], str] = {}
    for with_suffix in (False, True):
        for parts in range(1, 1 + max((len(path.parts) for path, _ in different), default=0)):
            ends = {one: _end(one, parts, with_suffix) for one in different}
            count = Counter(ends.values())
            for one, end in ends.items():
                if count[end] == 1 and end not in names.values():
                    names.setdefault(one, end)
    return [names[one] for one in pictures]


def _end(picture: tuple[Path, str], parts: int, with_suffix: bool) -> str:
    path, changes = picture
    last = path.name if with_suffix else path.stem
    return "/".join([*path.parts[1:-1][len(path.parts) - 1 - parts :], last] if parts > 1 else [last]) + changes
