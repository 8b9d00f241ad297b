"""Loading a depth model of transformers: from a folder, from what is on this machine, or from the hub when told to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
import torch
from torch import Tensor, nn

from gainer_ns.errors import GainerError

OPTIONS = "--pipeline.datamanager.depth"
"""Where ns-train has the options of depth."""

WITHOUT = f"give {OPTIONS}-path FILE"
"""How to do without a model."""

DEPTH_PRO = "apple/DepthPro-hf"
"""Depth-Pro's id on the hub."""

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

_MEMORY = {torch.float32: 9, torch.bfloat16: 5, torch.float16: 5}
"""Bytes that a model takes for each of its parameters, activations included: measured with Depth-Pro."""


@dataclass(frozen=True, eq=False)
class DepthModel:
    """A depth model, ready to run.

    Attributes:
        settings: Its config, of which model_type tells its kind.
        processor: Makes its inputs of pictures, and depth of its outputs.
        network: The model itself, on its device.
        dtype: What it computes in.
    """

    settings: Any
    processor: Any
    network: nn.Module
    dtype: torch.dtype


def load_depth_model(name: str, *, download: bool, dtype: Dtype, device: torch.device) -> DepthModel:
    """Loads a depth model.

    Args:
        name: A folder, or a model's id on the hub.
        download: Whether the hub may be asked for what is not on this machine.
        dtype: What to compute in; auto for float32 unless only half of that fits into memory.
        device: Where it runs.

    Raises:
        GainerError: transformers or the model is missing, it is no depth model, or memory does not suffice.
    """
    transformers = _transformers()
    free = _free_memory(device)
    with _loading(name, download) as source:
        settings = transformers.AutoConfig.from_pretrained(**source)
        _check_kind(name, settings.model_type)
        processor = transformers.AutoImageProcessor.from_pretrained(**source)
        network, report = transformers.AutoModelForDepthEstimation.from_pretrained(
            **source, config=settings, dtype="auto", output_loading_info=True
        )
        # Some released models lack a few weights that are never used; without many, the rest is random.
        if 20 * len(report["missing_keys"]) > len(network.state_dict()):
            raise GainerError(f"{name}: lacks many of its weights; fetch it again, or {WITHOUT}")
    chosen = getattr(torch, dtype) if dtype != "auto" else _fitting_dtype(name, network, free, device)
    with one_line(name):
        return DepthModel(settings, processor, _in_dtype(network, chosen).to(device).eval(), chosen)


def _transformers() -> Any:
    """The transformers package."""
    try:
        import transformers  # pyright: ignore[reportMissingImports]

        _ = transformers.AutoModelForDepthEstimation
    except (ImportError, AttributeError) as error:
        raise GainerError(
            f'depth: transformers is missing or too old; run `pip install "gainer-ns[hf]"`, or {WITHOUT}'
        ) from error
    return transformers


def _check_kind(name: str, kind: str) -> None:
    """Refuses what is no depth model."""
    from transformers.models.auto import modeling_auto  # pyright: ignore[reportMissingImports]

    if kind not in modeling_auto.MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES:
        raise GainerError(f"{name}: is a model of kind {kind}, which estimates no depth; name a depth model")


@contextmanager
def _loading(name: str, download: bool) -> Iterator[dict[str, Any]]:
    """Yields where transformers' loaders find a model, and turns what they raise into one line."""
    from huggingface_hub import snapshot_download  # pyright: ignore[reportMissingImports]

    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise GainerError(f"{folder}: holds no config.json; name a folder that transformers' save_pretrained made")
    is_id = not folder.is_dir()
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
        reason = " ".join(str(error).split())[:200]
        if is_id and isinstance(error, OSError):
            raise GainerError(_not_here(name, download, reason)) from error
        raise GainerError(f"{name}: cannot be loaded as a depth model ({reason}); fetch it again") from error


def _not_here(name: str, download: bool, reason: str) -> str:
    """What to do about a model of the hub that did not load."""
    if download:
        return f"{name}: could not be fetched ({reason}); check its name and the network, or {WITHOUT}"
    note = " (about 1.9 GB, weights for research use only)" if name == DEPTH_PRO else ""
    return (
        f"depth model {name} is not on this machine: {WITHOUT}, or add {OPTIONS}.download True to fetch"
        f" it{note}, or name a folder with {OPTIONS}.model"
    )


@contextmanager
def one_line(name: str) -> Iterator[None]:
    """Turns what a network raises on its way to a device or at work into one line."""
    try:
        yield
    except GainerError:
        raise
    except Exception as error:  # Pictures too narrow for it, parts that a device lacks, no memory left.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if isinstance(error, MemoryError) or "memory" in reason.lower():
            remedy = f"set {OPTIONS}.dtype bfloat16 or choose a smaller model, or {WITHOUT}"
            raise GainerError(f"{name}: memory ran out; {remedy}") from error
        raise GainerError(f"{name}: cannot estimate the depth ({reason}); choose another, or {WITHOUT}") from error


def _free_memory(device: torch.device) -> int:
    """Bytes that a device has left."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def _fitting_dtype(name: str, model: nn.Module, free: int, device: torch.device) -> torch.dtype:
    """What to compute in, given the bytes of memory that are free."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    for dtype in (torch.float32, half):
        if _MEMORY[dtype] * parameters <= free:
            return dtype
    need = _MEMORY[half] * parameters / 1e9
    raise GainerError(
        f"{name}: needs about {need:.1f} GB of memory, {free / 1e9:.1f} GB are free;"
        f" close other programs, choose a smaller model, or {WITHOUT}"
    )


def _in_dtype(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A model in another dtype, except the last convolutions of its heads.

    In bfloat16 these would round depth, and the field of view that it is scaled by, to 0.4 %: steps that one sees.
    """
    model = model.to(dtype)
    if dtype == torch.float32:
        return model

    def widen(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(tensor.float() for tensor in inputs)

    for part in (model, getattr(model, "fov_model", None)):
        head = getattr(part, "head", None)
        last = [layer for layer in head.modules() if isinstance(layer, nn.Conv2d)][-1:] if head is not None else []
        for layer in last:
            layer.float().register_forward_pre_hook(widen)
    return model
