"""The examples of the documentation run: Python blocks, and console sessions with their output."""

import doctest
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sybil import Example, Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

pytest_plugins = ["tavernkeep.testing", "support.fixtures"]

ROOT = Path(__file__).parent
CHECKER = doctest.OutputChecker()


def run_session(example: Example) -> None:
    """Run each `$ command` in a fresh folder with the examples in it, and compare what it prints; `...` stands for anything."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "examples", Path(folder) / "examples")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TAVERNKEEP_")}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TAVERNKEEP_LLM__DEMO_DELAY_S": "0",
            "TAVERNKEEP_LOGGING__LEVEL": "warning",
            "COLUMNS": "80",
        }
        for session in ("\n" + example.parsed).split("\n$ ")[1:]:
            command, _, wanted = session.partition("\n")
            ran = subprocess.run(
                command, shell=True, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
            )
            if not CHECKER.check_output(wanted, ran.stdout, doctest.ELLIPSIS):
                raise AssertionError(f"$ {command}\nprinted\n{ran.stdout}\nand not\n{wanted}")


def start_tavern(namespace: dict[str, Any]) -> None:
    """For the pages of the features: a server in a fresh folder, and `here`, a client of it."""
    from tavernkeep.testing import Tavern  # late: pytest rewrites the assertions in it first

    opened = namespace["_opened"] = ExitStack()
    tavern = opened.enter_context(Tavern.open(Path(opened.enter_context(tempfile.TemporaryDirectory()))))
    namespace["here"] = opened.enter_context(tavern.client())


def stop_tavern(namespace: dict[str, Any]) -> None:
    """End it."""
    namespace["_opened"].close()


PARSERS = [PythonCodeBlockParser(), CodeBlockParser(language="console", evaluator=run_session)]
PAGES = Sybil(parsers=PARSERS, patterns=["README.md", "docs/*.md", "docs/how-to/*.md", "docs/reference/*.md"], path=str(ROOT))
FEATURES = Sybil(
    parsers=PARSERS,
    patterns=["docs/features/*.md"],
    excludes=["docs/features/index.md"],
    path=str(ROOT),
    setup=start_tavern,
    teardown=stop_tavern,
)
pytest_collect_file = (PAGES + FEATURES).pytest()
