"""Which requests the viewer's server answers: its own page's, and none that leaves the folder of the page."""

from __future__ import annotations

import contextlib
import http
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psutil
import viser

from gainer_ns.errors import GainerError

HttpAnswer = tuple[http.HTTPStatus, Mapping[str, str], bytes]
"""What HTTP is answered with: status, headers and body."""
_NAME = re.compile(r"[\w-][\w .,()@+-]*", re.ASCII)
"""What files and folders of the page are called; nothing that could mean anything else."""
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a server that listens on all networks is found on this machine."""
_PROBE_SECONDS = 10.0
"""Seconds that the server may take to refuse the request that proves the guard."""


class Guard:
    """Says which requests are refused.

    Args:
        root: The folder of the page's files.
        names: The names, beside this machine's own addresses, by which the server is known, in lower case; asked for
            at each request, since one may be given to it later.
    """

    def __init__(self, root: Path, names: Callable[[], set[str]]) -> None:
        self._root, self._names = root.resolve(), names

    def refusal(self, headers: Any) -> str | None:
        """Return what is wrong with where a request comes from, or None.

        A page of another site is told by its Origin, which browsers send with each websocket; one whose name was made
        to mean this machine (DNS rebinding) by the Host that it asks for. Programs send no Origin.

        Args:
            headers: Of the request, as websockets reads them.
        """
        hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
        name = host_name(hosts[0]) if len(hosts) == 1 else None
        if name is None or not self._is_known(name):
            return "this viewer is not known by the host that was asked for; open the address that it printed"
        if origins and (len(origins) > 1 or not _is_of_host(origins[0], hosts[0])):
            return "pages of other sites may not use this viewer"
        return None

    def file(self, target: str) -> str | None:
        """Return the page's file that a request means, as a path from the root of the page, or None.

        Args:
            target: Of the request line: with what follows ? or #, and with % before codes.
        """
        path = unquote(re.split(r"[?#]", target, maxsplit=1)[0])
        names = path.removeprefix("/").split("/") if path != "/" else ["index.html"]
        if not path.startswith("/") or not all(map(_NAME.fullmatch, names)):
            return None
        found = self._root.joinpath(*names).resolve()  # with links followed
        return f"/{'/'.join(names)}" if found.is_relative_to(self._root) and found.is_file() else None

    def _is_known(self, name: str) -> bool:
        return name in self._names() or is_own_address(name)


def host_name(host: str) -> str | None:
    """Return the name or address of a Host header, in lower case, without port or brackets; None where it is none."""
    if not host or re.search(r"[\s/\\@?#%]", host):
        return None
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 (raises where it is none)
        return (parts.hostname or "").rstrip(".") or None
    except ValueError:
        return None


def is_own_address(name: str) -> bool:
    """Return whether a text is the number of an address of this machine."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    own = {one.address.partition("%")[0] for each in psutil.net_if_addrs().values() for one in each}
    return address.is_loopback or str(address) in own


def _is_of_host(origin: str, host: str) -> bool:
    """Return whether a page's origin is the server that it asks, port included, or TLS that ends before it."""
    try:
        site, asked = urlsplit(origin.lower()), urlsplit(f"//{host.lower()}")
        usual = {"http": 80, "https": 443}[site.scheme]
        return (site.hostname, site.port or usual) == (asked.hostname, asked.port or usual)
    except (KeyError, ValueError):
        return False


def guard(server: viser.ViserServer) -> None:
    """Guard a server that runs.

    websockets tells its server object of each connection before anything is read from it (``register``); there the
    connection's own ``process_request``, the hook by which viser sends its page, gets the guard before it. Pages that
    came earlier and would have been refused are closed.

    Raises:
        GainerError: viser or websockets work in another way than this one knows; the server is stopped.
    """
    try:
        inner: Any = server._websock_server
        connections: Any = inner._ws_server
        guarded = Guard(Path(inner._http_server_root), lambda: _names(server))
        register: Callable[[Any], None] = connections.register

        def guarded_register(connection: Any) -> None:
            connection.process_request = _guarded(guarded, connection.process_request)
            register(connection)

        connections.register = guarded_register
        for connection in tuple(connections.websockets):
            connection.process_request = _guarded(guarded, connection.process_request)
            headers = getattr(connection, "request_headers", None)  # None: it will be asked
            if headers is not None and guarded.refusal(headers) is not None:
                connection.loop.call_soon_threadsafe(connection.transport.abort)
        for address in _addresses(connections):
            _prove(address)
    except (AttributeError, TypeError, ValueError, OSError) as error:
        with contextlib.suppress(Exception):  # what raises here ends the program, if nothing else does
            server.stop()
            server.flush()  # wakes the server's thread, which would not look otherwise
        raise GainerError(
            f"the viewer was stopped, since its server cannot be guarded against other sites ({error}); install viser "
            "0.2.7 and a websockets that works with it"
        ) from error


def _guarded(guarded: Guard, process: Callable[[str, Any], Awaitable[HttpAnswer | None]]) -> Any:
    """Return what answers requests, with None for a websocket that may open."""

    async def process_request(target: str, headers: Any) -> HttpAnswer | None:
        refusal = guarded.refusal(headers)
        if refusal is not None:
            return http.HTTPStatus.FORBIDDEN, {}, f"{refusal}\n".encode()
        if headers.get_all("Upgrade") == ["websocket"]:  # as viser tells them from requests for files
            return await process(target, headers)
        path = guarded.file(target)
        return (http.HTTPStatus.NOT_FOUND, {}, b"404\n") if path is None else await process(path, headers)

    return process_request


def _names(server: viser.ViserServer) -> set[str]:
    """Return the names of this machine, of what it was told to listen on, and of viser's tunnel, if there is one."""
    names = {"localhost", socket.gethostname().lower(), server.get_host().lower()} - set(_EVERYWHERE)
    tunnel = server._share_tunnel
    shared = urlsplit(tunnel.get_url() or "").hostname if tunnel is not None else None
    return names | {shared} if shared else names


def _addresses(connections: Any) -> Iterator[tuple[str, int]]:
    """Yield where the server is found on this machine."""
    for listening in connections.sockets:
        host, port = listening.getsockname()[:2]
        yield _EVERYWHERE.get(str(host), str(host)), int(port)


def _prove(address: tuple[str, int]) -> None:
    """Ask the server for its page by another site's name; raise ValueError unless that is refused."""
    with socket.create_connection(address, _PROBE_SECONDS) as asking:
        asking.sendall(b"GET / HTTP/1.1\r\nHost: another.invalid\r\n\r\n")
        with asking.makefile("rb") as answer:
            status = answer.readline(256)
    if b" 403 " not in status:
        raise ValueError(f"another site's request is answered {status.decode('latin-1').strip() or 'nothing'}")
