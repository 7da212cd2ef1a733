"""What RandomNumber does in the editor, driven in a browser by a host of the documented shape."""

import shutil
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import async_playwright

from support.server import serve

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

HOST: Final = """
    async ([url, steps]) => {
        const { setupClientNode } = await import(url);
        const values = { mode: "固定", value: 7 }, outputs = {};
        const context = {
            updateInputValue: (key, value) => { values[key] = value; },
            getNodeInputValue: (key) => values[key],
            setNodeOutputValue: (key, value) => { outputs[key] = value; },
        };
        const script = setupClientNode(null, { id: "n", data: {} }, context);
        const seen = [];
        for (const [mode, value, what] of steps) {
            Object.assign(values, { mode, value });
            if (what === "click") await script.onButtonClick("reroll");
            else if (what === "other button") await script.onButtonClick("else");
            else await script.onWorkflowExecute({ nodeId: "n", workflowContext: {} });
            seen.push([values.value, outputs.number]);
        }
        return seen;
    }
"""


async def test_the_button_draws_and_each_run_moves_the_value(tmp_path: Path) -> None:
    """Fixed leaves it, increase and decrease step by one, random draws; all from 0 to 2^32 - 1, and the output shows the same."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "install Chromium: apt-get install chromium"
    steps: list[list[Any]] = [
        ["固定", 7, "run"],
        ["增加", 7, "run"],
        ["增加", 2**32 - 1, "run"],
        ["减少", "5", "run"],
        ["减少", 0, "run"],
        ["增加", None, "run"],
        ["固定", 3, "other button"],
    ]
    async with serve(tmp_path) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page()
        await page.goto(server.url)
        url = "/api/nodes/core/RandomNumber/client-script/client-scripts/RandomNumberNode.js"
        seen = await page.evaluate(HOST, [url, steps])
        assert [value for value, _ in seen] == [7, 8, 0, 4, 2**32 - 1, 1, 3]
        assert all(value == number for value, number in seen[:-1])
        drawn = await page.evaluate(HOST, [url, [["随机", 1, "run"]] * 5 + [["固定", 1, "click"]] * 5])
        assert len({value for value, _ in drawn}) > 5
        assert all(0 <= value < 2**32 and value == number for value, number in drawn)
        await browser.close()
