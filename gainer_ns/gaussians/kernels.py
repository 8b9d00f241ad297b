"""Compile and launch Warp kernels, and make the types of their arguments.

Kernels have one source for CPU and CUDA. What depends on a number known only at run time (``K`` neighbours, ``F``
features) is made by a cached factory, because Warp keeps fixed-length vectors in registers.
"""

import atexit
import functools
import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
import warp as wp

from gainer_ns.errors import GainerError

wp.config.log_level = wp.LOG_ERROR  # Warp greets on every start otherwise
wp.config.max_unroll = 32  # loops over more neighbours than Warp's 16 take half as long again if they stay loops

_logger = logging.getLogger(__name__)

_CUDA_BLOCK_THREADS = 256
"""Warp's default."""
_RANGE_THREADS = 4096
"""A smaller range would take less time than it takes to begin one."""
_RANGES_PER_THREAD = 4
"""A launch is divided into so many ranges for each CPU thread: some take longer than others."""


@functools.cache
def _thread_pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=threads, thread_name_prefix="gainer-kernel")


@functools.cache
def start_warp() -> None:
    """Start Warp, in another thread, as kernels are compiled: see :func:`compile_kernel`."""
    _thread_pool(1).submit(_initialise).result()


@functools.cache
def compile_kernel(kernel: wp.Kernel, device: torch.device) -> None:
    """Compile a kernel in another thread.

    The viewer may interrupt the one that draws by an exception at any line, and Warp never again runs a kernel whose
    build has raised one.
    """
    start_warp()
    place, block = _place(device)
    _thread_pool(1).submit(kernel.module.load, place, block_dim=block).result()


def _place(device: torch.device) -> tuple[Any, int]:
    """Return Warp's name of a device, and how many threads a block has there."""
    return ("cpu", 1) if device.type == "cpu" else (wp.device_from_torch(device), _CUDA_BLOCK_THREADS)


def _initialise() -> None:
    """Start Warp where compiled kernels can be kept: in its usual cache, or else in one of this process alone."""
    try:
        _quietly_initialise()  # makes the cache
        with tempfile.TemporaryFile(dir=wp.config.kernel_cache_dir):
            return
    except OSError as error:
        reason = error.strerror or error
    usual, remedy = wp.config.kernel_cache_dir, "set WARP_CACHE_PATH to a folder that can be written"
    try:
        wp.config.kernel_cache_dir = tempfile.mkdtemp(prefix="gainer-kernels-")
    except OSError as error:
        raise GainerError(f"{usual}: compiled kernels cannot be kept there ({reason}); {remedy}") from error
    atexit.register(shutil.rmtree, wp.config.kernel_cache_dir, ignore_errors=True)
    _logger.warning(f"{usual}: compiled kernels cannot be kept there ({reason}), so this run makes its own; {remedy}")
    _quietly_initialise()


def _quietly_initialise() -> None:
    """Start Warp without its native part's warning of a missing driver where there is no GPU; no setting stops that."""
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


def launch(
    kernel: wp.Kernel, count: int, inputs: Sequence[Any], device: torch.device, *, grain: int = _RANGE_THREADS
) -> None:
    """Run a kernel over ``count`` threads; on the CPU the range is divided among torch's threads.

    Warp itself uses one CPU thread, but releases the interpreter lock, so several ranges run side by side. No two
    ranges write the same element, so the result does not depend on their number. The kernel's first argument is
    ``first``, the index of its first thread; ``inputs`` are the others, tensors contiguous. A range has ``grain``
    threads or more: fewer where each does much.
    """
    if count == 0:
        return
    compile_kernel(kernel, device)
    arguments = [_as_warp(value) for value in inputs]
    if device.type == "cuda":
        stream = wp.stream_from_torch(torch.cuda.current_stream(device))
        wp.launch(kernel, count, [0, *arguments], stream=stream)
        return
    threads = torch.get_num_threads()
    parts = 1 if threads == 1 else max(1, min(_RANGES_PER_THREAD * threads, count // grain))
    if parts == 1:
        wp.launch(kernel, count, [0, *arguments], device="cpu")
        return
    bounds = [count * part // parts for part in range(parts + 1)]
    jobs = [
        _thread_pool(threads).submit(wp.launch, kernel, end - begin, [begin, *arguments], device="cpu")
        for begin, end in itertools.pairwise(bounds)
    ]
    for job in jobs:
        job.result()


class Repeated:
    """A kernel that is launched many times with the same inputs, which are packed once.

    Its first arguments are ``first`` and ``step``, which changes from launch to launch; on the CPU there is one range
    for each of torch's threads, and begins with a multiple of ``block``. The memory of the inputs, contiguous tensors,
    must not move.
    """

    def __init__(self, kernel: wp.Kernel, inputs: Sequence[Any], device: torch.device, *, block: int = 1) -> None:
        compile_kernel(kernel, device)
        self._kept, self._block = inputs, block
        arguments = [0, 0, *(_as_warp(value) for value in inputs)]
        threads = 1 if device.type == "cuda" else torch.get_num_threads()
        place, block_dim = _place(device)
        self._commands = [
            wp.launch(kernel, 1, arguments, device=place, record_cmd=True, block_dim=block_dim) for _ in range(threads)
        ]
        self._device = device

    def __call__(self, first: int, count: int, step: int = 0) -> None:
        """Run the kernel over ``count`` threads from the number ``first`` on."""
        if count <= 0:
            return
        if self._device.type == "cuda":
            self._set(self._commands[0], first, count, step).launch(
                wp.stream_from_torch(torch.cuda.current_stream(self._device))
            )
            return
        parts = min(len(self._commands), max(1, count // max(512, self._block)))
        begins = [first + count * part // parts // self._block * self._block for part in range(parts)]
        bounds = [*begins, first + count]
        commands = [
            self._set(command, begin, end - begin, step)
            for command, (begin, end) in zip(self._commands, itertools.pairwise(bounds), strict=False)
        ]
        jobs = [_thread_pool(len(self._commands)).submit(command.launch) for command in commands[1:]]
        commands[0].launch()
        for job in jobs:
            job.result()

    @staticmethod
    def _set(command: Any, first: int, count: int, step: int) -> Any:
        command.set_dim(count)
        command.set_param_at_index(0, first)
        command.set_param_at_index(1, step)
        return command


def on_stream(device: torch.device) -> AbstractContextManager[Any]:
    """Let what Warp does besides kernels follow what torch has asked of a device before."""
    if device.type != "cuda":
        return nullcontext()
    return wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(device)))


def _as_warp(value: Any) -> Any:
    if not isinstance(value, Typed):
        return value
    return wp.from_torch(value.tensor.detach(), dtype=value.dtype, requires_grad=False, return_ctype=True)


def struct(kind: Any, **values: Any) -> Any:
    """Fill a Warp struct with values; tensors, which must be contiguous, come as :class:`Typed`."""
    start_warp()
    filled = kind()
    for name, value in values.items():
        typed = isinstance(value, Typed)
        setattr(filled, name, wp.from_torch(value.tensor.detach(), dtype=value.dtype) if typed else value)
    return filled


class WithWarpCaches:
    """Keeps Warp objects as cached properties; sent to other processes without them, which make them anew."""

    def __getstate__(self) -> dict[str, Any]:
        """Return all attributes that are no Warp objects."""
        return {name: value for name, value in vars(self).items() if not type(value).__module__.startswith("warp.")}


class Typed(NamedTuple):
    """A tensor and the Warp type of one element of it: ``Typed(points, wp.vec3)`` for ``points [m, 3]``."""

    tensor: torch.Tensor
    dtype: Any


@functools.cache
def vector(length: int, dtype: Any = wp.float32) -> Any:
    """Return the Warp type of ``length`` numbers."""
    return wp.types.vector(length=length, dtype=dtype)


@functools.cache
def matrix(rows: int, columns: int) -> Any:
    """Return the Warp type of a float32 matrix."""
    return wp.types.matrix(shape=(rows, columns), dtype=wp.float32)
