"""Fetches a published archive: says what comes, goes on where a broken download stopped, and checks what came.

No package that is installed anyway does all of it: huggingface_hub knows one site, and gdown another.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file

BLOCK = 1 << 18
"""Bytes that are written at a time."""
PATIENCE = (1.0, 4.0, 15.0)
"""Seconds to wait after each failure in a row before the next try; after the last, one gives up."""
TIMEOUT = (10.0, 60.0)
"""Seconds without an answer, and without data, that count as failure."""

CONSOLE = Console(soft_wrap=True)


@dataclass(frozen=True)
class Archive:
    """A published archive.

    Attributes:
        name: What its file is called here.
        urls: Where it is to be had; tried in this order.
        terms: Under which it may be used, in a line.
        page: Where people find it, should no URL answer.
        size: In bytes; None where it is not published.
        checksum: Its algorithm and hexadecimal digest, "sha256:..." or "md5:..."; None where none is published.
        by_hand: What to do with a file that was downloaded by hand.
    """

    name: str
    urls: tuple[str, ...]
    terms: str
    page: str
    size: int | None = None
    checksum: str | None = None
    by_hand: str = "name it with --archive"

    def announce(self, folder: Path) -> None:
        """Says what will be downloaded."""
        size = "size not published" if self.size is None else f"{self.size / 1e9:.2f} GB"
        check = "none published: recorded at the first download" if self.checksum is None else self.checksum
        announce(f"{self.urls[0]} ({size})", folder / self.name, check, self.terms, self.page)


def announce(download: str, target: Path, checksum: str, terms: str, page: str) -> None:
    """Says what will be downloaded, where to, and under which terms."""
    for label, text in (
        ("Download", download),
        ("To", str(target)),
        ("Checksum", checksum),
        ("Terms", terms),
        ("Page", page),
    ):
        CONSOLE.print(f"{label + ':':10}{text}", markup=False, highlight=False)


def fetch(archive: Archive, folder: Path) -> Path:
    """Downloads an archive, unless it is there already.

    A download that breaks off leaves NAME.part, from which the next one goes on. What has come is compared with the
    published checksum; where there is none, its SHA-256 is recorded in NAME.sha256 for the next time.

    Args:
        archive: What to download.
        folder: Where to; made if it is missing.

    Returns:
        The file.

    Raises:
        GainerError: It cannot be had, does not fit on the disk, or is not what was published.
    """
    target = folder / archive.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not target.is_file():
            part = _fetched_part(archive, folder)
            _check(part, archive, recorded=None)
            part.replace(target)
            _notes_of(part).unlink(missing_ok=True)
            if archive.checksum is None:
                _record(target)
        else:
            CONSOLE.print(f"{target}: is here already", markup=False)
            _check(target, archive, recorded=_recorded(target))
    except OSError as error:
        raise GainerError(
            f"{target}: cannot be written ({error.strerror or error}); choose another --output"
        ) from error
    return target


def _fetched_part(archive: Archive, folder: Path) -> Path:
    """The complete download, from the first URL that gives it."""
    part = folder / f"{archive.name}.part"
    failure = None
    for url in archive.urls:
        try:
            _download(url, part, archive)
        except requests.RequestException as error:
            failure = GainerError(
                f"{url}: cannot be fetched ({_reason(error)}); run this again to go on, or download it by hand from "
                f"{archive.page} and {archive.by_hand}"
            )
        else:
            return part
    raise failure or ValueError("an archive needs at least one URL")


def _download(url: str, part: Path, archive: Archive) -> None:
    """Appends to the part until it is complete; tries again while anything more comes.

    Raises:
        requests.RequestException: The server refuses, or nothing comes any more.
    """
    failures = 0
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=CONSOLE,
    ) as progress:
        task = progress.add_task(archive.name, total=archive.size)
        while True:
            before = _length(part)
            try:
                _append(url, part, archive, lambda done, total: progress.update(task, completed=done, total=total))
            except requests.HTTPError:
                raise
            except requests.RequestException:
                failures = 1 if _length(part) > before else failures + 1
                if failures > len(PATIENCE):
                    raise
                time.sleep(PATIENCE[failures - 1])
            else:
                return


def _append(url: str, part: Path, archive: Archive, advance: Callable[[int, int | None], None]) -> None:
    """One request for what is missing of the part.

    Args:
        url: Where from.
        part: What has come so far.
        archive: What should come.
        advance: Called with the bytes that are there, and with all, if the server says.

    Raises:
        requests.HTTPError: The server refuses, or offers something else; trying again is of no use.
        requests.RequestException: The connection broke off.
    """
    have = _length(part)
    notes = _read_notes(part)
    headers = {"Accept-Encoding": "identity", "User-Agent": "gainer_ns data scripts"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if notes.get("url") == url and notes.get("etag"):
            headers["If-Range"] = notes["etag"]  # or else the whole of a file that has changed since
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            total = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
            if total and int(total[1]) == have:
                return
            part.unlink()  # longer than the file: of another one
            raise requests.ConnectionError("the server's file is another one than the one begun")
        answer.raise_for_status()
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise requests.HTTPError("a web page came instead of the file")
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        resumed = answer.status_code == requests.codes.partial_content and span is not None and int(span[1]) == have
        have = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = int(span[2]) if resumed and span else None if length is None else int(length)
        if archive.size is not None and total is not None and total != archive.size:
            raise requests.HTTPError(f"the file has {total} bytes there, and {archive.size} were published")
        _check_space(part, (total or archive.size or have) - have)
        etag = answer.headers.get("ETag", "")
        _write_notes(part, {"url": url, "etag": "" if etag.startswith("W/") else etag})
        with part.open("ab" if resumed else "wb") as file:
            for block in answer.iter_content(BLOCK):
                file.write(block)
                have += len(block)
                advance(have, total)
    if total is not None and have != total:
        raise requests.ConnectionError(f"broke off after {have} of {total} bytes")


def _check(path: Path, archive: Archive, recorded: str | None) -> None:
    """Compares a file with its checksum; a file that differs is removed, since nothing can be added to mend it."""
    wanted = archive.checksum or recorded
    if archive.size is not None and path.stat().st_size != archive.size:
        wrong = f"has {path.stat().st_size} bytes, and {archive.size} were published"
    elif wanted is None:
        return
    else:
        algorithm, _, digest = wanted.partition(":")
        found = digest_of(path, algorithm)
        if found == digest:
            return
        wrong = f"its {algorithm} is {found}, and {digest} was {'published' if archive.checksum else 'recorded'}"
    path.unlink()
    _notes_of(path).unlink(missing_ok=True)
    raise GainerError(f"{path}: {wrong}; it was removed: run this again, or name another source with --url")


def digest_of(path: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _record(path: Path) -> None:
    """Writes down the SHA-256 of what has no published checksum."""
    digest = digest_of(path, "sha256")
    with whole_file(path.with_name(f"{path.name}.sha256")) as file:
        file.write(f"{digest}  {path.name}\n".encode())
    CONSOLE.print(f"No checksum is published for {path.name}; recorded sha256:{digest}", markup=False)


def _recorded(path: Path) -> str | None:
    try:
        return f"sha256:{path.with_name(f'{path.name}.sha256').read_text().split()[0]}"
    except (OSError, IndexError, UnicodeDecodeError):
        return None


def _notes_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_notes(part: Path) -> dict[str, str]:
    try:
        notes = json.loads(_notes_of(part).read_text())
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _write_notes(part: Path, notes: dict[str, str]) -> None:
    _notes_of(part).write_text(json.dumps(notes))


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _check_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise GainerError(
            f"{part.parent}: {needed / 1e9:.1f} GB are still to come and {free / 1e9:.1f} GB are free; "
            "free some space, or choose another --output"
        )


def _reason(error: requests.RequestException) -> str:
    """What went wrong, in a few words."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, requests.ConnectionError) and "broke off" not in str(error):
        return "no connection"
    return " ".join(str(error).split())[:200]
