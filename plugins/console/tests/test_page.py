"""The server's page, in a real browser."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from support.server import Server, serve
from support.users import PASSWORD, town

EXAMPLES = Path(__file__).parents[3] / "examples"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
expect.set_options(timeout=60_000)  # ms; far more than any needs, as the machine may be busy with something else
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest_asyncio.fixture
async def page(tmp_path: Path) -> AsyncIterator[tuple[Page, Server]]:
    """The page, open, on a server with a project that holds two of the examples."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "install Chromium: apt-get install chromium"
    async with serve(tmp_path, {"llm": {"demoDelayS": 0}}) as server, async_playwright() as playwright:
        await server.http.post("/api/projects", json={"name": "inn"})
        for name in ("chat", "approval"):
            workflow = json.loads((EXAMPLES / f"{name}.json").read_text())
            assert (await server.http.post("/api/projects/inn/workflows", json=workflow)).status_code == 201
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        opened = await browser.new_page(locale="en-GB")
        problems: list[Any] = []
        opened.on("pageerror", lambda error: problems.append(error))
        opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        await opened.goto(server.url)
        await expect(opened.locator("#connection")).to_have_text("connected")
        yield opened, server
        assert problems == []
        await browser.close()


async def test_a_workflow_is_run_and_watched(page: tuple[Page, Server]) -> None:
    """By its form: the streamed text appears, the log ends, the execution is listed."""
    opened, _ = page
    await opened.locator("#workflow").select_option(label="chat")
    await opened.locator("[data-key=message]").fill("One <b>ale</b>, please.")
    await opened.get_by_role("button", name="Run", exact=True).click()
    await expect(opened.locator("#stream")).to_contain_text("only repeats: One <b>ale</b>, please.")
    await expect(opened.locator("#log li").last).to_have_text("complete status_update")
    await expect(opened.locator("#executions tr").first).to_contain_text("chat")
    await expect(opened.locator("#executions tr").first).to_contain_text("complete")


async def test_a_person_answers_by_keyboard_alone(page: tuple[Page, Server]) -> None:
    """Chosen, run and answered without a mouse."""
    opened, _ = page
    await opened.locator("#workflow").select_option(label="approval")
    await expect(opened.locator("[data-key=guest]")).to_be_visible()
    await opened.locator("[data-key=guest]").focus()
    await opened.keyboard.press("Tab")
    await opened.keyboard.press("Enter")
    answer = opened.locator("#log form select")
    await expect(answer).to_be_visible()
    await answer.focus()
    await opened.keyboard.press("Tab")
    await opened.keyboard.press("Enter")
    await expect(opened.locator("#log li").last).to_have_text("complete status_update")


async def test_plugins_and_status_are_shown(page: tuple[Page, Server]) -> None:
    """With their state, and the machine's facts."""
    opened, _ = page
    await expect(opened.locator("#plugins")).to_contain_text("Nodes utility")
    await expect(opened.locator("#status")).to_contain_text("Python")


async def test_chinese_and_dark(page: tuple[Page, Server], tmp_path: Path) -> None:
    """Switched and kept; both themes are readable, and nothing overflows a narrow window."""
    opened, _ = page
    await opened.locator("#language").click()
    await expect(opened.locator("#now-title")).to_have_text("当前")
    await expect(opened.locator("#connection")).to_have_text("已连接")
    await opened.locator("#theme").click()
    assert await opened.evaluate("document.documentElement.dataset.theme") == "dark"
    await opened.reload()
    await expect(opened.locator("#now-title")).to_have_text("当前")
    assert await opened.evaluate("document.documentElement.dataset.theme") == "dark"
    await opened.set_viewport_size({"width": 380, "height": 800})
    assert await opened.evaluate("document.documentElement.scrollWidth <= 380")
    await opened.screenshot(path=tmp_path / "console.png", full_page=True)
    assert (tmp_path / "console.png").stat().st_size > 10_000


async def test_login_and_stored_xss(tmp_path: Path) -> None:
    """In multi-user mode the page asks for a login; markup in every text that a user can leave there is shown as text and runs nothing."""
    evil = "<img src=x onerror=\"document.title='OWNED'\"><script>document.title='OWNED'</script>"
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    async with town(tmp_path) as place, async_playwright() as playwright:
        mallory = await place.person("mallory")
        await mallory.http.put("/api/users/me/username", json={"username": evil})
        await mallory.http.post("/api/projects", json={"name": "inn", "description": evil})
        await mallory.http.put("/api/projects/inn", json={"name": evil})
        slot = {"key": evil, "dataFlowType": "STRING", "displayName": evil, "config": {"default": evil}}
        nodes = [
            {"id": evil, "type": "core:TextMerge", "inputValues": {"text_inputs": [evil]}},
            {"id": "ask", "type": "flow:WaitForPerson", "inputValues": {"question": evil}, "configValues": {"choices": [evil]}},
            {"id": "bad", "type": f"x:{evil}"},
        ]
        workflow = {"id": "w", "name": evil, "nodes": nodes, "edges": [], "interfaceInputs": {evil: slot}}
        assert (await mallory.http.post("/api/projects/inn/workflows", json=workflow)).status_code == 201
        await mallory.http.put("/api/projects/inn/shares", json={"access": "read"})
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        opened = await browser.new_page(locale="en-GB")
        await opened.goto(place.server.url)
        await expect(opened.locator("#main")).to_be_hidden()
        await opened.get_by_label("User name").fill("mayor")
        await opened.get_by_label("Password").fill("not the password")
        await opened.get_by_role("button", name="Log in").click()
        await expect(opened.locator("#login-error")).to_have_text("The name or the password is wrong.")
        await opened.get_by_label("Password").fill(PASSWORD)
        await opened.get_by_role("button", name="Log in").click()
        await expect(opened.locator("#connection")).to_have_text("connected")
        await expect(opened.locator("#project option")).to_have_text(evil)
        await expect(opened.locator("#inputs label span")).to_have_text(evil)
        await opened.get_by_role("button", name="Run", exact=True).click()
        await expect(opened.locator("#log")).to_contain_text("Unknown node type")
        await expect(opened.locator("#log form option")).to_have_text(evil)
        await expect(opened.locator("#executions tr").first).to_contain_text("onerror")
        assert await opened.title() == "tavernkeep"
        assert await opened.locator("main img, main script").count() == 0
        await opened.get_by_role("button", name="Log out").click()
        await expect(opened.locator("#main")).to_be_hidden()
        await browser.close()
