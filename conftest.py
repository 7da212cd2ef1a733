"""The examples of the documentation run: Python blocks, and console sessions with their output."""

import doctest
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sybil import Example, Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

pytest_plugins = ["tavernkeep.testing"]

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


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser(language="console", evaluator=run_session)],
    patterns=["README.md", "docs/*.md", "docs/how-to/*.md", "docs/reference/*.md"],
    path=str(ROOT),
).pytest()
