"""What the tests of the scripts share: their folder on the path, and a file server that can misbehave."""

import hashlib
import http.server
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "data_scripts"))  # as for the scripts, which import one another


@dataclass
class Shop:
    """A file server on this machine.

    Attributes:
        content: What it serves under any name but missing.zip.
        files: What it serves under certain names instead.
        cut: How many bytes of each of the next answers it sends before it hangs up.
        knows_ranges: Whether it can go on in the middle.
        asked: The Range header of each request, or "".
    """

    content: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    knows_ranges: bool = True
    kind: str = "application/zip"
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def url(self, name: str = "things.zip") -> str:
        return f"{self.address}/{name}"


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            shop.asked.append(wanted)
            if self.path == "/missing.zip":
                self.send_error(404)
                return
            content = shop.files.get(self.path.removeprefix("/"), shop.content)
            etag = f'"{hashlib.md5(content).hexdigest()}"'
            first, total = 0, len(content)
            same = self.headers.get("If-Range", etag) == etag
            if wanted and shop.knows_ranges and same:
                first = int(wanted.removeprefix("bytes=").rstrip("-"))
                if first >= total:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{total}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
            else:
                self.send_response(200)
            self.send_header("Content-Type", shop.kind)
            self.send_header("Content-Length", str(total - first))
            self.send_header("ETag", etag)
            self.end_headers()
            body = content[first:]
            self.wfile.write(body[: shop.cut.pop(0)] if shop.cut else body)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    shop.address = f"http://127.0.0.1:{server.server_port}"
    yield shop
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    import fetching

    monkeypatch.setattr(fetching, "PATIENCE", (0.0, 0.0))
    monkeypatch.setattr(fetching, "BLOCK", 1000)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Calls something that must refuse, and returns what it says: always one line."""
    from gainer_ns.errors import GainerError

    def run(call: Callable[..., object], *args: object) -> str:
        with pytest.raises(GainerError) as refused:
            call(*args)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    return run
