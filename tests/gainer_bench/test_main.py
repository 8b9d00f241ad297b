"""One program for all that measures and shows, and what it says where a part of it is not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from gainer_bench.__main__ import BENCH_COMMANDS, main

WITHOUT = """
import sys
sys.modules.update(matplotlib=None, skimage=None)
from gainer_ns.doors import run_program
{}
"""


def test_help_lists_the_subcommands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code in (0, None)
    said = capsys.readouterr().out
    assert all(name in said for name in BENCH_COMMANDS)


@pytest.mark.parametrize("name", BENCH_COMMANDS)
def test_a_subcommand_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert f"python -m gainer_bench {name}" in " ".join(capsys.readouterr().out.split())


def test_an_unknown_subcommand_is_refused() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["nothing"])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("program", "module", "code"),
    [
        (
            "gainer bench",
            "matplotlib",
            "from gainer_ns.cli.main import entrypoint; entrypoint(['bench', 'suite.yaml', '--output', 'out'])",
        ),
        (
            "python -m gainer_bench",
            "skimage",
            "from gainer_bench.__main__ import main\n"
            "del sys.modules['matplotlib']\n"
            "run_program(lambda: main(['demo']))",
        ),
    ],
)
def test_what_is_not_installed_is_said_in_one_line(program: str, module: str, code: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT.format(code)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    said = f'{program}: {module} is not installed; run `pip install "gainer-ns[bench]"`'
    assert ended.stderr.strip().splitlines()[-1] == said
