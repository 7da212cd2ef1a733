"""Taverns and servers that a test opens itself."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tavernkeep.config import StartError
from tavernkeep.testing import Tavern, serve


def test_a_folder_keeps_what_is_in_it(tmp_path: Path) -> None:
    """The next tavern in a folder finds the data of the one before, whatever its configuration."""
    with Tavern.open(tmp_path) as tavern, tavern.client() as http:
        assert http.post("/api/projects", json={"name": "inn"}).status_code == 201
    with Tavern.open(tmp_path, {"engine": {"maxNodes": 7}}) as tavern, tavern.client() as http:
        assert [project["name"] for project in http.get("/api/projects").json()] == ["inn"]


def test_what_keeps_a_tavern_from_starting_is_raised(tmp_path: Path) -> None:
    """With its one line, and nothing is left running."""
    with pytest.raises(StartError, match="ldap"), Tavern.open(tmp_path, {"auth": {"provider": "ldap"}}):
        pass
    with Tavern.open(tmp_path) as tavern, tavern.client() as http:
        assert http.get("/readyz").status_code == 200


async def test_a_server_that_does_not_end_fails_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in a process of its own is killed then; whoever waits for it does not take that for an end."""
    monkeypatch.setattr("tavernkeep_devkit.processes.PATIENCE_S", 0.5)
    command = ("sh", "-c", "trap '' TERM; echo 'is ready at http://127.0.0.1:9' >&2; while :; do sleep 0.1; done")
    with pytest.raises(AssertionError, match="did not end"):
        async with serve(tmp_path, command=command) as server:
            process = server.process
    assert process.returncode == -signal.SIGKILL


async def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """What it printed is in the error."""
    with pytest.raises(RuntimeError, match="ldap"):
        async with serve(tmp_path, {"auth": {"provider": "ldap"}}):
            pass


def test_the_plugin_itself_needs_nothing_of_it() -> None:
    """A server that runs imports no pytest, no client and no part of the fixtures."""
    code = "import sys; from tavernkeep_devkit import plugin; plugin.register_commands(); print({*sys.modules} & {*sys.argv[1:]})"
    ran = subprocess.run(
        [sys.executable, "-c", code, "pytest", "httpx2", "websockets", "hypercorn"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "set()"
