"""What is free for a process, by the groups it is in; each file system here is made up."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from gainer_ns import memory
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture
from gainer_ns.memory import check_free, free_memory

MIB = 1 << 20
NO_LIMIT = 9223372036854771712


def put(root: Path, files: dict[str, object]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def version_2(root: Path, group: str, limit: object, used: int, dropped: int = 0) -> None:
    folder = f"sys/fs/cgroup/{group}".rstrip("/")
    stat = f"anon {used}\ninactive_file {dropped}\nactive_file 7"
    put(root, {f"{folder}/memory.max": limit, f"{folder}/memory.current": used, f"{folder}/memory.stat": stat})


def version_1(root: Path, group: str, limit: object, used: int, dropped: int = 0) -> None:
    folder = f"sys/fs/cgroup/memory/{group}".rstrip("/")
    put(root, {f"{folder}/memory.limit_in_bytes": limit, f"{folder}/memory.usage_in_bytes": used})
    put(root, {f"{folder}/memory.stat": f"inactive_file 3\ntotal_inactive_file {dropped}"})


def test_without_groups_the_machine_tells(tmp_path: Path) -> None:
    assert 0 < free_memory(tmp_path) <= psutil.virtual_memory().total
    put(tmp_path, {"proc/self/cgroup": "0::/a"})
    version_2(tmp_path, "a", "max", 5 * MIB)
    assert free_memory(tmp_path) > 5 * MIB


@pytest.mark.parametrize("group", ["", "user.slice/app.scope"])
def test_the_limit_of_version_2(tmp_path: Path, group: str) -> None:
    put(tmp_path, {"proc/self/cgroup": f"0::/{group}"})
    version_2(tmp_path, group, 64 * MIB, 40 * MIB, 10 * MIB)
    assert free_memory(tmp_path) == 34 * MIB


def test_the_tightest_of_nested_groups_counts(tmp_path: Path) -> None:
    put(tmp_path, {"proc/self/cgroup": "0::/a/b/c"})
    version_2(tmp_path, "a", 50 * MIB, 49 * MIB)
    version_2(tmp_path, "a/b", "max", 30 * MIB)
    version_2(tmp_path, "a/b/c", 40 * MIB, 20 * MIB)
    assert free_memory(tmp_path) == MIB


@pytest.mark.parametrize("place", ["/docker/0123", "/"], ids=["of the host", "of its own"])
def test_the_limit_of_version_1(tmp_path: Path, place: str) -> None:
    lines = f"12:pids:{place}\n5:cpu,memory:{place}\n1:name=systemd:/x\n0::/y"
    put(tmp_path, {"proc/self/cgroup": lines})
    version_1(tmp_path, "", 32 * MIB, 30 * MIB, 4 * MIB)  # a container sees only its own group, at the top
    assert free_memory(tmp_path) == 6 * MIB


def test_both_versions_together(tmp_path: Path) -> None:
    """Some systems have version 2 beside version 1, without its limits or with them."""
    put(tmp_path, {"proc/self/cgroup": "5:memory:/a\n0::/a"})
    version_1(tmp_path, "a", 60 * MIB, 40 * MIB)
    version_2(tmp_path, "unified/a", 50 * MIB, 40 * MIB)
    assert free_memory(tmp_path) == 10 * MIB


def test_a_group_told_from_elsewhere_is_found(tmp_path: Path) -> None:
    """Of a process that came from outside of its container the way begins above the container's own group."""
    put(tmp_path, {"proc/self/cgroup": "0::/../../a"})
    version_2(tmp_path, "a", 64 * MIB, 40 * MIB)
    assert free_memory(tmp_path) == 24 * MIB


def test_more_can_be_dropped_than_is_used(tmp_path: Path) -> None:
    """The kernel counts the two at different times; no more than the limit is free."""
    put(tmp_path, {"proc/self/cgroup": "0::/"})
    version_2(tmp_path, "", 64 * MIB, 10 * MIB, 20 * MIB)
    assert free_memory(tmp_path) == 64 * MIB


def test_no_limit_of_version_1_is_a_huge_number(tmp_path: Path) -> None:
    put(tmp_path, {"proc/self/cgroup": "5:memory:/"})
    version_1(tmp_path, "", NO_LIMIT, 30 * MIB)
    assert 30 * MIB < free_memory(tmp_path) <= psutil.virtual_memory().total


def test_what_is_used_beyond_the_limit_leaves_nothing(tmp_path: Path) -> None:
    put(tmp_path, {"proc/self/cgroup": "0::/"})
    version_2(tmp_path, "", MIB, 2 * MIB)
    assert free_memory(tmp_path) == 0


def test_odd_files_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, {"proc/self/cgroup": "nonsense\n\n0::/../../a\n3:memory"})
    put(tmp_path, {"sys/fs/cgroup/memory.max": "many", "sys/fs/cgroup/a/memory.max": "5"})
    assert free_memory(tmp_path) > 5


def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, {"proc/self/cgroup": "0::/"})
    version_2(tmp_path, "", 64 * MIB, 40 * MIB)
    monkeypatch.setattr(memory, "ROOT", tmp_path)
    check_free(24 * MIB, "a thing", "buy more")
    with pytest.raises(GainerError) as caught:
        check_free(3 << 30, "a thing", "buy more")
    assert str(caught.value) == "a thing takes about 3.0 GiB of memory, 24.0 MiB are free; buy more"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process's address space are Linux's here")
def test_a_process_under_a_limit_refuses_before_it_fails() -> None:
    program = """
import resource, psutil
from gainer_ns.memory import check_free, free_memory
limit = psutil.Process().memory_info().vms + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
assert 32 << 20 < free_memory() <= 64 << 20
try:
    bytearray(128 << 20)
except MemoryError:
    print("it would have failed", flush=True)
check_free(128 << 20, "a thing", "ask for less")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 1 and done.stdout == "it would have failed\n"
    assert "GainerError: a thing takes about 0.1 GiB of memory, " in done.stderr.splitlines()[-1]


def test_a_small_file_of_a_large_picture_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (4000, 3000)).save(tmp_path / "large.png")
    Image.new("1", (40, 30)).save(tmp_path / "small.png")
    assert (tmp_path / "large.png").stat().st_size < 5000
    put(tmp_path, {"proc/self/cgroup": "0::/"})
    version_2(tmp_path, "", 64 * MIB, 34 * MIB)
    monkeypatch.setattr(memory, "ROOT", tmp_path)
    assert read_picture(tmp_path / "small.png").width == 40
    with pytest.raises(GainerError, match=r"large\.png: reading it takes about 91\.6 MiB of memory, 30\.0 MiB are"):
        read_picture(tmp_path / "large.png")
