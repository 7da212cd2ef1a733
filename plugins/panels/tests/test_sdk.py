"""Panels in a browser, shown by a host at an origin of its own that speaks by the documented messages."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Frame, Page, async_playwright

from support.front import FrontEnd, front_end
from support.server import Server, serve
from support.users import PASSWORD, town

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ARGUMENTS: Final = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
# Keeps what its frame says, of its own origin alone, and answers calls by the table `answers`: a method that is not in it never.
HOST: Final = """<!doctype html><title>host</title><script>
    window.said = [];
    window.answers = {};
    window.show = (url) => {
        document.querySelector("iframe")?.remove();
        window.frame = document.createElement("iframe");
        frame.src = url;
        document.body.append(frame);
        return new Promise((resolve) => frame.addEventListener("load", resolve));
    };
    window.tell = (message) => frame.contentWindow.postMessage(message, location.origin);
    window.addEventListener("message", ({ data, source, origin }) => {
        if (source !== window.frame?.contentWindow || origin !== location.origin) return;
        said.push(data);
        if (data.type === "comfy-tavern-api-call" && data.payload.method in answers)
            tell({ type: "comfy-tavern-api-response", id: data.id, ...answers[data.payload.method] });
    });
</script><body></body>"""
SAVE: Final = """body =>
    fetch("/api/fam/write-json", {method: "POST", headers: {"content-type": "application/json"}, body}).then(({status}) => status)
"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "install Chromium: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        await browser.close()


def address(path: str, safe: str = ":/") -> str:
    """Where the front end loads a file from, at its own origin. What a page loads by a relative path is found where slashes are slashes."""
    return f"/api/fam/download/{quote(path, safe=safe)}"


@asynccontextmanager
async def shown(tmp_path: Path, **config: Any) -> AsyncIterator[tuple[Server, FrontEnd, Page]]:
    """A server, a front end before it with the host's page, and that page open in a browser."""
    async with (
        front_end() as front,
        serve(tmp_path, {"server": {"frontend": {"port": front.port}}, **config}) as server,
        chromium() as browser,
    ):
        front.server, front.pages["/"] = server.url, HOST
        page = await browser.new_page()
        await page.goto(front.origin)
        yield server, front, page


async def open_panel(page: Page, path: str, safe: str = ":/") -> Frame:
    """Have the host show a panel; gives its frame."""
    await page.evaluate("url => show(url)", address(path, safe))
    return page.frames[1]


async def said(page: Page, type_: str) -> list[Any]:
    """What the panel has said to the host, of one kind."""
    found: list[Any] = await page.evaluate("type => said.filter((message) => message.type === type)", type_)
    return found


async def test_a_panel_calls_its_host(tmp_path: Path) -> None:
    """A new panel says that it is ready, once, and each method is a message whose answer, or error, is what it gives."""
    calls: list[tuple[str, list[Any], Any]] = [
        ("invoke", [{"mode": "native", "workflowId": "w", "inputs": {"a": 1}}], {"executionId": "e1"}),
        ("executeWorkflow", [{"workflowId": "w", "inputs": {}}], {"executionId": "e2"}),
        ("subscribeToExecutionEvents", ["e1"], None),
        ("getSettings", [], {"theme": "dark", "language": "zh-CN", "variables": {"--ink": "#fff"}}),
        ("listFiles", ["notes"], [{"name": "酒.txt"}]),
        ("readFile", ["notes/酒.txt", "utf-8"], "one ale"),
        ("writeFile", ["notes/酒.txt", "two ales"], None),
        ("deleteFile", ["notes", {"recursive": True}], None),
        ("createDirectory", ["notes"], None),
    ]
    async with shown(tmp_path) as (server, _, page):
        await server.http.post("/api/projects", json={"name": "inn"})
        made = (await server.http.post("/api/projects/inn/panels", json={"panelId": "bar", "displayName": "The <b>bar"})).json()
        await page.evaluate(
            "answers => Object.assign(window.answers, answers)", {method: {"payload": answer} for method, _, answer in calls}
        )
        frame = await open_panel(page, f"user://projects/inn/ui/{made['panelDirectory']}/{made['uiEntryPoint']}", safe="")
        assert await frame.locator("h1").text_content() == "The <b>bar"
        await frame.wait_for_function("document.documentElement.lang === 'zh-CN'")  # it has asked for the settings by itself
        await page.evaluate("said.length = 0")
        for method, arguments, answer in calls:
            given = await frame.evaluate("([method, args]) => comfyTavern.panelApi[method](...args)", [method, arguments])
            assert given == answer, method
        asked = [message["payload"] for message in await said(page, "comfy-tavern-api-call")]
        assert asked == [{"method": method, "args": arguments} for method, arguments, _ in calls]
        assert len({message["id"] for message in await said(page, "comfy-tavern-api-call")}) == len(calls)
        await page.evaluate("answers.readFile = {error: {message: 'no such file'}}")
        failed = "() => comfyTavern.panelApi.readFile('x').catch((error) => [error instanceof Error, error.message])"
        assert await frame.evaluate(failed) == [True, "no such file"]
        unsendable = "() => comfyTavern.panelApi.writeFile('x', () => 1).catch((error) => error.name)"
        assert await frame.evaluate(unsendable) == "DataCloneError"
        silent = "() => {const api = comfyTavern.panelApi; api.timeoutMs = 1; return api.call('never').catch((error) => error.message)}"
        assert await frame.evaluate(silent) == "The host has not answered 'never' within 0.001 seconds."
        # What its own panel may, its owner may: it saves its definition through the front end.
        body = {"logicalPath": f"user://projects/inn/ui/{made['panelDirectory']}/panel.json", "content": made | {"icon": "mug"}}
        assert await frame.evaluate(SAVE, json.dumps(body)) == 204
        assert (await server.http.get("/api/projects/inn/panels/bar")).json()["icon"] == "mug"


async def test_a_panel_of_a_template_hears_of_executions_and_themes(tmp_path: Path) -> None:
    """Events go to who subscribed to their execution, also those that came before; themes are set; nobody but the host is heard."""
    template = tmp_path / "data" / "templates" / "panels" / "clock"
    template.mkdir(parents=True)
    (template / "panel.json").write_text(json.dumps({"id": "clock", "uiEntryPoint": "parts/clock.html"}))
    (template / "parts").mkdir()
    (template / "parts" / "clock.html").write_text("<!doctype html><script type=module src=./clock.js></script><p>tick")
    (template / "parts" / "clock.js").write_text("""
        import { panelApi } from "/api/fam/sdk/panel.js";
        import "/api/fam/sdk/panel.js?again";
        window.heard = [];
        window.api = panelApi;
        window.follow = (id, name) => panelApi.subscribe(id, {
            onResult: (payload) => heard.push([name, "result", payload]),
            onError: (payload) => heard.push([name, "error", payload]),
        });
    """)
    async with shown(tmp_path) as (server, _, page):
        await server.http.post("/api/projects", json={"name": "inn"})
        body = {"panelId": "hall", "displayName": "Hall", "templateId": "clock"}
        made = (await server.http.post("/api/projects/inn/panels", json=body)).json()
        await page.evaluate("answers.subscribeToExecutionEvents = {payload: true}")
        frame = await open_panel(page, f"user://projects/inn/ui/{made['panelDirectory']}/{made['uiEntryPoint']}")
        await frame.wait_for_function("window.api !== undefined && api === window.comfyTavern.panelApi")
        assert await said(page, "panel-sdk-ready") == [{"type": "panel-sdk-ready"}]

        def event(execution: str, name: str, payload: Any) -> dict[str, Any]:
            return {"type": "execution-event", "event": name, "executionId": execution, "payload": payload}

        async def tell(*messages: dict[str, Any]) -> None:
            """All of them, and then wait until the panel has had them."""
            await page.evaluate("messages => messages.forEach(tell)", list(messages))
            await frame.evaluate("new Promise(done => { addEventListener('message', done, {once: true}); parent.tell({}); })")

        async def heard() -> Any:
            return await frame.evaluate("heard.splice(0)")

        await tell(event("e1", "onResult", 1), event("e2", "onResult", "another's"), event("e1", "onResult", 2))
        await frame.evaluate("window.stop = follow('e1', 'first'); follow('e1', 'second'); null")
        assert await heard() == [["first", "result", 1], ["first", "result", 2]]
        await tell(event("e1", "onError", {"message": "no ale"}), event("e1", "onOther", 3), event("e3", "onResult", 4))
        assert await heard() == [["first", "error", {"message": "no ale"}], ["second", "error", {"message": "no ale"}]]
        await frame.evaluate("stop()")
        await tell(event("e1", "onResult", 5))
        assert await heard() == [["second", "result", 5]]
        asked = [message["payload"] for message in await said(page, "comfy-tavern-api-call")]
        assert asked == [{"method": "subscribeToExecutionEvents", "args": ["e1"]}]  # once for both
        await page.evaluate("answers.subscribeToExecutionEvents = {error: {message: 'unknown'}}")
        await frame.evaluate("follow('e9', 'lost'); null")
        await frame.wait_for_function("heard.length > 0")
        assert await heard() == [["lost", "error", {"message": "unknown"}]]
        # Themes.
        await frame.evaluate("window.stopThemes = api.onThemeChange((theme) => heard.push(theme.mode)); null")
        dark = {"type": "comfy-tavern-theme-update", "payload": {"mode": "dark", "variables": {"--ink": "white", "--paper": "black"}}}
        await tell(dark)
        root = "[document.documentElement.dataset.theme, document.documentElement.style.cssText]"
        assert await frame.evaluate(root) == ["dark", "--ink: white; --paper: black; color-scheme: dark;"]
        await frame.evaluate("api.onThemeChange((theme) => heard.push(`late ${theme.mode}`)); null")
        light = {"type": "comfy-tavern-theme-update", "payload": {"mode": "light", "variables": {"--ink": "black"}}}
        await tell(light)
        assert await frame.evaluate(root) == ["light", "color-scheme: light; --ink: black;"]
        assert await heard() == ["dark", "late dark", "light", "late light"]
        # A listener that fails, and one that is gone.
        await frame.evaluate(
            "stopThemes(); api.onThemeChange(() => { throw new Error('clumsy'); }); api.onThemeChange(() => heard.push('last')); null"
        )
        await tell(dark)
        assert await heard() == ["last", "late dark", "last"]
        # Logs.
        await page.evaluate("said.length = 0")
        await frame.evaluate("api.log('warn', 'ale', {left: 1}, document.body, heard.push); api.log('no level', 2)")
        logged = [message["payload"] for message in await said(page, "panel-log")]
        assert logged[0]["level"] == "warn"
        assert logged[0]["message"][:3] == ["ale", {"left": 1}, "[object HTMLBodyElement]"]
        assert logged[1] == {"level": "log", "message": ["no level", 2]}
        # Nobody else is heard: neither the panel itself nor a frame in it.
        forged = [event("e1", "onResult", "forged"), light, {"type": "comfy-tavern-api-response", "id": "x"}, None, 7, "text"]
        await frame.evaluate("messages => messages.forEach((message) => postMessage(message, '*'))", forged)
        await frame.evaluate(
            """messages => new Promise((done) => {
            const inner = document.body.appendChild(document.createElement("iframe"));
            inner.contentWindow.eval(`(messages) => messages.forEach((message) => parent.postMessage(message, "*"))`)(messages);
            addEventListener("message", ({data}) => data === "text" && done());
            inner.contentWindow.eval(`parent.postMessage("text", "*")`);
        })""",
            forged,
        )
        assert await heard() == []
        assert await frame.evaluate("document.documentElement.dataset.theme") == "dark"


# Writes a file of the user's, and tells its host so, as far as it is let.
EVIL: Final = """
    const body = JSON.stringify({logicalPath: "user://planted.json", content: location.pathname});
    const headers = {"content-type": "application/json"};
    fetch("/api/fam/write-json", {method: "POST", headers, body}).finally(() => parent.postMessage({type: "ran"}, "*"));
"""
PAGES: Final = {
    "index.html": f"<!doctype html><script>{EVIL}</script>",
    "page.XHTML": f'<html xmlns="http://www.w3.org/1999/xhtml"><script><![CDATA[{EVIL}]]></script></html>',
    "drawing.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><script><![CDATA[{EVIL}]]></script></svg>',
    "styled.xml": f'<a><script xmlns="http://www.w3.org/1999/xhtml"><![CDATA[{EVIL}]]></script></a>',
}


async def test_a_third_partys_panel_reaches_nothing(tmp_path: Path) -> None:
    """Another user's, one that another user has left in a project of one's own, and one's own that a link opens: none of them runs."""
    config = {"panels": {"sameOrigin": "own"}}
    async with (
        front_end() as front,
        town(tmp_path, config | {"server": {"frontend": {"port": front.port}}}) as place,
        chromium() as browser,
    ):
        front.server, front.pages["/"] = place.server.url, HOST
        anna, bert = await place.person("anna"), await place.person("bert")
        for person in (anna, bert):
            await person.http.post("/api/projects", json={"name": "inn"})
            await person.http.post("/api/projects", json={"name": "hall"})
        await anna.http.put("/api/projects/hall/shares", json={"username": "bert", "access": "write"})
        await bert.http.put("/api/projects/inn/shares", json={"username": "anna", "access": "read"})
        for name, content in PAGES.items():
            for http, project in ((anna.http, "inn"), (bert.http, "inn"), (bert.http, f"hall@{anna.uid}")):
                folder = quote(f"user://projects/{project}/ui/evil", safe="")
                assert (await http.post(f"/api/fam/upload/{folder}", files={"files": (name, content)})).status_code == 200
        await anna.http.delete("/api/projects/hall/shares?username=bert")
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(front.origin)
        login = SAVE.replace("/api/fam/write-json", "/api/auth/login")
        assert await page.evaluate(login, json.dumps({"username": "anna", "password": PASSWORD})) == 200

        async def planted() -> Any:
            found = (await anna.http.get(f"/api/fam/read/{quote('user://planted.json', safe='')}")).json()
            await anna.http.request("DELETE", "/api/fam/delete", json={"logicalPaths": ["user://planted.json"]})
            return found

        for name in PAGES:
            # Her own does, in the host's frame: so it would be seen if one of the others did.
            url = address(f"user://projects/inn/ui/evil/{name}")
            await page.evaluate("said.length = 0")
            await page.evaluate("url => show(url)", url)
            await page.wait_for_function("said.length > 0")
            assert await planted() == url
            for path in (f"user://projects/inn@{bert.uid}/ui/evil/{name}", f"user://projects/hall/ui/evil/{name}"):
                async with page.expect_response(lambda response: "/download/" in response.url) as response:
                    await page.evaluate("url => void show(url)", address(path))
                assert (await (await response.value).header_value("content-disposition") or "").startswith("attachment")
            # A window of its own, by a link of somebody's page and by hand.
            other = await context.new_page()
            async with other.expect_download():
                await other.evaluate("url => void (location.href = url)", front.origin + url)
            await other.close()
        assert await planted() is None
        assert await page.evaluate("said.filter((message) => message.type === 'ran').length") == 1
        # Nor does anything of hers stay behind as a service worker.
        folder = quote("user://projects/inn/ui/evil", safe="")
        await anna.http.post(f"/api/fam/upload/{folder}", files={"files": ("worker.js", "addEventListener('fetch', () => {})")})
        register = "url => navigator.serviceWorker.register(url).then(() => 'registered', (error) => error.message)"
        assert "(403)" in await page.evaluate(register, address("user://projects/inn/ui/evil/worker.js"))
        assert await page.evaluate("fetch('/api/fam/download/user:/projects/inn/ui/evil/worker.js').then(({status}) => status)") == 200
