"""The ``gainer`` command and its subcommands."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from gainer_ns.errors import memory_in_words
from gainer_ns.interrupts import ending_alike, exit_status
from gainer_ns.standard_output import keep_standard_output

COMMANDS = ("render", "edit", "bind", "simulate", "export", "prepare", "view", "bench")
"""A subcommand is a module of this folder with a dataclass of the same name, capitalised, that has a ``run()``.

These modules import what is slow to import inside of ``run()``, so that ``gainer --help`` answers at once.
"""


def entrypoint(args: Sequence[str] | None = None) -> None:
    """Runs a subcommand.

    Args:
        args: Its name and its arguments; None for those of the process.

    Raises:
        SystemExit: For all that is not success. A :class:`gainer_ns.errors.GainerError` is one too: Python prints its
            one line and exits with status 1. Arguments that do not parse exit with 2, Ctrl-C with 130, SIGTERM with
            143.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn their programmers, whom nobody meets here
    keep_standard_output()
    try:
        with ending_alike(), memory_in_words("close other programs, or ask for less: a lower scale, or crop by crop"):
            _check_working_folder()
            _run(args)
    except KeyboardInterrupt as interrupt:
        sys.exit(exit_status(interrupt))
    except OSError as error:
        if error.filename is None:
            raise
        reason = error.strerror or type(error).__name__
        sys.exit(f"{os.fsdecode(error.filename)}: cannot be used ({reason}); look whether it is there, and whose it is")


def _check_working_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        sys.exit("the working folder does not exist any more; cd to one that does")


def _run(args: Sequence[str] | None) -> None:
    import tyro

    from gainer_ns.options import check_given_once

    commands = {name: getattr(importlib.import_module(f"gainer_ns.cli.{name}"), name.title()) for name in COMMANDS}
    first, *others = [*(sys.argv[1:] if args is None else args), ""]
    if first in commands:
        check_given_once(commands[first], others)
    tyro.extras.set_accent_color("bright_yellow")
    tyro.extras.subcommand_cli_from_dict(
        commands, prog="gainer", description="What to do with a picture that was fitted by ns-train.", args=args
    ).run()


if __name__ == "__main__":
    entrypoint()
