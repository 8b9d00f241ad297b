"""Cells on the machines of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gainer_bench.benchmark.cell import CellResult, run_cell
from gainer_bench.benchmark.suite import BenchmarkCell
from gainer_ns.cluster import joined


def run_on_ray(
    cells: Iterable[BenchmarkCell], address: str, threads: int | None = None
) -> Iterator[tuple[BenchmarkCell, CellResult]]:
    """Run cells wherever a Ray cluster has room for them; pictures travel with them, so machines share no folder.

    Args:
        cells: In the order in which they are begun.
        address: Of the cluster; see :func:`gainer_ns.cluster.joined`.
        threads: Processors that each takes; 1 when not given.

    Yields:
        Cells as they are done, with what came of them.

    Raises:
        GainerError: If Ray is not installed, or nothing answers at the address.
    """
    with joined(address) as ray:
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
                except ray.exceptions.RayError as error:
                    lines = str(error).splitlines() or [type(error).__name__]
                    result = CellResult({"error": f"{cell.image}, {cell.label}: lost on the cluster ({lines[0]})"})
                yield cell, result
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
