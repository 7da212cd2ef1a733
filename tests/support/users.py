"""A server in multi-user mode, with people on it."""

import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx2

from support.server import PATIENCE_S, Server, serve

PASSWORD = "correct horse battery"
MULTIUSER = {"auth": {"provider": "multiuser"}}


@attrs.define
class Person:
    """Somebody with an account, logged in."""

    name: str
    uid: str
    http: httpx2.AsyncClient

    @property
    def cookie(self) -> dict[str, str]:
        """The header for a socket of theirs."""
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())}

    async def key(self, *scopes: str, **more: Any) -> str:
        """An API key of theirs; all scopes when none is given."""
        made = await self.http.post("/api/users/me/service-keys", json=({"scopes": list(scopes)} if scopes else {}) | more)
        assert made.status_code == 201, made.text
        return str(made.json()["secret"])

    async def brief_key(self, seconds: int, *scopes: str) -> str | None:
        """A key that is good for so long; `None` when that was over before it was made, as it may be on a busy machine."""
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        made = await self.http.post("/api/users/me/service-keys", json={"scopes": list(scopes), "expiresAt": until})
        assert made.status_code in (201, 422), made.text
        return str(made.json()["secret"]) if made.status_code == 201 else None


@attrs.define
class Town:
    """A server and who lives there."""

    server: Server
    admin: Person
    _clients: list[httpx2.AsyncClient] = attrs.field(factory=list)

    def client(self, **options: Any) -> httpx2.AsyncClient:
        """A client without a login."""
        return httpx2.AsyncClient(base_url=self.server.url, timeout=PATIENCE_S, trust_env=False, **options)

    def with_key(self, key: str) -> httpx2.AsyncClient:
        """A client with a key."""
        return self.client(headers={"Authorization": f"Bearer {key}"})

    async def person(self, name: str, role: str = "user") -> Person:
        """A new account, logged in."""
        made = await self.admin.http.post("/api/admin/users", json={"username": name, "password": PASSWORD, "role": role})
        assert made.status_code == 201, made.text
        return await self.login(name)

    async def login(self, name: str, password: str = PASSWORD, **more: Any) -> Person:
        """Log in."""
        client = self.client()
        self._clients.append(client)
        answer = await client.post("/api/auth/login", json={"username": name, "password": password} | more)
        assert answer.status_code == 200, answer.text
        return Person(name, answer.json()["user"]["uid"], client)


@asynccontextmanager
async def town(folder: Path, config: Mapping[str, Any] | None = None, *arguments: str, **variables: str) -> AsyncIterator[Town]:
    """A server in multi-user mode, whose first administrator has registered with the token that it printed."""
    async with serve(folder, MULTIUSER | dict(config or {}), *arguments, **variables) as server:
        client = httpx2.AsyncClient(base_url=server.url, timeout=PATIENCE_S, trust_env=False)
        token = re.search(r"with the token (\S+)", server.output())
        if token:
            body = {"username": "mayor", "password": PASSWORD, "token": token[1]}
            answer = await client.post("/api/auth/register", json=body)
        else:
            answer = await client.post("/api/auth/login", json={"username": "mayor", "password": PASSWORD})
        assert answer.is_success, answer.text
        place = Town(server, Person("mayor", answer.json()["user"]["uid"], client))
        try:
            yield place
        finally:
            for one in (client, *place._clients):
                await one.aclose()
