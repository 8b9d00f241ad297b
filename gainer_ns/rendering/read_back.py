"""Frames brought from a GPU to the host, each while the next is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from gainer_ns.rendering.compositing import Raster


def on_host(frames: Iterable[Raster]) -> Iterator[Raster]:
    """Yield frames on the host, in order.

    Those of a GPU go into pinned memory, which it fills by itself: the host waits for a frame only once it has asked
    for all of the next. They stay floats: what is no number must be seen, and copying 16 bytes a pixel is hidden behind
    drawing it.
    """
    before: tuple[Raster, Any] | None = None
    for frame in frames:
        if not frame.colours.is_cuda:
            yield Raster(frame.colours.cpu(), frame.opacity.cpu())
            continue
        copied = Raster(*(_begin_copy(each) for each in frame)), _mark()
        if before is not None:
            yield _arrived(*before)
        before = copied
    if before is not None:
        yield _arrived(*before)


def _begin_copy(values: Tensor) -> Tensor:
    return torch.empty(values.shape, dtype=values.dtype, pin_memory=True).copy_(values, non_blocking=True)


def _mark() -> Any:
    """Return what tells when all that was asked of the GPU so far is done."""
    event = torch.cuda.Event()
    event.record()
    return event


def _arrived(frame: Raster, event: Any) -> Raster:
    event.synchronize()
    return frame
