"""Where nerfstudio's viewer, a model and the panel meet."""

import pytest

from gainer_ns.viewer.control import say_who_can_reach


def test_who_can_reach_the_page_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        say_who_can_reach(host)
    assert not capsys.readouterr().out
    say_who_can_reach("0.0.0.0")
    assert "anyone who can reach this machine" in capsys.readouterr().out
