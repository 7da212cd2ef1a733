"""A pytest plugin for authors of plugins: an app, a client and a socket of it, and nodes that run in a line.

```python
pytest_plugins = ["tavernkeep.testing"]  # in conftest.py


def test_shout(run_node):
    assert run_node("shout:Shout", text="hi").outputs == {"loud": "HI!"}


def test_the_route(http):
    assert http.get("/api/shout").json() == {"loud": "HI!"}
```

The plugins that are installed are started once for each module of tests and served on a port of their own, with a data folder of their own
and the demo model without its delay. A module that wants another configuration has a fixture `tavern_config`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs
import httpx2
import pytest

from tavernkeep.contracts.app import App
from tavernkeep.contracts.workflow import PayloadNode, WorkflowPayload, payload_from
from tavernkeep.wire import loads
from tavernkeep_devkit.processes import BIN, PATIENCE_S, Finished, Server, environment, serve, tavernkeep
from tavernkeep_devkit.serving import serving
from tavernkeep_devkit.sockets import FINAL, Message, Socket, Viewer, is_final, of_node, output_of, statuses, text_of, types, viewer
from tavernkeep_devkit.tavern import ONE_NODE, Ran, Tavern, WorkflowFailed

__all__ = [
    "BIN",
    "FINAL",
    "PATIENCE_S",
    "Finished",
    "Message",
    "Ran",
    "RunNode",
    "RunWorkflow",
    "Server",
    "Socket",
    "Tavern",
    "Viewer",
    "WorkflowFailed",
    "app",
    "environment",
    "http",
    "is_final",
    "of_node",
    "output_of",
    "run_node",
    "run_workflow",
    "serve",
    "serving",
    "socket",
    "statuses",
    "tavern",
    "tavern_config",
    "tavernkeep",
    "text_of",
    "types",
    "viewer",
]


pytest.register_assert_rewrite("tavernkeep_devkit.conformance")


@pytest.fixture(scope="module")
def tavern_config() -> Mapping[str, Any]:
    """The configuration of the module's tavern; a module with one of its own says it in a fixture of this name and scope."""
    return {}


@pytest.fixture(scope="module")
def tavern(tmp_path_factory: pytest.TempPathFactory, tavern_config: Mapping[str, Any]) -> Iterator[Tavern]:
    """The installed plugins, started and served."""
    with Tavern.open(tmp_path_factory.mktemp("tavern"), tavern_config) as opened:
        yield opened


@pytest.fixture
def app(tavern: Tavern) -> App:
    """What hooks are handed as `app`. What is to be awaited of it: `tavern.wait(…)`."""
    return tavern.app


@pytest.fixture
def http(tavern: Tavern) -> Iterator[httpx2.Client]:
    """An HTTP client of the server, without a cookie: `http.get("/api/nodes").json()`."""
    with tavern.client() as client:
        yield client


@pytest.fixture
def socket(tavern: Tavern) -> Iterator[Socket]:
    """A WebSocket of the server: `socket.run(WORKFLOW)`, `socket.send(TYPE, PAYLOAD)`, `socket.receive()`."""
    with tavern.socket() as opened:
        yield opened


class RunNode(Protocol):
    """What the fixture `run_node` is."""

    def __call__(
        self, type_: str, /, *, config: Mapping[str, Any] | None = None, answer: Any = None, check: bool = True, **inputs: Any
    ) -> Ran: ...


class RunWorkflow(Protocol):
    """What the fixture `run_workflow` is."""

    def __call__(
        self,
        workflow: Mapping[str, Any] | Path | str,
        /,
        *,
        answers: Mapping[str, Any] | None = None,
        check: bool = True,
        **inputs: Any,
    ) -> Ran: ...


@pytest.fixture
def run_node(tavern: Tavern) -> RunNode:
    """`run_node("namespace:Type", config={…}, **inputs)`: run one node."""

    def run(type_: str, /, *, config: Mapping[str, Any] | None = None, answer: Any = None, check: bool = True, **inputs: Any) -> Ran:
        payload = WorkflowPayload([PayloadNode(ONE_NODE, type_, inputs, dict(config or {}))], [])
        ran = tavern.run(payload, {ONE_NODE: answer} if answer is not None else None, check=check)
        return attrs.evolve(ran, outputs=ran.nodes.get(ONE_NODE, {}))

    return run


@pytest.fixture
def run_workflow(tavern: Tavern) -> RunWorkflow:
    """`run_workflow(FILE_OR_WORKFLOW, **inputs)`: run a workflow, a stored one or an execution payload."""

    def run(
        workflow: Mapping[str, Any] | Path | str,
        /,
        *,
        answers: Mapping[str, Any] | None = None,
        check: bool = True,
        **inputs: Any,
    ) -> Ran:
        data = workflow if isinstance(workflow, Mapping) else loads(Path(workflow).read_bytes())
        return tavern.run(payload_from(data).with_inputs(inputs), answers, check=check)

    return run
