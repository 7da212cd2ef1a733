"""The OpenAPI document against the server that serves it: what it says is what the server does."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from support.server import Server, serve
from support.users import town

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = Path(__file__).parents[1] / "examples"
RESTART = "/api/server/restart"  # it would end the server under test
FEWEST = 80  # operations; fewer would mean that the document has lost some


async def known_ids(server: Server) -> dict[str, str]:
    """Ids of things that exist, by the names of the path parameters that take them."""
    await server.http.post("/api/projects", json={"name": "inn"})
    workflow = json.loads((EXAMPLES / "chat.json").read_text())
    stored = (await server.http.post("/api/projects/inn/workflows", json=workflow)).json()
    await server.http.post("/api/projects/inn/panels", json={"panelId": "board", "displayName": "Board"})
    session = (await server.http.post("/api/chat/sessions", json={"title": "talk", "projectId": "inn"})).json()
    channel = {"label": "mine", "providerId": "openai", "baseUrl": "http://127.0.0.1:1", "apiKey": "sk-x"}
    made = (await server.http.post("/api/llm/channels", json=channel)).json()
    run = {"nodes": [{"id": "a", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x"]}}], "edges": []}
    prompt = (await server.http.post("/api/prompt", json=run)).json()
    return {
        "project_id": "inn",
        "workflow_id": stored["id"],
        "panel_id": "board",
        "session_id": session["id"],
        "channel_id": made["id"],
        "prompt_id": prompt["promptId"],
        "namespace": "core",
        "type": "RandomNumber",
    }


def failures_of(operation: Any, known: dict[str, str], examples: int, headers: dict[str, str] | None = None) -> list[str]:
    """Call an operation in many ways, with ids that exist and with others; what went wrong, if anything did."""

    @settings(max_examples=examples, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(), real=st.booleans())
    def call(case: schemathesis.Case, real: bool) -> None:
        if real:
            case.path_parameters = {name: known.get(name, value) for name, value in (case.path_parameters or {}).items()}
            if "projectId" in (case.query or {}):
                case.query = {**case.query, "projectId": "inn"}
        case.validate_response(case.call(headers=headers), checks=CHECKS)

    try:
        call()
    except BaseExceptionGroup as group:
        return [f"{operation.label}: {error}" for error in group.exceptions]
    except Exception as error:
        return [f"{operation.label}: {error} {getattr(error, '__notes__', '')}"]
    return []


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_every_operation_answers_as_the_document_says(tmp_path: Path) -> None:
    """No 500, no status, type or shape that is not in the document; and the document is a valid one."""
    config = {"llm": {"demoDelayS": 0}}
    async with serve(tmp_path, config) as server:
        document = (await server.http.get("/api/openapi.json")).json()
        known = await known_ids(server)
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=server.url)
        schema.validate()
        operations = [found.ok() for found in schema.get_all_operations()]
        assert len(operations) >= FEWEST
        failures = []
        for operation in operations:
            if operation.path != RESTART:
                failures += await asyncio.to_thread(failures_of, operation, known, 30)
        assert not failures, "\n\n".join(failures)
        assert (await server.http.get("/readyz")).status_code == 200


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_so_does_what_multi_user_mode_adds(tmp_path: Path) -> None:
    """Logins, sessions, users, invitations, the audit log, as an administrator."""
    async with town(tmp_path, {"guard": {"requestsPerMinute": 0}}) as place:
        document = (await place.admin.http.get("/api/openapi.json")).json()
        headers = {"Authorization": f"Bearer {await place.admin.key()}"}
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=place.server.url)
        schema.validate()
        added = [found.ok() for found in schema.get_all_operations()]
        added = [operation for operation in added if operation.path.startswith(("/api/auth/", "/api/admin/"))]
        assert len(added) >= 20
        failures = []
        for operation in added:
            failures += await asyncio.to_thread(failures_of, operation, {"uid": place.admin.uid}, 30, headers)
        assert not failures, "\n\n".join(failures)
