"""A depth model of transformers, in numbers that fit into memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gainer_ns.memory import free_memory
from gainer_ns.preparation.config import DepthConfig
from gainer_ns.preparation.networks import DEPTH, load_network

_BYTES_PER_PARAMETER = {torch.float32: 9, torch.bfloat16: 5, torch.float16: 5}
"""Memory that a model takes, activations included: measured with Depth-Pro."""


class DepthModel(NamedTuple):
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


def load_depth_model(config: DepthConfig, device: torch.device) -> DepthModel:
    """Load a depth model onto a device, in float32 unless only half of that fits into memory.

    Raises:
        GainerError: transformers or the model is missing, it is no depth model, or memory does not suffice.
    """
    name, free = config.model, _free_memory(device)
    settings, processor, network = load_network(DEPTH, name, download=config.download, dtype="auto")
    dtype = getattr(torch, config.dtype) if config.dtype != "auto" else _fitting_dtype(name, network, free, device)
    with DEPTH.one_line(name):
        return DepthModel(settings, processor, _in_dtype(network, dtype).to(device).eval(), dtype)


def _free_memory(device: torch.device) -> int:
    """Return how many bytes a device has left."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()


def _fitting_dtype(name: str, model: nn.Module, free: int, device: torch.device) -> torch.dtype:
    """Return what to compute in, given the bytes of memory that are free."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    for dtype in (torch.float32, half):
        if _BYTES_PER_PARAMETER[dtype] * parameters <= free:
            return dtype
    need = _BYTES_PER_PARAMETER[half] * parameters / 1e9
    raise DEPTH.error(
        f"{name}: needs about {need:.1f} GB of memory, {free / 1e9:.1f} GB are free; "
        "close other programs, choose a smaller model"
    )


def _in_dtype(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Convert a model to another dtype, except the last convolutions of its heads.

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
