"""Every route that takes a part of its path from the caller, with what leads elsewhere on many servers."""

import asyncio
import http.client
import json
import re
from itertools import product
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from support.attacks import NAMES
from support.server import serve

SECRET = "only the operator reads this"
UPWARDS = [up * depth + "secret.txt" for up in ("../", "..\\", "..%2f", "....//") for depth in (1, 2, 4, 6, 8)]
KNOWN = {"project_id": "inn", "panel_id": "board"}
PARAMETER = re.compile(r"\{(\w+)\}")


def targets(path: str) -> list[str]:
    """A route's path, with each of its parameters attacked in turn, encoded and as it is."""
    made = []
    for name, attack in product(PARAMETER.findall(path), [*NAMES, *UPWARDS]):
        others = PARAMETER.sub(lambda found, name=name: found[0] if found[1] == name else KNOWN.get(found[1], "x"), path)
        spellings = {quote(attack, safe="", errors="surrogatepass"), quote(attack, safe="/%", errors="surrogatepass")}
        made += [others.replace(f"{{{name}}}", spelled) for spelled in spellings]
    return made


def attacked(url: str, method: str, path: str) -> list[str]:
    """Send each to the server word for word; what answered with success of a kind that it should not have, or failed."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=60)
    wrong = []
    for target in targets(path):
        headers = {"Content-Type": "application/json"} if method in ("POST", "PUT") else {}
        connection.request(method, target, json.dumps({"content": "x"}) if headers else None, headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status >= 500 or SECRET.encode() in body or b"root:" in body:
            wrong.append(f"{method} {target}: {answer.status} {body[:200]!r}")
    connection.close()
    return wrong


def tree(folder: Path) -> set[str]:
    """What there is, without what the server writes of its own accord."""
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if "data/users" not in str(path) and "tavernkeep.db" not in path.name
    }


@pytest.mark.slow
async def test_no_route_leaves_its_folder(tmp_path: Path) -> None:
    """None shows a file from outside, writes or deletes one, or fails with 500."""
    folder = tmp_path / "one" / "two"
    folder.mkdir(parents=True)
    for place in (tmp_path, tmp_path / "one", folder):
        (place / "secret.txt").write_text(SECRET)
    async with serve(folder) as server:
        await server.http.post("/api/projects", json={"name": "inn"})
        await server.http.post("/api/projects/inn/panels", json={"panelId": "board", "displayName": "Board"})
        data = folder / "data"
        (data / "secret.txt").write_text(SECRET)
        (data / "users" / "secret.txt").write_text(SECRET)
        before = tree(tmp_path)
        document = (await server.http.get("/api/openapi.json")).json()
        wrong = []
        routes = [(method.upper(), path) for path, methods in document["paths"].items() for method in methods if "{" in path]
        assert len(routes) >= 40
        for method, path in routes:
            wrong += await asyncio.to_thread(attacked, server.url, method, path)
        assert not wrong, "\n".join(wrong)
        assert (await server.http.get("/api/projects/inn/metadata")).status_code in (200, 404)
        assert tree(tmp_path) == before
        assert all(place.read_text() == SECRET for place in tmp_path.rglob("secret.txt"))
