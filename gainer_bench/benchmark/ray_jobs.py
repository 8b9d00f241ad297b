"""Cells on the machines of a Ray cluster."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator

from gainer_bench.benchmark.cell import CellResult, run_cell
from gainer_bench.benchmark.suite import BenchmarkCell
from gainer_ns.errors import GainerError

CLUSTER_TIMEOUT_SECONDS = 10.0
"""Seconds within which a cluster has to answer."""


def run_on_ray(
    cells: Iterable[BenchmarkCell], address: str, threads: int | None = None
) -> Iterator[tuple[BenchmarkCell, CellResult]]:
    """Run cells wherever a Ray cluster has room for them; pictures travel with them, so machines share no folder.

    Args:
        cells: In the order in which they are begun.
        address: Of the cluster: ``HOST:PORT``, ``ray://HOST:PORT``, or ``auto`` for the one this machine is part of.
        threads: Processors that each takes; 1 when not given.

    Yields:
        Cells as they are done, with what came of them.

    Raises:
        GainerError: If Ray is not installed, or nothing answers at the address.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
        from ray.exceptions import RayError  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise GainerError("--ray needs Ray: pip install 'gainer-ns[ray]', here and on the cluster") from error
    _check_answer(address)
    try:
        ray.init(address=address, log_to_driver=False, ignore_reinit_error=True)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        reason = (str(error).splitlines() or ["no answer"])[0]
        raise GainerError(f"--ray {address}: no cluster could be joined ({reason}); start one by ray start") from error
    threads = threads or 1
    gpus = 1 if ray.cluster_resources().get("GPU", 0) > 0 else 0
    work = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0, max_calls=1)(
        run_cell
    )  # max_calls: a process each
    running = {work.remote(cell, cell.picture, threads): cell for cell in cells}
    try:
        while running:
            (done,), _ = ray.wait(list(running), num_returns=1)
            cell = running.pop(done)
            try:
                result = ray.get(done)
            except RayError as error:
                lines = str(error).splitlines() or [type(error).__name__]
                result = CellResult({"error": f"{cell.image}, {cell.label}: lost on the cluster ({lines[0]})"})
            yield cell, result
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        ray.shutdown()


def _check_answer(address: str) -> None:
    """Make sure that something listens at an address with a port, where Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return  # "auto", or a name that Ray knows
    try:
        socket.create_connection((host, int(port)), timeout=CLUSTER_TIMEOUT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise GainerError(f"--ray {address}: no cluster answers there ({error}); start one by ray start") from error
