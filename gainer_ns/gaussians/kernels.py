"""How Warp kernels are launched, here and on a GPU, and the types that they are made of.

Kernels have one source for CPU and CUDA. What depends on a number known only at run time (``K`` neighbours, ``F``
features) is made by a cached factory, because Warp keeps fixed-length vectors in registers.
"""

import functools
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
import warp as wp

wp.config.log_level = wp.LOG_ERROR  # Warp greets on every start otherwise
wp.config.max_unroll = 32  # loops over more neighbours than Warp's 16 take half as long again if they stay loops

PARTS = 4
"""Into how many parts a range is divided for each CPU thread: some take longer than others."""


@functools.cache
def _thread_pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=threads, thread_name_prefix="gainer-kernel")


@functools.cache
def start() -> None:
    """Starts Warp; where there is no GPU its native part warns of the missing driver, and no setting stops that."""
    if torch.cuda.is_available():
        wp.init()
        return
    standard_error, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        wp.init()
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
        os.close(nowhere)


def launch(kernel: wp.Kernel, count: int, inputs: Sequence[Any], device: torch.device) -> None:
    """Runs a kernel over ``count`` threads; on the CPU the range is divided among torch's threads.

    Warp itself uses one CPU thread, but releases the interpreter lock, so several ranges run side by side. No two
    ranges write the same element, so the result does not depend on their number.

    Args:
        kernel: A kernel whose first argument is ``first``, the index of its first thread.
        count: Number of threads.
        inputs: The other arguments; tensors must be contiguous.
        device: Where the tensors are.
    """
    if count == 0:
        return
    start()
    arguments = [_as_warp(value) for value in inputs]
    if device.type == "cuda":
        stream = wp.stream_from_torch(torch.cuda.current_stream(device))
        wp.launch(kernel, count, [0, *arguments], stream=stream)
        return
    threads = torch.get_num_threads()
    parts = 1 if threads == 1 else max(1, min(PARTS * threads, count // 4096))
    if parts == 1:
        wp.launch(kernel, count, [0, *arguments], device="cpu")
        return
    bounds = [count * part // parts for part in range(parts + 1)]
    kernel.module.load("cpu", block_dim=1)  # once, before the threads ask for it
    jobs = [
        _thread_pool(threads).submit(wp.launch, kernel, end - start, [start, *arguments], device="cpu")
        for start, end in itertools.pairwise(bounds)
    ]
    for job in jobs:
        job.result()


def _as_warp(value: Any) -> Any:
    if not isinstance(value, Typed):
        return value
    return wp.from_torch(value.tensor.detach(), dtype=value.dtype, requires_grad=False)


class Typed:
    """A tensor and the Warp type of one element of it: ``Typed(points, wp.vec3)`` for ``points [m, 3]``."""

    def __init__(self, tensor: torch.Tensor, dtype: Any) -> None:
        self.tensor = tensor
        self.dtype = dtype


@functools.cache
def vector(length: int, dtype: Any = wp.float32) -> Any:
    """The Warp type of ``length`` numbers."""
    return wp.types.vector(length=length, dtype=dtype)


@functools.cache
def matrix(rows: int, columns: int) -> Any:
    """The Warp type of a float32 matrix."""
    return wp.types.matrix(shape=(rows, columns), dtype=wp.float32)
