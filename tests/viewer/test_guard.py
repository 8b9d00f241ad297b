"""The page's server, asked by real requests: its own page works, and nothing else is answered."""

from __future__ import annotations

import contextlib
import http
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import viser
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from gainer_ns.errors import GainerError
from gainer_ns.viewer.guard import Guard, guard, host_name, is_own_address

Ask = Callable[..., tuple[int, bytes]]


def free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def started(host: str = "127.0.0.1") -> viser.ViserServer:
    """A server; viser looks at all processes when it starts, and may ask about one that has just ended."""
    for _ in range(20):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return viser.ViserServer(host, free_port(host), verbose=False)
    pytest.fail("processes end faster than viser can look at them")


@pytest.fixture(scope="module")
def server() -> Iterator[viser.ViserServer]:
    running = started("0.0.0.0")
    guard(running)
    yield running
    running.stop()


def asked(port: int, target: str, *lines: str, address: str = "127.0.0.1") -> tuple[int, bytes]:
    """Status and whole answer to a request whose every byte is said here."""
    with socket.create_connection((address, port), 20) as wire:
        wire.sendall("\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""]).encode())
        with wire.makefile("rb") as file:
            answer = file.read()
    return int(answer.split(b" ", 2)[1]), answer


@pytest.fixture
def ask(server: viser.ViserServer) -> Ask:
    """``ask(target, *headers)`` by a host that is right where none is named; {port} stands for the port."""

    def do(target: str, *lines: str) -> tuple[int, bytes]:
        port = server.get_port()
        lines = tuple(line.format(port=port) for line in lines)
        host = () if any(line.startswith("Host") for line in lines) else (f"Host: 127.0.0.1:{port}",)
        return asked(port, target, *host, *lines)

    return do


UP = 30
OUTSIDE = [
    *("/" + step * UP + "etc/passwd" for step in ("../", "..%2f", "%2e%2e/", "%2E%2e%2F", ".%2e/", "..\\", "..%5c")),
    *("/" + step * UP + "etc/passwd" for step in ("%252e%252e/", "..%252f", "..%c0%af", "..;/", "./../", "..//", "..")),
    "/assets/" + "../" * UP + "etc/passwd",
    "/index.html/" + "../" * UP + "etc/passwd",
    "//etc/passwd",
    "///etc/passwd",
    "/%2fetc/passwd",
    "/etc/passwd",
    "etc/passwd",
    "../" * UP + "etc/passwd",
    "http://127.0.0.1/" + "../" * UP + "etc/passwd",
    "file:///etc/passwd",
    "/" + "../" * UP + "etc/passwd%00.html",
    "/" + "../" * UP + "etc/passwd?index.html",
    "/..%3f",
    "/C:/etc/passwd",
    "/" + "../" * UP + "proc/self/environ",
]
"""Ways out of the folder of the page."""


@pytest.mark.parametrize("target", OUTSIDE)
def test_no_way_leads_out_of_the_folder_of_the_page(ask: Ask, target: str) -> None:
    status, answer = ask(target)
    assert status == http.HTTPStatus.NOT_FOUND and answer.endswith(b"404\n")


def test_folders_are_no_files(ask: Ask) -> None:
    for target in ("/assets", "/assets/", "/..", "/.", "/?", "*"):
        status, answer = ask(target)
        assert status == (200 if target == "/?" else 404), answer[:200]


@pytest.mark.parametrize("upgrade", ["h2c", "WebSocket", "websocket, h2c", "websockets"])
def test_what_is_no_websocket_is_a_request_for_a_file(ask: Ask, upgrade: str) -> None:
    """viser sends files to whatever is not exactly a websocket."""
    for target in OUTSIDE[:3]:
        status, answer = ask(target, "Host: 127.0.0.1:{port}", "Connection: Upgrade", f"Upgrade: {upgrade}")
        assert status == 404 and answer.endswith(b"404\n")


def test_codes_stand_for_letters(tmp_path: Path) -> None:
    (tmp_path / "a b.js").touch()
    guarded = Guard(tmp_path, set)
    assert guarded.file("/a%20b.js#c") == "/a b.js"
    assert guarded.file("/a%20b.js%00") is None and guarded.file("/a%2520b.js") is None


def test_addresses_of_this_machine() -> None:
    for name in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert is_own_address(name)
    for name in ("8.8.8.8", "::ffff:8.8.8.8", "localhost", "0.0.0.0", "127.0.0.1.nip.io", ""):
        assert not is_own_address(name)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "build"
    root.mkdir()
    (tmp_path / "secret").write_text("it")
    (root / "page").write_text("page")
    (root / "within").symlink_to(root / "page")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "away").symlink_to(tmp_path)
    guarded = Guard(root, set)
    assert [guarded.file(target) for target in ("/page?a=/../b", "/within", "/out", "/away/secret")] == [
        "/page",
        "/within",
        None,
        None,
    ]


def test_every_file_of_the_page_is_still_sent(server: viser.ViserServer, ask: Ask) -> None:
    root = Path(viser.__file__).parent / "client" / "build"
    files = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert len(files) > 5
    for path in files:
        status, answer = ask(f"/{path.relative_to(root).as_posix()}?v=1".replace(" ", "%20"))
        assert status == 200 and answer.endswith(b"\r\n\r\n" + path.read_bytes())
    assert ask("/")[1].endswith((root / "index.html").read_bytes())


HOSTS = [
    "127.0.0.1:{port}",
    "localhost:{port}",
    "LOCALHOST:{port}",
    "localhost",
    "localhost:9000",
    "[::1]:{port}",
    "127.0.0.2",
]
"""What this server is known by; another port is one that ssh -L forwards."""
FOREIGN = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example",
    "127.0.0.1.nip.io:{port}",
    "8.8.8.8:{port}",
    "",
]
FOREIGN += ["localhost@evil.example", "evil.example#localhost", "0.0.0.0:{port}", "localhost:x"]
"""What it is not."""
OTHERS = [
    "http://evil.example",
    "https://evil.example:{port}",
    "null",
    "http://127.0.0.1:1",
    "file://",
    "http://localhost",
]
OTHERS += [
    "http://127.0.0.1.evil.example:{port}",
    "http://127.0.0.1@evil.example:{port}",
    "ftp://127.0.0.1:{port}",
    "x",
]
"""Pages that are not its own."""


def test_it_answers_by_its_own_names_only(ask: Ask) -> None:
    own = [
        each.address
        for interface in psutil.net_if_addrs().values()
        for each in interface
        if each.family == socket.AF_INET
    ]
    for host in [*HOSTS, socket.gethostname(), *own]:
        assert ask("/", f"Host: {host}")[0] == 200, host
        assert ask("/", f"Host: {host}", f"Origin: http://{host}")[0] == 200, host
    for host in FOREIGN:
        assert ask("/", f"Host: {host}")[0] == 403, host
        assert ask("/", f"Host: {host}", f"Origin: http://{host}")[0] == 403, host
    assert ask("/", "Host: localhost", "Host: evil.example")[0] == 403


def test_no_host_is_none_of_its_names(server: viser.ViserServer) -> None:
    assert asked(server.get_port(), "/")[0] == 403


def test_pages_of_other_sites_are_refused(ask: Ask) -> None:
    for origin in OTHERS:
        assert ask("/", f"Origin: {origin}")[0] == 403, origin
    assert ask("/", "Origin: http://127.0.0.1:{port}", "Origin: http://evil.example")[0] == 403
    assert ask("/", "Origin: http://127.0.0.1:{port}")[0] == 200
    assert ask("/", "Host: localhost", "Origin: https://localhost")[0] == 200, "another program may end TLS"
    assert ask("/", "Host: localhost:443", "Origin: https://localhost")[0] == 200
    assert ask("/", "Host: localhost:443", "Origin: http://localhost")[0] == 403


def websocket(port: int, host: str, origin: str | None) -> Any:
    sock = socket.create_connection(("127.0.0.1", port), 20)
    with sock, connect(f"ws://{host}/", sock=sock, origin=origin) as page:  # pyright: ignore[reportArgumentType]
        return page.recv(20)


def test_websockets_open_for_its_own_page_only(server: viser.ViserServer) -> None:
    port = server.get_port()
    for host, origin in [
        (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"),
        (f"127.0.0.1:{port}", None),
        ("localhost:9000", "http://localhost:9000"),
        (f"[::1]:{port}", f"http://[::1]:{port}"),
    ]:
        assert websocket(port, host, origin)
    own = f"127.0.0.1:{port}"
    refused = [(own, origin.format(port=port)) for origin in OTHERS]
    refused += [(f"evil.example:{port}", None), (f"evil.example:{port}", f"http://evil.example:{port}")]
    for host, origin in refused:
        with pytest.raises(InvalidStatus) as failed:
            websocket(port, host, origin)
        assert failed.value.response.status_code == 403, (host, origin)


def test_a_websocket_that_is_told_otherwise_opens_nothing(ask: Ask) -> None:
    words = ["Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13"]
    for upgrade in ("websocket", "WebSocket", "h2c, websocket"):
        status, _ = ask("/", *words, f"Upgrade: {upgrade}", "Origin: http://evil.example")
        assert status == 403


def test_it_is_guarded_by_ipv6_as_well() -> None:
    try:
        running = started("::1")
    except OSError:
        pytest.skip("needs IPv6")
    port = running.get_port()
    guard(running)
    for target, host, status in [("/", f"[::1]:{port}", 200), ("/", "x.example", 403), (OUTSIDE[0], "[::1]", 404)]:
        assert asked(port, target, f"Host: {host}", address="::1")[0] == status
    running.stop()


def drain(page: Any) -> None:
    while True:
        page.recv(20)


def test_pages_that_came_before_the_guard_are_closed_if_they_are_others() -> None:
    running = started()
    own = f"127.0.0.1:{running.get_port()}"
    silent = socket.create_connection(("127.0.0.1", running.get_port()), 20)
    with connect(f"ws://{own}", origin=f"http://{own}") as page, connect(f"ws://{own}", origin="http://x.y") as other:  # pyright: ignore[reportArgumentType]
        assert page.recv(20) and other.recv(20)
        guard(running)
        with pytest.raises(ConnectionClosed):
            drain(other)
        running.gui.add_markdown("still there")
        assert page.recv(20)
        page.ping().wait(20)
    with silent:
        silent.sendall(f"GET {OUTSIDE[0]} HTTP/1.1\r\nHost: {own}\r\n\r\n".encode())
        assert silent.makefile("rb").readline().split()[1] == b"404"
    running.stop()


def breaks_root(server: viser.ViserServer) -> None:
    del server._websock_server._http_server_root


def breaks_hook(server: viser.ViserServer) -> None:
    """A websockets whose connections are registered in another way."""

    class Other:
        def __init__(self, inner: Any) -> None:
            self.sockets, self.websockets, self.close = inner.sockets, set(), inner.close

        def register(self, connection: Any) -> None: ...

    server._websock_server._ws_server = Other(server._websock_server._ws_server)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("broken", [breaks_root, breaks_hook])
def test_a_server_that_cannot_be_guarded_is_stopped(broken: Callable[[viser.ViserServer], None]) -> None:
    running = started()
    port = running.get_port()
    broken(running)
    with pytest.raises(GainerError, match="cannot be guarded") as refused:
        guard(running)
    assert "\n" not in str(refused.value)
    with pytest.raises(ConnectionError):
        asked(port, "/", "Host: 127.0.0.1")


@pytest.mark.parametrize(
    ("header", "name"),
    [("A.Example:80", "a.example"), ("[::1]:80", "::1"), ("localhost.", "localhost"), ("", None), ("a b", None)]
    + [("[::1", None), ("a/b", None), ("a:b", None), ("u@h", None), (":80", None)],
)
def test_the_name_in_a_host_header(header: str, name: str | None) -> None:
    assert host_name(header) == name
