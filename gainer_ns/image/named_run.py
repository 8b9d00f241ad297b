"""Which config.yml the user has named: nerfstudio loads a configuration from its text, and forgets the file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from gainer_ns.errors import GainerError

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig

_OPTIONS = "--load-config", "--load_config"
_named: ContextVar[Path | None] = ContextVar("_named", default=None)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Says which config.yml nerfstudio is about to load, where no command line does."""
    token = _named.set(path)
    try:
        yield
    finally:
        _named.reset(token)


def named_folder(config: TrainerConfig) -> Path | None:
    """The folder of the run that the user has named.

    Args:
        config: What was loaded from it.

    Returns:
        The folder; None where nobody named one that this is the configuration of.
    """
    from gainer_ns.image.run_file import RunFile  # pydantic, which the list of methods does not need

    path = _named.get() or _on_command_line(sys.argv)
    if path is None or not path.is_file():
        return None
    try:
        run = RunFile(path)
        said = [run.value(word, of=str | None) for word in ("timestamp", "method_name", "experiment_name")]
    except GainerError:
        return None
    return path.absolute().parent if said == [config.timestamp, config.method_name, config.experiment_name] else None


def _on_command_line(words: Sequence[str]) -> Path | None:
    """What ns-eval, ns-render, ns-viewer and the like are given: the last one counts."""
    found = None
    for word, after in zip(words, (*words[1:], None), strict=True):
        option, is_joined, value = word.partition("=")
        if option in _OPTIONS:
            found = value if is_joined else after
    return None if found is None else Path(found)
