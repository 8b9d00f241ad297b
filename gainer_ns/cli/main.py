"""The ``gainer`` command and its subcommands."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from gainer_ns.doors import run_program
from gainer_ns.errors import GainerError

COMMANDS = ("fit", "render", "edit", "bind", "simulate", "export", "prepare", "view", "bench")
"""A subcommand is a module of this folder with a dataclass of the same name, capitalised, that has a ``run()``.

These modules import what is slow to import inside of ``run()``, so that ``gainer --help`` answers at once.
"""
DESCRIPTION = "Fit pictures, and draw, edit, move, keep or measure what was fitted."


def entrypoint(args: Sequence[str] | None = None) -> None:
    """Run a subcommand.

    Args:
        args: Its name and its arguments; None for those of the process.

    Raises:
        SystemExit: As :func:`gainer_ns.doors.run_program` says; arguments that do not parse exit with 2.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn their programmers, whom nobody meets here
    run_program(lambda: _run(args))


def _check_working_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise GainerError("the working folder does not exist any more; cd to one that does") from None


def _run(args: Sequence[str] | None) -> None:
    import tyro

    _check_working_folder()
    from gainer_ns.options import check_given_once

    commands = {name: getattr(importlib.import_module(f"gainer_ns.cli.{name}"), name.title()) for name in COMMANDS}
    first, *others = [*(sys.argv[1:] if args is None else args), ""]
    if first == "--version":
        from gainer_ns import __version__

        print(f"gainer_ns {__version__}")
        return
    if first in commands:
        check_given_once(commands[first], others)
    tyro.extras.set_accent_color("bright_yellow")
    tyro.extras.subcommand_cli_from_dict(
        commands,
        prog="gainer",
        description="Fit pictures, and draw, edit, move, keep or measure what was fitted.",
        args=args,
    ).run()


if __name__ == "__main__":
    entrypoint()
