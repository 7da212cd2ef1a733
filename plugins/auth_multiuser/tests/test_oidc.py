"""Login through an identity provider: a real one on a real port, and what an attacker would make of it."""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx2
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import RSAKey

from support.asgi import serving
from support.users import Town, town

KEY, OTHER_KEY = RSAKey.generate_key(2048, {"kid": "1"}), RSAKey.generate_key(2048, {"kid": "1"})


def by_hand(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    return (signed + b"." + base64.urlsafe_b64encode(sign(signed)).rstrip(b"=")).decode()


@attrs.define
class Provider:
    """An identity provider; `spoil` changes the claims of its tokens, `sign` how they are signed."""

    url: str = ""
    nonce: str = ""
    challenge: str = ""
    claims: dict[str, Any] = attrs.field(factory=dict)
    sign: str = "right"
    asked: list[dict[str, list[str]]] = attrs.field(factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = (await receive()).get("body", b"")
        content: Any
        if scope["path"] == "/.well-known/openid-configuration":
            names = ("authorization", "token")
            content = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | {f"{name}_endpoint": f"{self.url}/{name}" for name in names}
        elif scope["path"] == "/keys":
            content = {"keys": [KEY.as_dict(private=False)]}
        else:
            self.asked.append(parse_qs(body.decode()))
            content = {"id_token": self.token(), "access_token": "x", "token_type": "Bearer"}
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    def token(self) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": "tavern", "sub": "subject-1", "exp": now + 300, "iat": now, "nonce": self.nonce}
        claims |= {"preferred_username": "anna"} | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.sign == "none":
            return by_hand({"alg": "none"}, claims, lambda _: b"")
        if self.sign == "with the public key as a secret":
            secret = KEY.as_pem(private=False)
            return by_hand({"alg": "HS256", "kid": "1"}, claims, lambda signed: hmac.digest(secret, signed, "sha256"))
        return jwt.encode({"alg": "RS256", "kid": "1"}, claims, OTHER_KEY if self.sign == "with another key" else KEY)


@pytest_asyncio.fixture(scope="module")
async def running() -> AsyncIterator[Provider]:
    provider = Provider()
    async with serving(provider) as url:
        provider.url = url
        yield provider


@pytest.fixture
def provider(running: Provider) -> Provider:
    """The provider, as honest as at first."""
    running.claims, running.sign = {}, "right"
    running.asked.clear()
    return running


@pytest_asyncio.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, running: Provider) -> AsyncIterator[Town]:
    """A server that lets people in by that provider."""
    oidc = {"issuer": running.url, "clientId": "tavern", "clientSecret": "PLANTED-client-secret"}
    async with town(tmp_path_factory.mktemp("town"), {"auth": {"provider": "multiuser", "multiuser": {"oidc": oidc}}}) as running:
        yield running


addresses: list[str] = []


async def begin(browser: httpx2.AsyncClient, provider: Provider) -> str:
    """Begin a login; gives the state that the provider is to send back."""
    sent = await browser.get("/api/auth/oidc/login")
    assert sent.status_code == 302
    asked = {name: values[0] for name, values in parse_qs(urlsplit(sent.headers["location"]).query).items()}
    assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == ("code", "tavern", "S256")
    assert asked["redirect_uri"].endswith("/api/auth/oidc/callback")
    provider.nonce, provider.challenge = asked["nonce"], asked["code_challenge"]
    return asked["state"]


async def login(place: Town, provider: Provider) -> tuple[httpx2.Response, dict[str, Any]]:
    address = f"198.51.100.{len(addresses)}"  # of its own, as failed logins are slowed down by address
    addresses.append(address)
    async with place.client(headers={"X-Forwarded-For": address}) as browser:
        state = await begin(browser, provider)
        answer = await browser.get("/api/auth/oidc/callback", params={"code": "c", "state": state})
        return answer, (await browser.get("/api/auth/current")).json()


async def test_a_login_makes_an_account_once(place: Town, provider: Provider) -> None:
    """The same person is the same account the next time, whatever they are called by then; the code is exchanged with the verifier."""
    answer, who = await login(place, provider)
    assert (answer.status_code, answer.headers["location"]) == (302, "/")
    assert (who["currentUser"]["username"], who["currentUser"]["isAdmin"]) == ("anna", False)
    assert who["oidcLoginUrl"] == "/api/auth/oidc/login"
    assert len(provider.asked[0]["code_verifier"][0]) >= 43
    provider.claims = {"preferred_username": "anna the second"}
    again = (await login(place, provider))[1]
    assert again["currentUser"]["uid"] == who["currentUser"]["uid"]
    assert "PLANTED" not in place.server.output()


async def test_a_name_here_is_not_a_name_there(place: Town, provider: Provider) -> None:
    """Who is called `mayor` at the provider does not become the mayor."""
    provider.claims = {"preferred_username": "mayor", "sub": "subject-2"}
    who = (await login(place, provider))[1]["currentUser"]
    assert (who["username"], who["isAdmin"]) == ("mayor 2", False)
    assert who["uid"] != place.admin.uid


@pytest.mark.parametrize("sign", ["none", "with another key", "with the public key as a secret"])
async def test_forged_tokens(place: Town, provider: Provider, sign: str) -> None:
    """Signed by nobody, by somebody else, or by what everybody knows."""
    provider.sign = sign
    answer, who = await login(place, provider)
    assert (answer.status_code, who["isAuthenticated"]) == (401, False)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": ["tavern", "another"]},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"nonce": "planted"},
        {"nonce": None},
        {"sub": None},
        {"iat": None},
    ],
    ids=str,
)
async def test_tokens_for_another_purpose(place: Town, provider: Provider, claims: dict[str, Any]) -> None:
    """From elsewhere, for another application, old, or of another login."""
    provider.claims = claims
    answer, who = await login(place, provider)
    assert (answer.status_code, who["isAuthenticated"]) == (401, False)


async def test_login_csrf(place: Town, provider: Provider) -> None:
    """Somebody else's answer is worth nothing in a browser that has not begun that login; neither is a made up state or cookie."""
    callback = "/api/auth/oidc/callback"
    async with place.client(headers={"X-Forwarded-For": "203.0.113.1"}) as attacker, place.client() as victim:
        state = await begin(attacker, provider)
        for client, query in ((victim, {"code": "c", "state": state}), (attacker, {"code": "c", "state": "x"}), (attacker, {"code": "c"})):
            assert (await client.get(callback, params=query)).status_code == 401
        assert (await attacker.get(callback, params={"state": state, "error": "access_denied"})).status_code == 401
        await begin(victim, provider)
        assert (await victim.get(callback, params={"code": "c", "state": state})).status_code == 401
        forged = {"Cookie": "tavernkeep-oidc=e30="}
        assert (await victim.get(callback, params={"code": "c", "state": state}, headers=forged)).status_code == 401


async def test_a_provider_that_is_not_there(tmp_path: Path) -> None:
    """502, and everybody else still gets in."""
    oidc = {"issuer": "http://127.0.0.1:9", "clientId": "tavern"}
    async with town(tmp_path, {"auth": {"provider": "multiuser", "multiuser": {"oidc": oidc}}}) as place, place.client() as browser:
        assert (await browser.get("/api/auth/oidc/login")).status_code == 502
        await place.person("bert")
