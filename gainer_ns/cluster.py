"""Work on the machines of a Ray cluster: sent with all that it needs, done anew where a machine is lost."""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeVar

from gainer_ns.errors import GainerError

CLUSTER_TIMEOUT_SECONDS = 10.0
"""Seconds within which a cluster has to answer."""
_MAX_RETRIES = 5
"""How often what a lost machine was at is begun anew."""
_AHEAD = 2
"""How many pieces of work wait for each processor, so that none of them idles."""

_shared: dict[str, Any] = {}
"""In a process of a cluster: what the work that it did last shares, by its name there."""

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """Join a cluster, and leave it at the end.

    Args:
        address: ``HOST:PORT``, ``ray://HOST:PORT``, or ``auto`` for the one that this machine is part of.

    Yields:
        The module ray.

    Raises:
        GainerError: If Ray is not installed, or nothing answers at the address.
    """
    check_cluster(address)
    import ray  # pyright: ignore[reportMissingImports]

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, ignore_reinit_error=True)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        reason = (str(error).splitlines() or ["no answer"])[0]
        raise GainerError(f"--ray {address}: no cluster could be joined ({reason}); start one by ray start") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def check_cluster(address: str) -> None:
    """Make sure that there may be a cluster at an address, before long work that comes before it is joined.

    Raises:
        GainerError: See :func:`joined`.
    """
    if find_spec("ray") is None:
        raise GainerError("--ray needs Ray: pip install 'gainer-ns[ray]', here and on the cluster")
    _check_answer(address)


def in_order(
    address: str, work: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
) -> Iterator[Result]:
    """Do pieces of work on a cluster, a processor each, and yield what comes of them in their order.

    A piece whose machine is lost is begun anew on another, so work must always come to the same.

    Args:
        address: Of the cluster; see :func:`joined`.
        work: What is done, in a process that has gainer_ns.
        shared: What all pieces need; sent to each machine once, and kept by each of its processes.
        items: The pieces. They are asked for as there is room for them.

    Raises:
        GainerError: What the work raises; if the cluster does not answer, or loses a piece again and again.
    """
    with joined(address) as ray:
        place = [ray.put(shared)]  # in a list, which Ray hands over as it is
        begin = ray.remote(num_cpus=1, max_retries=_MAX_RETRIES)(_done).remote
        room = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting: deque[Any] = deque()

        def answer(reference: Any) -> Result:
            try:
                return ray.get(reference)
            except GainerError as error:  # Ray's comes with a traceback of the machine where it was raised
                raise GainerError(str(getattr(error, "cause", error))) from error
            except ray.exceptions.RayError as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
                raise GainerError(f"--ray {address}: work was lost on the cluster ({reason})") from error

        for item in items:
            waiting.append(begin(work, place, item))
            while len(waiting) >= room or (waiting and ray.wait([waiting[0]], timeout=0)[0]):
                yield answer(waiting.popleft())
        while waiting:
            yield answer(waiting.popleft())


def _done(work: Callable[[Shared, Item], Result], place: list[Any], item: Item) -> Result:
    """Do a piece of work, in a process of the cluster."""
    import ray  # pyright: ignore[reportMissingImports]

    (reference,) = place
    if reference.hex() not in _shared:
        _shared.clear()
        _shared[reference.hex()] = ray.get(reference)
    return work(_shared[reference.hex()], item)


def _check_answer(address: str) -> None:
    """Make sure that something listens at an address with a port, where Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return  # "auto", or a name that Ray knows
    try:
        socket.create_connection((host, int(port)), timeout=CLUSTER_TIMEOUT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise GainerError(f"--ray {address}: no cluster answers there ({error}); start one by ray start") from error
