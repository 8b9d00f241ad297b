import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

Refusal = Callable[..., str]
CONTENT = np.random.default_rng(0).bytes(10_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def archive(shop: Any) -> Any:
    from fetching import Archive

    shop.content = CONTENT
    return Archive("things.zip", (shop.url(),), "free", "http://example.org", len(CONTENT), SHA256)


def fetch(archive: Any, folder: Path) -> Path:
    from fetching import fetch

    return fetch(archive, folder)


def changed(archive: Any, **what: Any) -> Any:
    from dataclasses import replace

    return replace(archive, **what)


def test_a_download_is_what_was_published(archive: Any, tmp_path: Path) -> None:
    path = fetch(archive, tmp_path / "new" / "folder")
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["things.zip"]


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_both_kinds_of_checksums_are_known(archive: Any, tmp_path: Path, algorithm: str) -> None:
    checksum = f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"
    assert fetch(changed(archive, checksum=checksum, size=None), tmp_path).read_bytes() == CONTENT


def test_what_is_there_is_checked_and_not_fetched_again(archive: Any, shop: Any, tmp_path: Path) -> None:
    fetch(archive, tmp_path)
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert len(shop.asked) == 1


def test_after_a_cut_it_goes_on_where_it_was(archive: Any, shop: Any, tmp_path: Path) -> None:
    shop.cut = [3000, 2000]
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert shop.asked == ["", "bytes=3000-", "bytes=5000-"]


def test_the_next_run_goes_on_too(archive: Any, shop: Any, refusal: Refusal, tmp_path: Path) -> None:
    shop.cut = [4000, 0, 0]
    assert "run this again to go on" in refusal(fetch, archive, tmp_path)
    assert (tmp_path / "things.zip.part").stat().st_size == 4000
    assert not (tmp_path / "things.zip").exists()
    shop.asked.clear()
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert shop.asked == ["bytes=4000-"]
    assert [file.name for file in tmp_path.iterdir()] == ["things.zip"]


def test_a_server_without_ranges_starts_anew(archive: Any, shop: Any, tmp_path: Path) -> None:
    shop.cut, shop.knows_ranges = [3000], False
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert shop.asked == ["", "bytes=3000-"]


def test_a_file_that_changed_meanwhile_starts_anew(archive: Any, shop: Any, refusal: Refusal, tmp_path: Path) -> None:
    shop.content = CONTENT[::-1]
    shop.cut = [4000, 0, 0]
    refusal(fetch, archive, tmp_path)
    shop.content = CONTENT
    assert fetch(archive, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("extra", [0, 500])
def test_a_part_that_is_complete_or_too_long(archive: Any, tmp_path: Path, extra: int) -> None:
    (tmp_path / "things.zip.part").write_bytes(CONTENT + bytes(extra))
    assert fetch(archive, tmp_path).read_bytes() == CONTENT


def test_other_content_is_removed_and_refused(archive: Any, shop: Any, refusal: Refusal, tmp_path: Path) -> None:
    shop.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    said = refusal(fetch, archive, tmp_path)
    assert "sha256" in said and SHA256.removeprefix("sha256:") in said and "removed" in said
    assert not list(tmp_path.iterdir())


def test_another_size_is_refused_before_it_comes(archive: Any, shop: Any, refusal: Refusal, tmp_path: Path) -> None:
    shop.content = CONTENT * 2
    assert "20000 bytes" in refusal(fetch, archive, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_rots_is_noticed(archive: Any, refusal: Refusal, tmp_path: Path) -> None:
    fetch(archive, tmp_path).write_bytes(bytes(len(CONTENT)))
    assert "sha256" in refusal(fetch, archive, tmp_path)
    assert fetch(archive, tmp_path).read_bytes() == CONTENT


def test_without_a_published_checksum_the_first_one_counts(archive: Any, refusal: Refusal, tmp_path: Path) -> None:
    archive = changed(archive, checksum=None, size=None)
    path = fetch(archive, tmp_path)
    assert (tmp_path / "things.zip.sha256").read_text() == f"{SHA256.removeprefix('sha256:')}  things.zip\n"
    fetch(archive, tmp_path)
    path.write_bytes(b"other")
    assert "recorded" in refusal(fetch, archive, tmp_path)


def test_mirrors_are_tried_in_turn(archive: Any, shop: Any, tmp_path: Path) -> None:
    archive = changed(archive, urls=(shop.url("missing.zip"), shop.url()))
    assert fetch(archive, tmp_path).read_bytes() == CONTENT


def test_what_the_server_says_no_to(archive: Any, shop: Any, refusal: Refusal, tmp_path: Path) -> None:
    said = refusal(fetch, changed(archive, urls=(shop.url("missing.zip"),)), tmp_path)
    assert "404" in said and "http://example.org" in said and "--archive" in said
    assert len(shop.asked) == 1, "asking again would not help"


def test_a_web_page_is_no_archive(archive: Any, shop: Any, refusal: Refusal, tmp_path: Path) -> None:
    shop.kind = "text/html; charset=utf-8"
    assert "web page" in refusal(fetch, archive, tmp_path)


def test_no_network_is_one_line(archive: Any, refusal: Refusal, tmp_path: Path) -> None:
    said = refusal(fetch, changed(archive, urls=("http://127.0.0.1:1/things.zip",)), tmp_path)
    assert "no connection" in said and "--archive" in said


def test_a_full_disk_is_said_before_it_is_filled(
    archive: Any, refusal: Refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    assert "free some space" in refusal(fetch, archive, tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(archive: Any, refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in refusal(fetch, archive, tmp_path / "file" / "folder")
