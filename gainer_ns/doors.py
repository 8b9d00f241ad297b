"""How programs end where a user can mend what went wrong: on one line and a status, without a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import TracebackType

from gainer_ns.errors import GainerError, memory_in_words
from gainer_ns.interrupts import exit_status, signals_as_interrupts
from gainer_ns.standard_output import keep_standard_output

_LESS_MEMORY = "close other programs, or ask for less: a lower scale, or crop by crop"


def run_program(main: Callable[[], int | None]) -> None:
    """Run a program of this package to its end.

    Args:
        main: What it does; what it returns is its status.

    Raises:
        SystemExit: For all that is not success: 1 with one line for what a user can mend, 130 for Ctrl-C, 143 for
            SIGTERM.
    """
    keep_standard_output()
    _let_threads_sleep()
    try:
        with signals_as_interrupts(), memory_in_words(_LESS_MEMORY):
            status = main()
    except KeyboardInterrupt as interrupt:
        sys.exit(exit_status(interrupt))
    except GainerError as error:
        sys.exit(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        reason = error.strerror or type(error).__name__
        sys.exit(f"{os.fsdecode(error.filename)}: cannot be used ({reason}); look whether it is there, and whose it is")
    if status:
        sys.exit(status)


def _let_threads_sleep() -> None:
    """Let OpenMP's threads sleep while they wait for one another, unless the user has said how they wait.

    Otherwise each keeps a processor busy for a while after every loop, which other programs may need. What torch is
    linked with reads this once, so it must be said before torch is imported; a child process inherits it.
    """
    if not any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def end_in_one_line() -> None:
    """Show a :class:`gainer_ns.errors.GainerError` that ends a program as its one line; the status is 1 anyway.

    For programs that are not ours, such as nerfstudio's, which know nothing of it. All else is shown as before.
    """
    sys.excepthook = _show


_usual_hook = sys.excepthook


def _show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, GainerError):
        print(error, file=sys.stderr)
    else:
        _usual_hook(kind, error, traceback)
