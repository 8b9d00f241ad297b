"""Cells on a cluster of two workers on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gainer_bench.benchmark.ray_jobs import run_on_ray
from gainer_bench.benchmark.suite import BenchmarkCell
from gainer_ns.errors import GainerError

pytest.importorskip("ray", reason="needs Ray: pip install 'gainer-ns[ray]'")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster.address
    cluster.shutdown()


def cells(folder: Path, crops: list[tuple[int, int, int, int]], photo: Path) -> list[BenchmarkCell]:
    path = folder / "picture.png"
    path.write_bytes(photo.read_bytes())
    return [BenchmarkCell(path, crop, 1, "gainer", "gainer", {}, 0, None, None, ()) for crop in crops]


@pytest.mark.slow
def test_cells_are_spread_and_pictures_travel_with_them(cluster: str, photo: Path, tmp_path: Path) -> None:
    todo = cells(tmp_path, [(0, 0, 16, 16), (16, 0, 32, 16), (0, 0, 500, 500)], photo)
    keys = [cell.key for cell in todo]
    running = run_on_ray(todo, cluster, 1)
    results = [next(running)]
    (tmp_path / "picture.png").unlink()  # all of them were sent by now
    results += list(running)
    found = {cell.key: result for cell, result in results}
    assert set(found) == set(keys)
    assert all(found[key].line["psnr"] > 75 and "rendered" in found[key].pictures for key in keys[:2])
    assert "is no part of" in found[keys[2]].line["error"]


def test_no_cluster_is_one_line(photo: Path, tmp_path: Path) -> None:
    todo = cells(tmp_path, [(0, 0, 16, 16)], photo)
    for address in ("127.0.0.1:9", "ray://127.0.0.1:9", "127.0.0.1:99999"):
        with pytest.raises(GainerError, match="no cluster answers") as caught:
            next(run_on_ray(todo, address))
        assert address in str(caught.value) and "\n" not in str(caught.value)


def test_without_ray_it_says_what_to_install(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(GainerError, match=r"pip install 'gainer-ns\[ray\]'"):
        next(run_on_ray(cells(tmp_path, [(0, 0, 16, 16)], photo), "auto"))
