"""`tavernkeep key rotate`, over what every plugin keeps sealed."""

from pathlib import Path
from typing import Any

import pytest

from support.client import viewer
from support.llm import LlmServer
from support.server import serve, tavernkeep


@pytest.mark.slow
@pytest.mark.parametrize("configured", [False, True])
async def test_the_key_of_secrets_is_rotated(tmp_path: Path, llm: LlmServer, configured: bool) -> None:
    """All that is sealed is opened by the new key and by no old one; a running server is not disturbed; it can be done again."""
    config: dict[str, Any] = {"security": {"masterEncryptionKeyValue": "the first key"}} if configured else {}
    key_file = tmp_path / "data" / "master.key"
    async with serve(tmp_path, config) as server:
        await server.http.post("/api/users/me/credentials", json={"serviceName": "s", "credential": "0123456789"})
        channel = {"label": "c", "baseUrl": llm.url, "apiKey": "sk-rotated-key", "customHeaders": {"x-h": "hv"}}
        await server.http.post("/api/llm/channels", json=channel)
        ran = (await server.http.post("/api/prompt", json={"nodes": [], "edges": []})).json()["promptId"]
        await server.http.get(f"/api/history/{ran}")
        busy = await tavernkeep(tmp_path, "key", "rotate")
        assert (busy.code, "another server is running" in busy.stderr) == (1, True)
    before = key_file.read_bytes() if key_file.exists() else b""
    if configured:
        config = {"security": {"masterEncryptionKeyValue": "the second key"}}
        wrong = await tavernkeep(tmp_path, "key", "rotate", config=config)
        assert (wrong.code, "sealed with another key" in wrong.stderr) == (1, True)
        rotated = await tavernkeep(tmp_path, "key", "rotate", config=config | {"secrets": {"previousKey": "the first key"}})
    else:
        rotated = await tavernkeep(tmp_path, "key", "rotate")
        assert key_file.read_bytes() != before
        assert len(key_file.read_bytes().split()) == 1
    assert (rotated.code, rotated.stdout.strip()) == (0, "sealed 4 secrets anew"), rotated.stderr
    async with serve(tmp_path, config) as server:
        assert (await server.http.get(f"/api/history/{ran}")).status_code == 200
        ask = {"messages": [{"role": "user", "content": "hi"}], "activated_model_id": "echo-2-0"}
        async with viewer(server.ws_url) as client:
            await client.run({"nodes": [{"id": "n", "fullType": "core:GenericLlmRequest", "inputs": ask}], "edges": []})
        assert (llm.headers[-1]["authorization"], llm.headers[-1]["x-h"]) == ("Bearer sk-rotated-key", "hv")


async def test_the_keys_of_plugins_that_are_not_there_are_not_forgotten(tmp_path: Path) -> None:
    """What a plugin keeps sealed that is switched off would be lost: it is named, and nothing is changed until that is asked for."""
    async with serve(tmp_path, {}) as server:
        channel = {"label": "c", "baseUrl": "http://127.0.0.1:9", "apiKey": "sk-rotated-key"}
        assert (await server.http.post("/api/llm/channels", json=channel)).is_success
    key_file = tmp_path / "data" / "master.key"
    before = key_file.read_bytes()
    off = {"plugins": {"disabled": ["llm_config"]}}
    refused = await tavernkeep(tmp_path, "key", "rotate", config=off)
    assert (refused.code, "llm_config" in refused.stderr, "--forget" in refused.stderr) == (1, True, True), refused.stderr
    assert key_file.read_bytes() == before
    there = await tavernkeep(tmp_path, "key", "rotate", config={})
    assert (there.code, there.stdout.strip()) == (0, "sealed 1 secrets anew"), there.stderr
    rotated = key_file.read_bytes()
    assert rotated != before
    forgotten = await tavernkeep(tmp_path, "key", "rotate", "--forget", config=off)
    assert (forgotten.code, forgotten.stdout.strip()) == (0, "sealed 0 secrets anew"), forgotten.stderr
    assert key_file.read_bytes() != rotated
