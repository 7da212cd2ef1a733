"""A database that cannot do its work, from outside: 503 with the reason, `/readyz` and `/metrics` say so, and all is well again after."""

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from support.client import is_final, statuses, viewer
from support.server import Server, serve
from support.users import town
from tavernkeep.testing import PATIENCE_S, Tavern

KEYS = "/api/users/me/service-keys"
QUICK = {"storage": {"sqlite": {"busyTimeoutS": 0.05}}}
FAMILIES = {
    "tavernkeep_storage_waiting": "gauge",
    "tavernkeep_storage_statements_total": "counter",
    "tavernkeep_storage_transactions_total": "counter",
    "tavernkeep_storage_waited_seconds_total": "counter",
    "tavernkeep_storage_worked_seconds_total": "counter",
    "tavernkeep_storage_failed_total": "counter",
}


def database_of(server: Server) -> Path:
    """The file."""
    return server.folder / "data" / "tavernkeep.sqlite3"


async def metric(server: Server, name: str) -> float:
    """A number of `/metrics`; 0 where it is not there."""
    text = (await server.http.get("/metrics")).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def is_told(server: Server, reason: str) -> None:
    """A write is answered with the reason, and so are those who watch over the server."""
    answer = await server.http.post(KEYS, json={"name": "n"})
    assert (answer.status_code, answer.json()["details"]) == (503, {"reason": reason}), answer.text
    ready = await server.http.get("/readyz")
    assert (ready.status_code, bool(ready.json()["details"]["storage"])) == (503, True), ready.text
    assert await metric(server, f'tavernkeep_storage_failed_total{{reason="{reason}"}}') >= 2


async def is_well(server: Server) -> None:
    """A write is taken, and the server says that it is ready."""
    answer = await server.http.post(KEYS, json={"name": "n"})
    assert answer.status_code == 201, answer.text
    ready = await server.http.get("/readyz")
    assert ready.status_code == 200, ready.text
    assert "Traceback" not in server.output()


async def test_locked_by_another_process(tmp_path: Path) -> None:
    """Until that lets go; what only reads is answered meanwhile."""
    async with serve(tmp_path, QUICK) as server:
        await is_well(server)
        with closing(sqlite3.connect(database_of(server), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await is_told(server, "locked")
            assert (await server.http.get(KEYS)).status_code == 200
            other.execute("ROLLBACK")
        await is_well(server)


async def test_gone(tmp_path: Path) -> None:
    """Until it is put back; reading it is answered so too."""
    async with serve(tmp_path, QUICK) as server:
        await is_well(server)
        file = database_of(server)
        away = file.rename(file.with_name("away"))
        await is_told(server, "gone")
        answer = await server.http.get(KEYS)
        assert (answer.status_code, answer.json()["details"]) == (503, {"reason": "gone"})
        away.rename(file)
        await is_well(server)
        assert len((await server.http.get(KEYS)).json()["keys"]) == 2


async def test_full(tmp_path: Path, small_disk: Path) -> None:
    """Until there is room; reading goes on."""
    async with serve(tmp_path, {"storage": {"url": str(small_disk / "db.sqlite3")}}) as server:
        await is_well(server)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as opened, suppress(OSError):
            while shutil.disk_usage(small_disk).free:
                opened.write(b"\0" * 4096)
        # The log of what was written last has some room of its own, which is used up first.
        for _ in range(2000):
            answer = await server.http.post(KEYS, json={"name": "n" * 100})
            if answer.status_code != 201:
                break
        await is_told(server, "full")
        assert (await server.http.get(KEYS)).status_code == 200
        filler.unlink()
        await is_well(server)


@pytest.fixture
def only_readable(tavern: Tavern) -> Iterator[None]:
    """The connection, as it is to a file that may not be written."""
    from tortoise import Tortoise

    def ask(statement: str) -> None:
        async def run() -> None:
            await Tortoise.get_connection("default").execute_query(statement)

        tavern.wait(run())

    with tavern.client() as client:
        assert client.get(KEYS).status_code == 200  # the local user's row is made when they are first seen
    ask("PRAGMA query_only = ON")
    yield
    ask("PRAGMA query_only = OFF")


@pytest.mark.usefixtures("only_readable")
def test_read_only(http: httpx2.Client) -> None:
    """Reading goes on."""
    answer = http.post(KEYS, json={"name": "n"})
    assert (answer.status_code, answer.json()["details"]) == (503, {"reason": "read-only"})
    assert http.get("/readyz").status_code == 503
    assert http.get(KEYS).status_code == 200


async def test_the_metrics_of_the_database(tmp_path: Path) -> None:
    """Each has its kind, and counts what is asked."""
    async with serve(tmp_path, {}) as server:
        await is_well(server)
        text = (await server.http.get("/metrics")).text
        kinds: dict[str, Any] = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        assert {name: kinds.get(name) for name in FAMILIES} == FAMILIES
        counters = [f"tavernkeep_storage_{name}_total" for name in ("statements", "transactions", "worked_seconds")]
        before = [await metric(server, name) for name in counters]
        await server.http.get("/readyz")  # writes in a transaction
        assert all(now > then for then, now in zip(before, [await metric(server, name) for name in counters], strict=True))
        assert await metric(server, "tavernkeep_storage_waiting") == 0


async def test_viewers_stay_while_nobody_can_look_up_whether_they_may(tmp_path: Path) -> None:
    """They were let in a moment ago; and when it can be looked up again they go on."""
    async with town(tmp_path, {"web": {"socketRecheckS": 0.05}}) as place:
        file = database_of(place.server)
        async with viewer(place.server.ws_url, additional_headers=place.admin.cookie) as client:
            away = file.rename(file.with_name("away"))
            async with asyncio.timeout(PATIENCE_S):
                while place.server.output().count("they stay") < 3:
                    await asyncio.sleep(0.01)
            away.rename(file)
            messages = await client.run({"nodes": [], "edges": []})
            assert is_final(messages[-1])
            assert statuses(messages)[-1] == "complete"
