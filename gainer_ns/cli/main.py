"""The ``gainer`` command and its subcommands."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence

COMMANDS = ("render", "edit", "bind", "simulate", "export", "prepare", "view", "bench")
"""A subcommand is a module of this folder with a dataclass of the same name, capitalised, that has a ``run()``.

These modules import what is slow to import inside of ``run()``, so that ``gainer --help`` answers at once.
"""
INTERRUPTED = 130
"""Exit status after Ctrl-C, as of shells: 128 and the number of the signal."""


def entrypoint(args: Sequence[str] | None = None) -> None:
    """Runs a subcommand.

    Args:
        args: Its name and its arguments; None for those of the process.

    Raises:
        SystemExit: For all that is not success. A :class:`gainer_ns.errors.GainerError` is one too: Python prints its
            one line and exits with status 1. Arguments that do not parse exit with 2, Ctrl-C with 130.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn their programmers, whom nobody meets here
    try:
        import tyro

        commands = {name: getattr(importlib.import_module(f"gainer_ns.cli.{name}"), name.title()) for name in COMMANDS}
        tyro.extras.set_accent_color("bright_yellow")
        tyro.extras.subcommand_cli_from_dict(
            commands, prog="gainer", description="What to do with a picture that was fitted by ns-train.", args=args
        ).run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except MemoryError:
        sys.exit("out of memory: close other programs, lower the scale, or go crop by crop")


if __name__ == "__main__":
    entrypoint()
