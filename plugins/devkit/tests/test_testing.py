"""What `tavernkeep.testing` gives the tests of any plugin."""

from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuthProvider, Credentials
from tavernkeep.testing import RunNode, Socket, Tavern, WorkflowFailed, output_of, statuses

MERGE = {"nodes": [{"id": "n", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["ale"]}}], "edges": []}


@pytest.fixture(scope="module")
def tavern_config() -> Mapping[str, Any]:
    return {"engine": {"maxNodes": 1}, "llm": {"attempts": 1}}


def test_a_module_has_its_configuration(tavern: Tavern, http: httpx2.Client) -> None:
    """What `tavern_config` says is in force, beside what makes tests quick; so is a section of which it says a part."""
    two = {"nodes": [*MERGE["nodes"], {"id": "m", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x"]}}], "edges": []}
    answer = http.post("/api/prompt", json=two)
    assert (answer.status_code, "engine.maxNodes" in answer.text) == (422, True)
    shown = tavern.app.config.to_wire()
    assert (shown["llm"]["attempts"], shown["llm"]["demoDelayS"]) == (1, 0)


def test_the_app_is_reached_where_it_runs(app: App, tavern: Tavern) -> None:
    """Services are asked in the app's own event loop; what they raise is raised here."""
    user = tavern.wait(app.services.get(AuthProvider).authenticate(Credentials({})))
    assert user is not None

    async def fail() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        tavern.wait(fail())


def test_a_client_is_new_for_each_test(http: httpx2.Client, tavern: Tavern) -> None:
    """It is one of a real server on a real port, and has no cookie."""
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.base_url == tavern.url
    assert not http.cookies


def test_a_socket_runs_a_workflow(socket: Socket) -> None:
    """And sends and receives whatever else there is."""
    messages = socket.run(MERGE)
    assert statuses(messages)[-1] == "complete"
    assert output_of(messages, "n") == {"merged_text": "ale"}
    socket.send("NO_SUCH_MESSAGE")
    assert socket.until(lambda message: message["type"] == "error")


def test_a_failure_says_what_failed(run_node: RunNode) -> None:
    """Unless the test wants to look at it itself."""
    with pytest.raises(WorkflowFailed, match="no:such"):
        run_node("no:such")
