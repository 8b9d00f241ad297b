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

    words = list(sys.argv[1:] if args is None else args)
    first = words[0] if words else ""
    if first == "--version":
        from gainer_ns import __version__

        print(f"gainer_ns {__version__}")
        return
    names = (first,) if first in COMMANDS else COMMANDS  # one alone is parsed in a third of the time
    commands = {name: getattr(importlib.import_module(f"gainer_ns.cli.{name}"), name.title()) for name in names}
    tyro.extras.set_accent_color("bright_yellow")
    if first in COMMANDS:
        check_given_once(commands[first], words[1:])
        tyro.cli(commands[first], prog=f"gainer {first}", args=words[1:]).run()
        return
    tyro.extras.subcommand_cli_from_dict(commands, prog="gainer", description=DESCRIPTION, args=words).run()


if __name__ == "__main__":
    entrypoint()
