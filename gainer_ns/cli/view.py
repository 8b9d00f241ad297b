"""``gainer view``: nerfstudio's own viewer, for this machine only unless told otherwise."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gainer_ns.errors import GainerError
from gainer_ns.io.inputs import check_run
from gainer_ns.io.outputs import is_exported

if TYPE_CHECKING:
    from gainer_ns.image.run_file import RunFile


@dataclass
class View:
    """Look at a fitted picture in nerfstudio's viewer, in a browser.

    The same as ns-viewer, which listens to the whole network whatever the run's own configuration says, and shows runs
    only; this one listens to this machine only. Stop it with Ctrl-C.
    """

    load_config: Path
    """The config.yml of a run, whose picture must still be where it was, or a .safetensors file of `gainer export`."""
    host: str = "127.0.0.1"
    """Address to listen on: 127.0.0.1 is this machine alone, 0.0.0.0 all networks it is in, for anyone there to use."""
    port: int | None = None
    """Port to listen on; 7007, or a free one, when not given."""

    def run(self) -> None:
        """Start the viewer, which runs until it is interrupted."""
        from nerfstudio.utils.rich_utils import status

        check_run(self.load_config)
        check_address(self.host, self.port)
        with status("Loading the picture"):
            from nerfstudio.scripts.viewer.run_viewer import RunViewer, ViewerConfigWithoutNumRays

            from gainer_ns.devices import best_device
            from gainer_ns.image.run_file import RunFile
            from gainer_ns.image.stock_tools import named_run
            from gainer_ns.loading import load_run
            from gainer_ns.storage.picture_files import load_picture

            # RunViewer takes nothing of the saved viewer configuration but the size of a chunk, so all is said here.
            viewer = ViewerConfigWithoutNumRays(websocket_host=self.host, websocket_port=self.port)
            stored = load_picture(self.load_config).to(best_device()) if is_exported(self.load_config) else None
            if stored is None:
                run = RunFile(self.load_config)
                load_run(run, "cpu")  # says in one line what is wrong with a run
                check_tags(run)
        if stored is not None:
            from gainer_ns.viewer.stored import view_stored

            view_stored(self.load_config, stored, viewer.as_viewer_config())
            return
        with named_run(self.load_config):
            RunViewer(load_config=self.load_config, viewer=viewer).main()


def check_tags(run: RunFile) -> None:
    """Refuse a config.yml that names what its method does not: nerfstudio's programs build and call what it names.

    That keeps out what is plainly foreign. It does not make a file of unknown origin one to be trusted.

    Raises:
        GainerError: If it is such.
    """
    import yaml
    from nerfstudio.plugins.registry import discover_methods

    from gainer_ns.image.run_file import tags_in

    method = discover_methods()[0].get(run.value("method_name", of=str))
    allowed = set() if method is None else tags_in(yaml.dump(method))
    foreign = sorted(tag for tag in run.tags - allowed if "/apply:pathlib" not in tag)
    if foreign:
        name = foreign[0].removeprefix("tag:yaml.org,2002:")
        raise GainerError(f"{run}: names {name}, which ns-train does not write there; view only runs that you trust")


def check_address(host: str, port: int | None) -> None:
    """Refuse an address that cannot be listened on: viser would try a thousand others.

    Args:
        host: Name or number.
        port: None for any.

    Raises:
        GainerError: If the host is not this machine's, or the port is taken or not allowed.
    """
    if port is not None and not 1 <= port <= 65535:
        raise GainerError(f"port {port}: ports are numbered from 1 to 65535; choose another --port")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        place = host if port is None else f"{host}, port {port}"
        raise GainerError(f"{place}: cannot be listened on ({reason}); choose another --host or --port") from error
