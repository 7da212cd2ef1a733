"""A client that lost its answer asks again, over both protocols."""

from pathlib import Path
from typing import Any

import pytest

from support.client import viewer
from support.server import serve

PAYLOAD: dict[str, Any] = {"nodes": [{"id": "a", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x"]}}], "edges": []}
OTHER: dict[str, Any] = {"nodes": [], "edges": []}


@pytest.mark.parametrize("history", [True, False])
async def test_asking_again_gives_the_same_execution(tmp_path: Path, history: bool) -> None:
    """By `requestId` or `Idempotency-Key`, with or without a history; over a socket all its events come again."""
    config = {} if history else {"plugins": {"disabled": ["history"]}}
    async with serve(tmp_path, config) as server:
        async with viewer(server.ws_url) as client:
            first = await client.run(PAYLOAD | {"requestId": "r"})
        async with viewer(server.ws_url) as client:
            assert await client.run(PAYLOAD | {"requestId": "r"}) == first
            await client.send("PROMPT_REQUEST", OTHER | {"requestId": "r"})
            refused = (await client.error())["payload"]
            assert (refused["requestId"], "another workflow" in refused["message"]) == ("r", True)
        id_ = first[0]["payload"]["promptId"]
        key = {"Idempotency-Key": "r"}
        for answer in (
            await server.http.post("/api/prompt", json=PAYLOAD, headers=key),
            await server.http.post("/api/prompt", json=PAYLOAD | {"requestId": "r"}),
            await server.http.post("/api/prompt", json=PAYLOAD | {"requestId": "r"}, headers=key),
        ):
            assert (answer.status_code, answer.json()) == (200, {"promptId": id_, "requestId": "r"})
        assert (await server.http.post("/api/prompt", json=OTHER, headers=key)).status_code == 409
        assert (await server.http.post("/api/prompt", json=PAYLOAD | {"requestId": "s"}, headers=key)).status_code == 422
        assert (await server.http.post("/api/prompt", json=PAYLOAD | {"requestId": "x" * 301})).status_code == 422
        assert (await server.http.post("/api/prompt", json=PAYLOAD, headers={"Idempotency-Key": "t"})).json()["promptId"] != id_
    if history:
        async with serve(tmp_path, config) as server:
            assert (await server.http.post("/api/prompt", json=PAYLOAD, headers=key)).json()["promptId"] == id_
            async with viewer(server.ws_url) as client:
                assert await client.run(PAYLOAD | {"requestId": "r"}) == first


async def test_relaxed_follows_and_keeps_all_the_same(tmp_path: Path) -> None:
    """A server that tells at once has the same events in the end, also for a viewer that comes late."""
    config = {"history": {"durability": "relaxed"}, "engine": {"rememberedEvents": 5}}
    async with serve(tmp_path, config) as server:
        async with viewer(server.ws_url) as client:
            first = await client.run(PAYLOAD)
            id_ = first[0]["payload"]["promptId"]
            await client.send("SUBSCRIBE", {"promptId": id_, "after": 0})
            again = await client.until(lambda m: m == first[-1])
        assert again == first[1:]
    async with serve(tmp_path, config) as server:
        whole = (await server.http.get(f"/api/history/{id_}")).json()
        assert whole["events"] == first[1:]
