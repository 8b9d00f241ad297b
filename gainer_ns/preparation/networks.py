"""Networks of transformers: from a folder, from what is on this machine, or from the hub when told to.

Whatever goes wrong on the way, or when a network works, is said in one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gainer_ns.errors import GainerError, memory_ran_out


@dataclass(frozen=True)
class Purpose:
    """What networks are used for.

    Attributes:
        name: What complaints call it.
        model: What they call such a network.
        failing: What is said of one that cannot do it.
        loader: transformers' class that loads one.
        processor: The class that makes its inputs.
        kinds: transformers' table of the models that can do it.
        option: Where ns-train has the options of such networks.
        without: How to do without one.
        less_memory: How to need less memory.
        notes: What downloading a model means, by its id.
    """

    name: str
    model: str
    failing: str
    loader: str
    processor: str
    kinds: str
    option: str
    without: str
    less_memory: str
    notes: dict[str, str]

    @contextmanager
    def one_line(self, name: str) -> Iterator[None]:
        """Turns what a network raises on its way to a device or at work into one line.

        Args:
            name: What complaints call it.
        """
        try:
            yield
        except GainerError:
            raise
        except Exception as error:  # Pictures too narrow for it, parts that a device lacks, no memory left.
            reason = _reason(error)
            if memory_ran_out(error):
                raise GainerError(f"{name}: memory ran out; {self.less_memory}, or {self.without}") from error
            raise GainerError(
                f"{name}: {self.failing} here ({reason}); choose another model, or {self.without}"
            ) from error


DEPTH_PRO = "apple/DepthPro-hf"
"""Depth-Pro's id on the hub."""

DEPTH = Purpose(
    name="depth",
    model="depth model",
    failing="estimates no depth",
    loader="AutoModelForDepthEstimation",
    processor="AutoImageProcessor",
    kinds="MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES",
    option="--pipeline.datamanager.depth",
    without="give --pipeline.datamanager.depth-path FILE",
    less_memory="set --pipeline.datamanager.depth.dtype bfloat16 or choose a smaller model",
    notes={DEPTH_PRO: "about 1.9 GB, weights for research use only"},
)

SEGMENTATION = Purpose(
    name="mask",
    model="segmentation model",
    failing="makes no masks",
    loader="AutoModelForMaskGeneration",
    processor="AutoProcessor",
    kinds="MODEL_FOR_MASK_GENERATION_MAPPING_NAMES",
    option="--pipeline.datamanager.segmentation",
    without="give --pipeline.datamanager.mask-path FILE",
    less_memory="choose a smaller model",
    notes={},
)


def load_network(
    purpose: Purpose, name: str, *, download: bool, dtype: torch.dtype | str
) -> tuple[Any, Any, nn.Module]:
    """Loads a network of transformers.

    Args:
        purpose: What it must be made for.
        name: A folder, or a model's id on the hub.
        download: Whether the hub may be asked for what is not on this machine.
        dtype: Of its parameters; auto for as they are stored.

    Returns:
        Its config, its processor, and the network, on the CPU.

    Raises:
        GainerError: transformers or the model is missing, damaged, or made for something else.
    """
    transformers = _transformers(purpose)
    with _located(purpose, name, download) as source:
        settings = transformers.AutoConfig.from_pretrained(**source)
        _check_kind(purpose, name, settings.model_type)
        processor = getattr(transformers, purpose.processor).from_pretrained(**source)
        network, report = getattr(transformers, purpose.loader).from_pretrained(
            **source, config=settings, dtype=dtype, output_loading_info=True
        )
        # Some released models lack a few weights that are never used; without many, the rest is random.
        if 50 * len(report["missing_keys"]) > len(network.state_dict()):
            raise GainerError(
                f"{name}: lacks {len(report['missing_keys'])} of its weights; fetch it again, or {purpose.without}"
            )
    return settings, processor, network


def _transformers(purpose: Purpose) -> Any:
    """The transformers package."""
    try:
        import transformers  # pyright: ignore[reportMissingImports]

        getattr(transformers, purpose.loader)
    except (ImportError, AttributeError) as error:
        raise GainerError(
            f'{purpose.name}: transformers is missing or too old; run `pip install "gainer-ns[hf]"`,'
            f" or {purpose.without}"
        ) from error
    return transformers


def _check_kind(purpose: Purpose, name: str, kind: str) -> None:
    """Refuses what is made for something else."""
    from transformers.models.auto import modeling_auto  # pyright: ignore[reportMissingImports]

    if kind not in getattr(modeling_auto, purpose.kinds):
        raise GainerError(f"{name}: is a model of kind {kind}, which {purpose.failing}; name a {purpose.model}")


@contextmanager
def _located(purpose: Purpose, name: str, download: bool) -> Iterator[dict[str, Any]]:
    """Yields where transformers' loaders find a model, and turns what they raise into one line."""
    from huggingface_hub import snapshot_download  # pyright: ignore[reportMissingImports]

    folder = Path(name)
    is_id = not folder.is_dir()
    if not is_id and not (folder / "config.json").is_file():
        raise GainerError(f"{folder}: holds no config.json; name a folder that transformers' save_pretrained made")
    if is_id and (folder.exists() or not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name)):
        raise GainerError(f"{name}: is no folder of a model; check the spelling, or name a model of the hub")
    fetch = is_id and download
    try:
        # Given an id, the loaders ask the network for other things even where they may not fetch the model.
        where = snapshot_download(name, local_files_only=True) if is_id and not fetch else name
        yield {"pretrained_model_name_or_path": where, "local_files_only": not fetch, "trust_remote_code": False}
    except GainerError:
        raise
    except Exception as error:  # Missing files, no network, damage, foreign formats: each raises its own.
        if not (is_id and isinstance(error, OSError)):
            raise GainerError(
                f"{name}: cannot be loaded as a {purpose.model} ({_reason(error)}); fetch it again"
            ) from error
        if download:
            raise GainerError(
                f"{name}: could not be fetched ({_reason(error)}); check its name and the network, or {purpose.without}"
            ) from error
        note = f" ({purpose.notes[name]})" if name in purpose.notes else ""
        raise GainerError(
            f"{purpose.model} {name} is not on this machine: {purpose.without}, or add {purpose.option}.download True"
            f" to fetch it{note}, or name a folder with {purpose.option}.model"
        ) from error


def _reason(error: Exception) -> str:
    """What an exception says, in a line."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 200 else f"{said[:200].rsplit(' ', 1)[0]} ..."
