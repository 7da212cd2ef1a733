"""Logins, sessions, keys and roles of multi-user mode, tried and attacked on a running server."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyotp
import pytest
import pytest_asyncio
from argon2 import PasswordHasher, extract_parameters
from websockets.exceptions import InvalidStatus

from support.client import viewer
from support.server import serve, tavernkeep
from support.users import MULTIUSER, PASSWORD, Town, town
from tavernkeep.testing import PATIENCE_S, Tavern

LOGIN = "/api/auth/login"


@pytest_asyncio.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A server in multi-user mode."""
    async with town(tmp_path_factory.mktemp("town"), {"web": {"socketRecheckS": 0.2}}) as running:
        yield running


async def closed(socket: Any) -> int:
    """The code with which a socket is closed."""
    async with asyncio.timeout(PATIENCE_S):
        await socket.wait_closed()
    return int(socket.close_code)


async def test_the_first_administrator_is_made_once(tmp_path: Path) -> None:
    """With the token that is printed, which is in no log line; after that it is worth nothing, and none is printed again."""
    async with serve(tmp_path, MULTIUSER) as server:
        found = re.search(r"with the token (\S+)", server.output())
        assert found
        assert (await server.http.get("/api/auth/current")).json()["adminRegistrationRequired"] is True
        wrong = {"username": "thief", "password": PASSWORD, "token": "x" * 32}
        assert (await server.http.post("/api/auth/register", json=wrong)).status_code == 403
        right = {"username": "mayor", "password": PASSWORD, "token": found[1]}
        both = await asyncio.gather(*(server.http.post("/api/auth/register", json=right | {"username": name}) for name in ("a", "b")))
        assert sorted(answer.status_code for answer in both) == [201, 403]
        assert server.output().count(found[1]) == 1
    async with serve(tmp_path, MULTIUSER) as server:
        assert "with the token" not in server.output()
        assert "adminRegistrationRequired" not in (await server.http.get("/api/auth/current")).json()


async def test_nobody_gets_in_without_a_login(place: Town) -> None:
    """Not by HTTP, not by socket; being asked who one is is no error."""
    async with place.client() as nobody:
        assert (await nobody.get("/api/projects")).status_code == 401
        assert (await nobody.get("/api/auth/current")).json()["currentUser"] is None
        assert (await nobody.get("/api/auth/current", headers={"Cookie": "tavernkeep=guessed"})).json()["isAuthenticated"] is False
        assert (await nobody.get("/api/projects", headers={"Authorization": "Bearer ctsk_" + "x" * 43})).status_code == 401
    with pytest.raises(InvalidStatus) as refused:
        async with viewer(place.server.ws_url):
            pass
    assert refused.value.response.status_code == 401


async def test_the_cookie_is_out_of_reach(place: Town) -> None:
    """Of scripts, of other sites, and under TLS of everything that is not this host."""
    await place.person("cook")
    async with place.client() as client:
        body = {"username": "cook", "password": PASSWORD}
        plain = (await client.post(LOGIN, json=body)).headers["set-cookie"]
        assert plain.startswith("tavernkeep=")
        assert "HttpOnly" in plain
        assert "SameSite=Lax" in plain
        tls = (await client.post(LOGIN, json=body, headers={"X-Forwarded-Proto": "https"})).headers["set-cookie"]
        assert tls.startswith("__Host-tavernkeep=")
        assert "Secure" in tls
        assert "Domain" not in tls


async def test_session_fixation(place: Town) -> None:
    """A session that somebody planted, or had before, is not the one after a login; every login has its own."""
    anna = await place.person("anna")
    async with place.client() as victim:
        planted = dict(anna.http.cookies)["tavernkeep"]
        answer = await victim.post(LOGIN, json={"username": "anna", "password": PASSWORD}, headers={"Cookie": f"tavernkeep={planted}"})
        assert planted not in answer.headers["set-cookie"]


async def test_a_stolen_session_ends_with_the_password(place: Town) -> None:
    """Changing it ends all sessions and their sockets, and the one that changed it gets a new one."""
    bert, thief = await place.person("bert"), await place.login("bert")
    before = bert.cookie
    async with viewer(place.server.ws_url, additional_headers=thief.cookie) as socket:
        changed = await bert.http.post("/api/auth/password", json={"current": PASSWORD, "password": "another good one"})
        assert changed.status_code == 200
        assert await closed(socket.socket) == 4401
    assert (await thief.http.get("/api/projects")).status_code == 401
    assert bert.cookie != before
    assert (await bert.http.get("/api/projects")).status_code == 200
    async with place.client() as client:
        assert (await client.post(LOGIN, json={"username": "bert", "password": PASSWORD})).status_code == 401


async def test_grave_things_want_the_password_again(place: Town) -> None:
    """A session left open, or a key, cannot change it."""
    carl = await place.person("carl")
    body = {"current": "wrong wrong", "password": "another good one"}
    assert (await carl.http.post("/api/auth/password", json=body)).status_code == 403
    async with place.with_key(await carl.key()) as key:
        assert (await key.post("/api/auth/password", json=body | {"current": PASSWORD})).status_code == 403
    for weak in ("short", "carlcarl12"[:4] * 3, "aaaaaaaaaaaa"):
        assert (await carl.http.post("/api/auth/password", json={"current": PASSWORD, "password": weak})).status_code in (422, 429)


async def test_sessions_are_listed_and_ended(place: Town) -> None:
    """One by one, or all others; somebody else's are not there."""
    dora, other, stranger = await place.person("dora"), await place.login("dora"), await place.person("dieter")
    listed = (await dora.http.get("/api/auth/sessions")).json()["sessions"]
    assert [session["current"] for session in listed].count(True) == 1
    (id_,) = [session["id"] for session in listed if not session["current"]]
    assert (await stranger.http.delete(f"/api/auth/sessions/{id_}")).status_code == 404
    async with viewer(place.server.ws_url, additional_headers=other.cookie) as socket:
        assert (await dora.http.delete(f"/api/auth/sessions/{id_}")).status_code == 204
        assert await closed(socket.socket) == 4401
    assert (await other.http.get("/api/projects")).status_code == 401
    third = await place.login("dora")
    assert (await dora.http.delete("/api/auth/sessions")).status_code == 204
    assert (await third.http.get("/api/projects")).status_code == 401
    assert (await dora.http.post("/api/auth/logout")).status_code == 204
    assert (await dora.http.get("/api/projects")).status_code == 401


async def test_a_revoked_key_ends_its_sockets(place: Town) -> None:
    """At once when it is revoked here, and soon when a command does it beside the server."""
    emil = await place.person("emil")
    for by_command in (False, True):
        key = await emil.key(name="socket")
        async with viewer(place.server.ws_url, subprotocols=["bearer", key]) as socket:
            assert socket.socket.subprotocol == "bearer"
            if by_command:
                assert (await tavernkeep(place.server.folder, "key", "revoke", key)).code == 0
            else:
                id_ = (await emil.http.get("/api/users/me/service-keys")).json()["keys"][0]["id"]
                assert (await emil.http.delete(f"/api/users/me/service-keys/{id_}")).status_code == 204
            assert await closed(socket.socket) == 4401
        async with place.with_key(key) as client:
            assert (await client.get("/api/projects")).status_code == 401


async def test_a_revoked_key_ends_its_streams(place: Town) -> None:
    """Streams of events too: nothing more is told, not even that there is no more; the execution goes on."""
    emma = await place.person("emma")
    asks = {"nodes": [{"id": "ask", "fullType": "flow:WaitForPerson", "inputs": {"question": "Serve?"}}], "edges": []}
    id_ = (await emma.http.post("/api/prompt", json=asks)).json()["promptId"]
    for by_command in (False, True):
        key = await emma.key(name="stream")
        async with place.with_key(key) as client, client.stream("GET", f"/api/prompt/{id_}/events") as answer:
            lines = answer.aiter_lines()
            while "NODE_WAITING" not in await anext(lines):
                pass
            if by_command:
                assert (await tavernkeep(place.server.folder, "key", "revoke", key)).code == 0
            else:
                keys = (await emma.http.get("/api/users/me/service-keys")).json()["keys"]
                assert (await emma.http.delete(f"/api/users/me/service-keys/{keys[0]['id']}")).status_code == 204
            assert "".join([line async for line in lines if not line.startswith(":")]) == ""
    assert (await emma.http.get(f"/api/prompt/{id_}")).json()["status"] == "running"
    assert (await emma.http.delete(f"/api/interrupt/{id_}")).status_code == 200


async def test_keys_expire_and_have_scopes(place: Town) -> None:
    """An expired one is no key; one for a single project reaches that alone; none gives what its maker has not."""
    fritz = await place.person("fritz")
    for name in ("inn", "cellar"):
        await fritz.http.post("/api/projects", json={"name": name})
    async with place.with_key(await fritz.key("project:read:inn")) as key:
        assert (await key.get("/api/projects/inn/metadata")).status_code == 200
        assert (await key.get("/api/projects/cellar/metadata")).status_code == 403
        assert (await key.put("/api/projects/inn", json={"description": "x"})).status_code == 403
        assert (await key.get("/api/projects")).status_code == 403
        assert (await key.get("/api/chat/sessions", params={"projectId": "inn"})).status_code == 200
        assert (await key.get("/api/chat/sessions", params={"projectId": "cellar"})).status_code == 403
    async with place.with_key(await fritz.key("account:self")) as key:
        assert (await key.post("/api/users/me/service-keys", json={"scopes": ["project:write"]})).status_code == 403
        assert (await key.post("/api/users/me/service-keys", json={"scopes": ["*"]})).status_code == 403
    assert (await fritz.http.post("/api/users/me/service-keys", json={"scopes": ["users:admin"]})).status_code == 403
    assert (await fritz.http.post("/api/users/me/service-keys", json={"expiresAt": "2020-01-01T00:00:00Z"})).status_code == 422


async def test_what_a_key_has_opened_ends_with_it(place: Town) -> None:
    """A socket of it is closed, and requests are refused."""
    rosa = await place.person("rosa")
    for seconds in (2, 8, 32):  # what comes first may take a busy machine longer than the key is good
        key = await rosa.brief_key(seconds, "project:read")
        with suppress(InvalidStatus):
            async with viewer(place.server.ws_url, subprotocols=["bearer", str(key)]) as socket, place.with_key(str(key)) as client:
                if (await client.get("/api/projects")).status_code == 200:
                    assert await closed(socket.socket) == 4401
                    assert (await client.get("/api/projects")).status_code == 401
                    return
    pytest.fail("no key was good for long enough")


async def test_a_key_in_an_address_is_refused(place: Town) -> None:
    """It would be in every log on the way; the answer says to revoke it."""
    key = await (await place.person("gerd")).key()
    async with place.client() as client:
        answer = await client.get("/api/projects", params={"key": key})
        assert (answer.status_code, "revoke" in answer.json()["error"]) == (400, True)
    assert key not in place.server.output()


async def test_roles(place: Town) -> None:
    """A viewer reads and changes nothing; only an administrator administers; the last one stays one."""
    hans = await place.person("hans", "viewer")
    assert (await hans.http.get("/api/projects")).status_code == 200
    for answer in (
        await hans.http.post("/api/projects", json={"name": "x"}),
        await hans.http.post("/api/prompt", json={"nodes": [], "edges": []}),
        await hans.http.post("/api/fam/write-json", json={"logicalPath": "user://x", "content": 1}),
        await hans.http.get("/api/admin/users"),
    ):
        assert answer.status_code == 403
    async with place.with_key(await hans.key("*")) as key:
        assert (await key.post("/api/projects", json={"name": "x"})).status_code == 403
    users = "/api/admin/users"
    assert (await place.admin.http.put(f"{users}/{place.admin.uid}", json={"role": "user"})).status_code == 409
    assert (await place.admin.http.put(f"{users}/{place.admin.uid}", json={"disabled": True})).status_code == 409
    promoted = await place.admin.http.put(f"{users}/{hans.uid}", json={"role": "user"})
    assert promoted.json()["role"] == "user"
    assert (await hans.http.get("/api/projects")).status_code == 401  # a change of rights is a new login
    hans = await place.login("hans")
    assert (await hans.http.post("/api/projects", json={"name": "x"})).status_code == 201


async def test_a_disabled_user_is_out(place: Town) -> None:
    """Session, key and socket at once, and no way back in until enabled."""
    ida = await place.person("ida")
    key = await ida.key()
    async with viewer(place.server.ws_url, additional_headers=ida.cookie) as socket:
        assert (await place.admin.http.put(f"/api/admin/users/{ida.uid}", json={"disabled": True})).status_code == 200
        assert await closed(socket.socket) == 4401
    async with place.with_key(key) as client, place.client() as nobody:
        assert (await client.get("/api/projects")).status_code == 401
        assert (await ida.http.get("/api/projects")).status_code == 401
        assert (await nobody.post(LOGIN, json={"username": "ida", "password": PASSWORD})).status_code == 401
        await place.admin.http.put(f"/api/admin/users/{ida.uid}", json={"disabled": False})
        assert (await nobody.post(LOGIN, json={"username": "ida", "password": PASSWORD})).status_code == 200
        assert (await client.get("/api/projects")).status_code == 200


async def test_mass_assignment(place: Town) -> None:
    """Fields that are not the caller's to set change nothing, wherever they are put."""
    jana = await place.person("jana")
    extra = {
        "isAdmin": True,
        "role": "admin",
        "uid": place.admin.uid,
        "scopes": ["*"],
        "user_id": place.admin.uid,
        "__proto__": {"isAdmin": True},
    }
    await jana.http.put("/api/users/me/username", json={"username": "jana2"} | extra)
    await jana.http.post("/api/projects", json={"name": "p", "owner": place.admin.uid} | extra)
    await jana.http.post("/api/auth/password", json={"current": PASSWORD, "password": "another good one"} | extra)
    me = (await jana.http.get("/api/auth/current")).json()["currentUser"]
    assert (me["username"], me["isAdmin"], me["role"], me["uid"]) == ("jana2", False, "user", jana.uid)
    assert (await jana.http.get("/api/admin/users")).status_code == 403


@pytest.mark.parametrize("mode", ["closed", "invitation", "open"])
async def test_registration(tmp_path: Path, mode: str) -> None:
    """As it is configured; an invitation works once in any mode, with the role that it was made for."""
    async with town(tmp_path, {"auth": {"provider": "multiuser", "multiuser": {"registration": mode}}}) as place, place.client() as nobody:
        body = {"username": "anyone", "password": PASSWORD}
        assert (await nobody.post("/api/auth/register", json=body)).status_code == (201 if mode == "open" else 403)
        invitation = (await place.admin.http.post("/api/admin/invitations", json={"role": "viewer"})).json()
        assert (await place.admin.http.get("/api/admin/invitations")).json()["invitations"][0]["id"] == invitation["id"]
        invited = {"username": "guest", "password": PASSWORD, "token": invitation["token"]}
        both = await asyncio.gather(*(nobody.post("/api/auth/register", json=invited | {"username": name}) for name in ("g1", "g2")))
        assert sorted(answer.status_code for answer in both)[0] == 201
        assert [answer.status_code for answer in both].count(201) == (2 if mode == "open" else 1)
        roles = [answer.json()["user"]["role"] for answer in both if answer.status_code == 201]
        assert roles.count("viewer") == 1
        withdrawn = (await place.admin.http.post("/api/admin/invitations", json={"role": "admin"})).json()
        assert (await place.admin.http.delete(f"/api/admin/invitations/{withdrawn['id']}")).status_code == 204
        late = await nobody.post("/api/auth/register", json={"username": "late", "password": PASSWORD, "token": withdrawn["token"]})
        assert late.status_code == (201 if mode == "open" else 403)
        assert mode != "open" or late.json()["user"]["role"] == "user"


async def test_a_reset_token_works_once(place: Town) -> None:
    """It sets a new password, ends the sessions, and is worth nothing afterwards."""
    karl = await place.person("karl")
    token = (await place.admin.http.post(f"/api/admin/users/{karl.uid}/reset")).json()["token"]
    async with place.client() as nobody:
        assert (await nobody.post("/api/auth/reset", json={"token": "x" * 43, "password": "a brand new one"})).status_code == 403
        assert (await nobody.post("/api/auth/reset", json={"token": token, "password": "a brand new one"})).status_code == 204
        assert (await nobody.post("/api/auth/reset", json={"token": token, "password": "one more of them"})).status_code == 403
    assert (await karl.http.get("/api/projects")).status_code == 401
    await place.login("karl", "a brand new one")


async def test_one_time_codes(place: Town) -> None:
    """Once set up, a login wants one; each is good once, and guessing them is slowed down."""
    lisa = await place.person("lisa")
    assert (await lisa.http.post("/api/auth/totp", json={"password": "wrong wrong"})).status_code == 403
    secret = (await lisa.http.post("/api/auth/totp", json={"password": PASSWORD})).json()["secret"]
    totp = pyotp.TOTP(secret)
    assert (await lisa.http.post("/api/auth/totp/confirm", json={"code": "000000"})).status_code == 401
    used = totp.now()
    assert (await lisa.http.post("/api/auth/totp/confirm", json={"code": used})).status_code == 204
    body = {"username": "lisa", "password": PASSWORD}
    async with place.client() as client:
        wanted = await client.post(LOGIN, json=body)
        assert (wanted.status_code, wanted.json()["totpRequired"]) == (401, True)
        assert (await client.post(LOGIN, json=body | {"totp": used})).status_code == 401  # seen before
        later = totp.at(time.time() + 30)  # a clock that is half a minute ahead is forgiven
        assert (await client.post(LOGIN, json=body | {"totp": later})).status_code == 200
        answers = [(await client.post(LOGIN, json=body | {"totp": f"{guess:06}"})).status_code for guess in range(12)]
        assert 429 in answers
    for file in (place.server.folder / "data").glob("tavernkeep.sqlite3*"):
        assert secret.encode() not in file.read_bytes()


async def test_guessing_a_password_is_slowed_down(place: Town) -> None:
    """One account from one address; many at once are counted as many. Who owns it still gets in from where they were before."""
    moritz = await place.person("moritz")
    async with place.client() as thief:
        elsewhere = {"X-Forwarded-For": "203.0.113.7"}
        tries = [thief.post(LOGIN, json={"username": "moritz", "password": f"guess {n}"}, headers=elsewhere) for n in range(20)]
        answers = [answer.status_code for answer in await asyncio.gather(*tries)]
        assert answers.count(401) <= 5 + 6  # the wait doubles with each: a busy machine may take a minute for all, and not an hour
        assert 429 in answers
        slowed = await thief.post(LOGIN, json={"username": "moritz", "password": PASSWORD}, headers=elsewhere)
        assert (slowed.status_code, int(slowed.headers["retry-after"]) >= 1) == (429, True)
    assert (await moritz.http.post(LOGIN, json={"username": "moritz", "password": PASSWORD})).status_code == 200


async def test_credential_stuffing_is_slowed_down(place: Town) -> None:
    """Many accounts from one address."""
    async with place.client() as thief:
        elsewhere = {"X-Forwarded-For": "203.0.113.8"}
        tries = [thief.post(LOGIN, json={"username": f"user{n}", "password": PASSWORD}, headers=elsewhere) for n in range(60)]
        answers = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert answers.count(401) <= 30 + 6  # the wait doubles with each, as above
    assert set(answers) == {401, 429}


async def test_the_address_cannot_be_made_up(tmp_path: Path) -> None:
    """Only a trusted proxy is believed, and of what it hands on only what it has seen itself."""
    async with town(tmp_path, {"web": {"trustedProxies": []}}) as place, place.client() as thief:
        answers = []
        for n in range(12):
            forged = {"X-Forwarded-For": f"203.0.113.{n}"}
            answers.append((await thief.post(LOGIN, json={"username": "mayor2", "password": "x" * 12}, headers=forged)).status_code)
        assert 429 in answers


def test_a_login_costs_as_much_for_a_name_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One password is hashed, with the same parameters, whoever it is for: how long it takes tells nobody which names there are."""
    verify, costs = PasswordHasher.verify, []

    def counted(hasher: PasswordHasher, hashed: str, password: bytes) -> bool:
        costs.append(extract_parameters(hashed))
        return verify(hasher, hashed, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    config = {"auth": {"provider": "multiuser", "multiuser": {"registration": "open"}}}
    with Tavern.open(tmp_path, config) as tavern, tavern.client() as thief:
        made = thief.post("/api/auth/register", json={"username": "nora", "password": PASSWORD})
        assert made.status_code == 201
        for name in ("nora", "nobody"):
            assert thief.post(LOGIN, json={"username": name, "password": "x" * 12}).status_code == 401
    assert len(costs) == 2
    assert costs[0] == costs[1]


async def test_what_was_done_can_be_looked_up(place: Town) -> None:
    """Logins, failed ones too, keys, roles: by administrators alone, and no secret is in it."""
    olga = await place.person("olga")
    key = await olga.key()
    async with place.client() as client:
        await client.post(LOGIN, json={"username": "olga", "password": "not hers at all"})
        await client.post(LOGIN, json={"username": "my secret passphrase", "password": "x"})
    assert (await olga.http.get("/api/admin/audit")).status_code == 403
    entries = (await place.admin.http.get("/api/admin/audit", params={"limit": 1000})).json()["entries"]
    actions = {entry["action"] for entry in entries}
    assert {"login", "login.failed", "user.created", "key.created"} <= actions
    assert "my secret passphrase" not in str(entries)
    for secret in (key, PASSWORD, "not hers at all"):
        assert secret not in str(entries) + place.server.output()
    shown = await tavernkeep(place.server.folder, "audit", "--action", "key.created")
    assert "olga" in shown.stdout


@pytest.mark.slow
async def test_users_by_command(tmp_path: Path) -> None:
    """Made, listed, shut out, given another password; what cannot be done is one line."""
    made = await tavernkeep(tmp_path, "user", "create", "root", "--admin", config=MULTIUSER, stdin=PASSWORD.encode())
    assert (made.code, made.stdout.startswith("made admin root")) == (0, True), made.stderr
    weak = await tavernkeep(tmp_path, "user", "create", "weak", stdin=b"short")
    assert (weak.code, "password must have 10" in weak.stderr) == (1, True)
    assert (await tavernkeep(tmp_path, "user", "create", "root", stdin=PASSWORD.encode())).code == 1
    assert (await tavernkeep(tmp_path, "user", "disable", "root")).code == 1  # the last administrator
    assert (await tavernkeep(tmp_path, "user", "create", "anna", stdin=PASSWORD.encode())).code == 0
    assert (await tavernkeep(tmp_path, "user", "reset", "anna", stdin=b"a brand new one")).code == 0
    assert "anna" in (await tavernkeep(tmp_path, "user", "list")).stdout
    key = (await tavernkeep(tmp_path, "key", "create", "--user", "anna", "--scope", "project:read", "--days", "1")).stdout.strip()
    async with serve(tmp_path) as server:
        assert "with the token" not in server.output()
        login = await server.http.post(LOGIN, json={"username": "anna", "password": "a brand new one"})
        assert login.status_code == 200
        assert (await server.http.get("/api/projects", headers={"Authorization": f"Bearer {key}"})).status_code == 200
        assert (await tavernkeep(tmp_path, "user", "disable", "anna")).code == 0
        assert (await server.http.get("/api/projects", headers={"Authorization": f"Bearer {key}"})).status_code == 401


@pytest.mark.slow
async def test_modes_are_swapped_and_nothing_is_lost(tmp_path: Path) -> None:
    """The local user's data is given to an account, and back."""
    async with serve(tmp_path, {}) as server:
        await server.http.post("/api/projects", json={"name": "inn"})
        await server.http.post("/api/fam/write-json", json={"logicalPath": "user://notes/a.json", "content": 1})
        await server.http.post("/api/llm/models", json={"modelId": "m", "displayName": "M"})
        await server.http.post("/api/llm/channels", json={"label": "c", "baseUrl": "http://x", "apiKey": "sk-0123456789abc"})
        await server.http.post("/api/users/me/credentials", json={"serviceName": "s", "credential": "0123456789"})
        ran = (await server.http.post("/api/prompt", json={"nodes": [], "edges": []})).json()["promptId"]
        await server.http.get(f"/api/history/{ran}")
    (tmp_path / "config.json").write_text('{"auth": {"provider": "multiuser"}}')
    assert (await tavernkeep(tmp_path, "user", "create", "anna", stdin=PASSWORD.encode())).code == 0

    async def held(place: Town) -> list[Any]:
        anna = await place.login("anna")
        return [
            [entry["id"] for entry in (await anna.http.get("/api/projects")).json()],
            (await anna.http.get("/api/fam/read/user%3A%2F%2Fnotes%2Fa.json")).json(),
            [entry["modelId"] for entry in (await anna.http.get("/api/llm/models")).json()],
            [entry["apiKey"] for entry in (await anna.http.get("/api/llm/channels")).json()],
            [entry["serviceName"] for entry in (await anna.http.get("/api/users/me/credentials")).json()["credentials"]],
            [entry["promptId"] for entry in (await anna.http.get("/api/history")).json()["executions"]],
        ]

    async with town(tmp_path) as place:
        assert await held(place) == [[], None, [], [], [], []]
    everything = [["inn"], 1, ["m"], ["sk-0…9abc"], ["s"], [ran]]
    given = await tavernkeep(tmp_path, "user", "adopt", "anna")
    assert given.code == 0, given.stderr
    async with town(tmp_path) as place:
        assert await held(place) == everything
    assert (await tavernkeep(tmp_path, "user", "adopt", "anna", "--back")).code == 0
    async with serve(tmp_path, {}) as server:
        assert [entry["id"] for entry in (await server.http.get("/api/projects")).json()] == ["inn"]
        assert (await server.http.get(f"/api/history/{ran}")).status_code == 200
