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
from gainer_ns.preparation.config import DEPTH_PRO, PreparationError


@dataclass(frozen=True)
class Purpose:
    """What networks are used for.

    Attributes:
        name: The group of options of such networks.
        model: What messages call such a network.
        failing: What is said of one that cannot do it.
        loader: transformers' class that loads one.
        processor: The class that makes its inputs.
        kinds: transformers' table of the models that can do it.
        instead: How to do without one.
        instead_option: The option for that.
        less_memory: How to need less memory, and the options for that.
    """

    name: str
    model: str
    failing: str
    loader: str
    processor: str
    kinds: str
    instead: str
    instead_option: str
    less_memory: tuple[str, ...]

    def error(self, problem: str, *options: str) -> PreparationError:
        """Return the error of a problem, one of whose remedies is to do without such a network."""
        return PreparationError(f"{problem}, or {self.instead}", self.instead_option, *options)

    @contextmanager
    def one_line(self, name: str) -> Iterator[None]:
        """Turn what the network of a name raises on its way to a device or at work into one line."""
        try:
            yield
        except GainerError:
            raise
        except Exception as error:  # Pictures too narrow for it, parts that a device lacks, no memory left.
            if memory_ran_out(error):
                remedy, *options = self.less_memory
                raise self.error(f"{name}: memory ran out; {remedy}", *options) from error
            reason = f"{self.failing} here ({_reason(error)})"
            raise self.error(f"{name}: {reason}; choose another model") from error


DEPTH = Purpose(
    name="depth",
    model="depth model",
    failing="estimates no depth",
    loader="AutoModelForDepthEstimation",
    processor="AutoImageProcessor",
    kinds="MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES",
    instead="give a depth file",
    instead_option="depth-path FILE",
    less_memory=("compute in bfloat16, choose a smaller model", "depth.dtype bfloat16"),
)

SEGMENTATION = Purpose(
    name="segmentation",
    model="segmentation model",
    failing="makes no masks",
    loader="AutoModelForMaskGeneration",
    processor="AutoProcessor",
    kinds="MODEL_FOR_MASK_GENERATION_MAPPING_NAMES",
    instead="give a mask file",
    instead_option="mask-path FILE",
    less_memory=("choose a smaller model",),
)

_DOWNLOADS = {DEPTH_PRO: " (about 1.9 GB, weights for research use only)"}
"""What fetching a model means, by its id."""


def load_network(
    purpose: Purpose, name: str, *, download: bool, dtype: torch.dtype | str
) -> tuple[Any, Any, nn.Module]:
    """Load a network of transformers.

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
    try:
        import transformers  # pyright: ignore[reportMissingImports]

        loader = getattr(transformers, purpose.loader)
    except (ImportError, AttributeError) as error:
        raise purpose.error(
            f'{purpose.model}: transformers is missing or too old; run `pip install "gainer-ns[hf]"`'
        ) from error
    with _located(purpose, name, download) as source:
        settings = transformers.AutoConfig.from_pretrained(**source)
        _check_kind(purpose, name, settings.model_type)
        processor = getattr(transformers, purpose.processor).from_pretrained(**source)
        network, report = loader.from_pretrained(**source, config=settings, dtype=dtype, output_loading_info=True)
        # Some released models lack a few weights that are never used; without many, the rest is random.
        if 50 * len(report["missing_keys"]) > len(network.state_dict()):
            raise purpose.error(f"{name}: lacks {len(report['missing_keys'])} of its weights; fetch it again")
    return settings, processor, network


def _check_kind(purpose: Purpose, name: str, kind: str) -> None:
    """Refuse what is made for something else."""
    from transformers.models.auto import modeling_auto  # pyright: ignore[reportMissingImports]

    if kind not in getattr(modeling_auto, purpose.kinds):
        raise GainerError(f"{name}: is a model of kind {kind}, which {purpose.failing}; name a {purpose.model}")


@contextmanager
def _located(purpose: Purpose, name: str, download: bool) -> Iterator[dict[str, Any]]:
    """Yield where transformers' loaders find a model, and turn what they raise into one line."""
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
            problem = f"{name}: could not be fetched ({_reason(error)}); check its name and the network"
            raise purpose.error(problem) from error
        raise purpose.error(
            f"{purpose.model} {name} is not on this machine; allow its download{_DOWNLOADS.get(name, '')}, "
            "name another model",
            f"{purpose.name}.download True",
            f"{purpose.name}.model FOLDER",
        ) from error


def _reason(error: Exception) -> str:
    """Return what an exception says, in a line."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 200 else f"{said[:200].rsplit(' ', 1)[0]} ..."
