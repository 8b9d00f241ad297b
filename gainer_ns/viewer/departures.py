"""What keeps the viewer going when pages leave while their messages are under way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, cast

import viser
from nerfstudio.viewer.render_state_machine import RenderAction, RenderStateMachine

from gainer_ns.viewer.drawing import PageMachine

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer


class DepartedPage:
    """A machine for a page that is not there any more, or not yet: it is asked, and does nothing."""

    running = False

    def action(self, action: RenderAction) -> None:
        """Do nothing."""


class PageMachines(dict[int, RenderStateMachine]):
    """The render machine of each page, by the page's number; for pages that are not there, one that draws nothing.

    nerfstudio's viewer makes its machines itself, and offers no other place than this dictionary to put ours.

    Args:
        early: Machines of pages that have come already.
        edit: See :class:`gainer_ns.viewer.drawing.PageMachine`.
        is_playing: See there.
    """

    def __init__(
        self,
        early: Mapping[int, RenderStateMachine],
        edit: Callable[[Any], Any],
        is_playing: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self._edit, self._is_playing = edit, is_playing
        for client_id, machine in early.items():
            self[client_id] = machine
            if machine.is_alive():
                machine.running = False
                self[client_id].start()

    def __setitem__(self, client_id: int, machine: RenderStateMachine) -> None:
        """Take our own machine in the place of nerfstudio's, which then starts what it finds here."""
        own = PageMachine(
            machine.viewer, machine.viser_scale_ratio, machine.client, edit=self._edit, is_playing=self._is_playing
        )
        super().__setitem__(client_id, own)

    def __missing__(self, client_id: int) -> RenderStateMachine:
        return cast(RenderStateMachine, DepartedPage())


def released(atomic: Callable[[], AbstractContextManager[None]]) -> Callable[[], AbstractContextManager[None]]:
    """Return a server's ``atomic`` that always lets go.

    viser's own keeps its lock for ever where something fails inside of it; and since it forgets who holds the lock
    only after it has let go, the next thread may be forgotten instead, and wait for itself.
    """
    alone = threading.RLock()
    depth = 0

    @contextmanager
    def atomic_and_released() -> Iterator[None]:
        nonlocal depth
        with alone:
            if depth:
                yield
                return
            failed: BaseException | None = None
            with atomic():
                depth += 1
                try:
                    yield
                except BaseException as error:  # raised again below, past what would keep the lock
                    failed = error
                finally:
                    depth -= 1
            if failed is not None:
                raise failed

    return atomic_and_released


def survive_departures(viewer: Viewer, edit: Callable[[Any], Any], is_playing: Callable[[], bool]) -> None:
    """Let a viewer outlive its pages, whenever they leave; see :class:`PageMachines` for what it is given."""
    server = viewer.viser_server
    server.atomic = released(server.atomic)
    viewer.render_statemachines = PageMachines(viewer.render_statemachines, edit, is_playing)

    inner: Any = server._websock_server

    def watch(connection: Any) -> None:
        task = asyncio.current_task()
        assert task is not None  # the one that serves the connection, which viser calls this in
        task.add_done_callback(lambda _: _tidy(inner, connection))

    inner.on_client_connect(watch)

    @server.on_client_connect
    def _(client: viser.ClientHandle) -> None:
        # viser handles messages after their page has left, too. A page whose first one is among them counts as
        # connected from then on, and nothing would ever end what draws for it.
        if _has_left(client):
            connected = server._connected_clients  # whose lock viser holds while it calls this
            if connected.pop(client.client_id, None) is not None:
                viewer.handle_disconnect(client)


def _has_left(client: viser.ClientHandle) -> bool:
    connection: Any = client._websock_connection
    return bool(connection._state.message_buffer.done)


def _tidy(inner: Any, connection: Any) -> None:
    """Do what viser leaves undone where a connection ends.

    Of each, a task waits for ever until all are told to send what they have; and where one ends otherwise than by being
    closed, as by a broken message, nothing else is ended, either.
    """
    inner.flush()
    buffer = connection._state.message_buffer
    if not buffer.done:
        buffer.set_done()
        for callback in inner._client_disconnect_cb:
            callback(connection)
        inner._client_state_from_id.pop(connection.client_id, None)
