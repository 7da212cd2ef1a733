"""A workflow at the terminal."""

import pytest

from tavernkeep.contracts.events import NodeError, NodeYield
from tavernkeep_engine.foreground import _Viewer


def test_nothing_that_is_shown_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A model, or another user, may have written it: control characters but line ends and tabs are shown as `�`."""
    viewer = _Viewer(quiet=False)
    viewer(NodeYield("speak", {"type": "text_chunk", "content": "a\x1b[2Jb\n\tc\x9b1m 酒"}, is_last_chunk=False).of("x", 1))
    viewer(NodeError("fail\x07", {"message": "red\x1b[31m"}).of("x", 2))
    assert capsys.readouterr().err == "a\ufffd[2Jb\n\tc\ufffd1m 酒\n[fail\ufffd] red\ufffd[31m\n"
