"""The examples of the documentation run: Python, console sessions with their output, and files with their tests."""

import doctest
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser

pytest_plugins = ["tavernkeep.testing", "support.fixtures"]

# No test is judged by the clock, and a busy machine is slow at making examples too.
settings.register_profile("tavernkeep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tavernkeep")

ROOT = Path(__file__).parent
CHECKER = doctest.OutputChecker()


def run_session(example: Example) -> None:
    """Run each `$ command` in a fresh folder with the examples in it, and compare what it prints; `...` stands for anything.

    On the pages of the features it has the configuration of their server, and in `$NAME` each text that stands in a variable of the page.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "examples", Path(folder) / "examples")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TAVERNKEEP_")}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TAVERNKEEP_LLM__DEMO_DELAY_S": "0",
            "TAVERNKEEP_LOGGING__LEVEL": "warning",
            "COLUMNS": "80",
            **example.namespace.get("_environment", {}),
        }
        if "_environment" in example.namespace:
            environment |= {name.upper(): value for name, value in example.namespace.items() if isinstance(value, str) and name[0] != "_"}
        for session in ("\n" + example.parsed).split("\n$ ")[1:]:
            command, _, wanted = session.partition("\n")
            ran = subprocess.run(
                command, shell=True, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
            )
            if not CHECKER.check_output(wanted.rstrip("\n"), ran.stdout.rstrip("\n"), doctest.ELLIPSIS):
                raise AssertionError(f"$ {command}\nprinted\n{ran.stdout}\nand not\n{wanted}")


def run_python(example: Example) -> None:
    """Run it, or keep it as the file that it is; when that is one of tests, they run with the files that stand before it."""
    name = keep_file(example)
    if name is None:
        PYTHON(example)
    elif Path(name).name.startswith("test_"):
        run_tests(name, example.namespace["_files"])


def keep_file(example: Example) -> str | None:
    """Keep a file that a page shows, where its first line says the name, for tests that the page shows later; gives the name."""
    named = re.match(r"# ([\w./]+)\n", example.parsed)
    if named is None:
        return None
    example.namespace.setdefault("_files", {})[named[1]] = example.parsed[named.end() :]
    return named[1]


def run_tests(tests: str, files: dict[str, str]) -> None:
    """Run a file of tests in a process of its own, beside the files of a page, as if what their `pyproject.toml` says were installed."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "examples", Path(folder) / "examples")
        for file, text in files.items():
            written = Path(folder) / file
            written.parent.mkdir(exist_ok=True)
            written.write_text(text, encoding="utf-8")
        if "pyproject.toml" in files:
            project = tomllib.loads(files["pyproject.toml"])["project"]
            info = Path(folder) / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
            points = project["entry-points"]["tavernkeep.plugins"]
            (info / "entry_points.txt").write_text(
                "[tavernkeep.plugins]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
            )
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests]
        environment = os.environ | {"PYTHONPATH": folder}
        ran = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
        assert ran.returncode == 0, ran.stdout


def start_tavern(namespace: dict[str, Any]) -> None:
    """For the pages of the features: a server in a fresh folder, and `here`, a client of it."""
    from tavernkeep.testing import Tavern  # late: pytest rewrites the assertions in it first

    opened = namespace["_opened"] = ExitStack()
    folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
    tavern = opened.enter_context(Tavern.open(folder))
    namespace["_environment"] = {
        "TAVERNKEEP_CONFIG": str(folder / "config.json"),
        "TAVERNKEEP_SERVER__BACKEND__PORT": tavern.url.rpartition(":")[2],
    }
    namespace["here"] = opened.enter_context(tavern.client())


def stop_tavern(namespace: dict[str, Any]) -> None:
    """End it."""
    namespace["_opened"].close()


PYTHON = PythonEvaluator()
PARSERS = [
    CodeBlockParser(language="python", evaluator=run_python),
    CodeBlockParser(language="toml", evaluator=lambda example: keep_file(example) and None),
    CodeBlockParser(language="console", evaluator=run_session),
]
collect_ignore_glob = ["docs/*.py"]  # they make the pages; to import them is to write some, which several workers would do at once
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
