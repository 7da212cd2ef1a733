"""A plugin that fails while the server runs takes back all that it registered, and is still told to stop."""

from pathlib import Path

from support.plugins import install, on_path
from tavernkeep_devkit.processes import serve
from tavernkeep_devkit.sockets import output_of, viewer

LATE = """
    from pathlib import Path

    import click

    from tavernkeep import Route, WebSocketMessage, hookimpl, node

    class Late:
        "Fails when it is told to."

        fails = False

        @hookimpl
        def register_services(self, services, owner):
            services.add(Late, self, owner=owner)

        @hookimpl
        def node_middleware(self):
            def mine(inputs, context):
                return {"merged_text": "mine"}
            return lambda definition, execute: mine if definition.type == "TextMerge" else execute

        @hookimpl
        def register_nodes(self):
            @node("late:Node")
            def made() -> str:
                return ""
            return [made]

        @hookimpl
        def event_sink(self):
            def sink(event):
                if self.fails:
                    raise RuntimeError("on purpose")
            return sink

        @hookimpl
        def register_routes(self, app):
            async def break_() -> dict:
                self.fails = True
                return {"there": app.services.find(Late) is not None}
            return [Route("POST", "/api/late", break_, public=True)]

        @hookimpl
        def register_websocket_messages(self):
            async def mine(payload, client):
                client.send("LATE", {})
            return [WebSocketMessage("LATE_PLEASE", mine)]

        @hookimpl
        async def shutdown(self, app):
            (app.config.data / "late was told").touch()
"""
NEEDY = """
    from tavernkeep import hookimpl, node

    requires = ("late",)

    @hookimpl
    def register_nodes():
        @node("needy:Node")
        def made() -> str:
            return ""
        return [made]

    @hookimpl
    async def shutdown(app):
        (app.config.data / "needy was told").touch()
"""
MERGE = {"nodes": [{"id": "ok", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["fine"]}}], "edges": []}


async def test_all_of_it_is_taken_back_at_any_time(tmp_path: Path) -> None:
    """Node types, middleware, messages, routes and what is told of them; what requires it goes too; both are told to stop at the end."""
    folder = install(tmp_path / "packs", "late", LATE, entry="late:Late")
    install(folder, "needy", NEEDY)
    async with serve(tmp_path, {}, **on_path(folder)) as server:

        async def own() -> set[str]:
            types = {f"{node['namespace']}:{node['type']}" for node in (await server.http.get("/api/nodes")).json()}
            return types & {"late:Node", "needy:Node"}

        async with viewer(server.ws_url) as client:
            assert await own() == {"late:Node", "needy:Node"}
            assert output_of(await client.run(MERGE), "ok") == {"merged_text": "mine"}
            await client.send("LATE_PLEASE", {})
            await client.until(lambda message: message["type"] == "LATE")
            assert "/api/late" in (await server.http.get("/api/openapi.json")).json()["paths"]
            assert (await server.http.post("/api/late")).json() == {"there": True}
            await server.http.post("/api/nodes/reload")  # publishes a notice, which the sink breaks on
            assert await own() == set()
            gone = await server.http.post("/api/late")
            assert (gone.status_code, "'late'" in gone.json()["error"]) == (503, True)
            assert "/api/late" not in (await server.http.get("/api/openapi.json")).json()["paths"]
            assert "/api/late" not in (await server.http.get("/docs")).text
            await client.send("LATE_PLEASE", {})
            told = await client.until(lambda message: message["type"] in ("error", "LATE"))
            assert "Unknown message type" in told[-1]["payload"]["message"]
            assert output_of(await client.run(MERGE), "ok") == {"merged_text": "fine"}
        ready = await server.http.get("/readyz")
        assert (ready.status_code, set(ready.json()["plugins"])) == (200, {"late", "needy"})
        plugins = {plugin["name"]: plugin for plugin in (await server.http.get("/api/plugins")).json()}
        assert "event sink raised RuntimeError: on purpose" in plugins["late"]["error"]
        assert "plugin 'late', which is failed" in plugins["needy"]["error"]
        assert await server.stop() == 0
    assert {path.name for path in (tmp_path / "data").glob("* was told")} == {"late was told", "needy was told"}


LEAVING = """
    import asyncio

    from tavernkeep import Route, WebSocketMessage, hookimpl

    async def leave(*arguments):
        raise SystemExit(3)

    async def cancel():
        raise asyncio.CancelledError

    async def end():
        raise GeneratorExit

    @hookimpl
    def register_routes():
        handlers = {"leave": lambda: leave(), "cancel": cancel, "end": end}
        return [Route("GET", f"/api/{name}", handler, public=True) for name, handler in handlers.items()]

    @hookimpl
    def register_websocket_messages():
        return [WebSocketMessage("LEAVE", leave)]
"""


async def test_a_handler_that_would_end_the_server_has_failed_like_any_other(tmp_path: Path) -> None:
    """Its request is answered with 500, its message with an error; the server, and the socket, go on."""
    install(tmp_path / "packs", "leaving", LEAVING)
    async with serve(tmp_path, {}, **on_path(tmp_path / "packs")) as server:
        for name in ("leave", "cancel", "end"):
            answer = await server.http.get(f"/api/{name}")
            assert (answer.status_code, answer.json()["error"]) == (500, "The server failed on this request.")
        async with viewer(server.ws_url) as client:
            await client.send("LEAVE", {})
            assert (await client.receive())["payload"]["message"] == "The message could not be processed: RuntimeError"
            graph = {"nodes": [{"id": "ok", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["fine"]}}], "edges": []}
            assert output_of(await client.run(graph), "ok") == {"merged_text": "fine"}
        assert await server.stop() == 0
