"""What is believed of what proxies say."""

from typing import Any

import pytest

from tavernkeep.wire import Invalid, structure
from tavernkeep_web.config import ServerConfig, WebConfig
from tavernkeep_web.forwarded import Arrival, Proxies

PROXIES = Proxies.of(WebConfig(trusted_proxies=["127.0.0.1", "::1", "10.0.0.0/8"]), ServerConfig())


def arrival(headers: dict[str, str | list[str]], peer: str | None = "127.0.0.1", proxies: Proxies = PROXIES, **scope: Any) -> Arrival:
    lines = [
        (name.encode(), value.encode()) for name, given in headers.items() for value in (given if isinstance(given, list) else [given])
    ]
    return proxies.arrival({"client": peer and (peer, 1), "scheme": "http", "headers": lines, **scope})


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({"x-forwarded-for": "203.0.113.7"}, "203.0.113.7"),
        ({"x-forwarded-for": "203.0.113.7:40000"}, "203.0.113.7"),
        ({"x-forwarded-for": "[2001:db8::7]:4711"}, "2001:db8::7"),
        ({"X-Forwarded-For": "2001:DB8:0::7"}, "2001:db8::7"),
        ({"x-forwarded-for": "::ffff:203.0.113.7"}, "203.0.113.7"),
        ({"x-forwarded-for": "198.51.100.1, 203.0.113.7"}, "203.0.113.7"),
        ({"x-forwarded-for": "203.0.113.7, 10.1.2.3, 10.9.9.9:80"}, "203.0.113.7"),
        ({"x-forwarded-for": ["198.51.100.1", "203.0.113.7"]}, "203.0.113.7"),
        ({"x-forwarded-for": ", ,203.0.113.7,,"}, "203.0.113.7"),
        ({"forwarded": "for=203.0.113.7"}, "203.0.113.7"),
        ({"forwarded": 'for="[::1]:4711";proto=http'}, "127.0.0.1"),
        ({"forwarded": 'For="[2001:db8::7]:4711";Proto=http, for=10.0.0.1;by=10.0.0.2'}, "2001:db8::7"),
        ({"forwarded": "proto=https; host=x ; for = 203.0.113.7:_port"}, "203.0.113.7"),
        ({"x-real-ip": "203.0.113.7"}, "203.0.113.7"),
        ({"x-real-ip": "10.0.0.1", "x-forwarded-for": "203.0.113.7, 10.0.0.1"}, "203.0.113.7"),
        ({"forwarded": "for=203.0.113.7", "x-forwarded-for": "203.0.113.7:1"}, "203.0.113.7"),
        # What is nobody, and what cannot be read: then it is the proxy that is known, and nothing else.
        ({"forwarded": "for=unknown"}, "127.0.0.1"),
        ({"forwarded": "for=_hidden, for=10.0.0.1"}, "127.0.0.1"),
        ({"forwarded": "proto=https"}, "127.0.0.1"),
        ({"x-forwarded-for": "203.0.113.7, garbage"}, "127.0.0.1"),
        ({"x-forwarded-for": ""}, "127.0.0.1"),
        ({"x-forwarded-for": "203.0.113.7:port"}, "127.0.0.1"),
        ({"x-forwarded-for": "[::1"}, "127.0.0.1"),
        ({"x-forwarded-for": "203.0.113.7\u00e9"}, "127.0.0.1"),
        ({"x-forwarded-for": "10.0.0.1, 10.0.0.2"}, "127.0.0.1"),
        # One of them a proxy writes; what a client has put into the other passes through it.
        ({"forwarded": "for=198.51.100.1", "x-forwarded-for": "203.0.113.7"}, "127.0.0.1"),
        ({"x-real-ip": "198.51.100.1", "forwarded": "for=203.0.113.7"}, "127.0.0.1"),
        ({"forwarded": ['for="198.51.100.1', "for=203.0.113.7"]}, "203.0.113.7"),  # a quote that is left open swallows nothing
        ({"x-forwarded-for": "x" * 100_000 + ", 203.0.113.7"}, "203.0.113.7"),
        ({"x-forwarded-for": "198.51.100.1," * 10_000 + "203.0.113.7"}, "203.0.113.7"),
        ({"forwarded": ";" * 100_000 + ",for=203.0.113.7"}, "203.0.113.7"),
    ],
    ids=str,
)
def test_whom_a_request_is_from(headers: dict[str, str | list[str]], client: str) -> None:
    """The last in the chain that is no trusted proxy, in whichever form it is written."""
    assert arrival(headers).client == client


def test_who_is_no_trusted_proxy_is_not_believed() -> None:
    """Whatever they say: of an address, of TLS, of a path."""
    said = {"x-forwarded-for": "203.0.113.7", "forwarded": "for=203.0.113.7;proto=https", "x-forwarded-prefix": "/tavern"}
    for peer in ("192.0.2.1", "2001:db8::1"):
        assert arrival(dict(said), peer) == Arrival(peer, named=("203.0.113.7", "203.0.113.7"))
    assert arrival(dict(said), None).client is None
    assert arrival(dict(said), "::ffff:127.0.0.1").client == "203.0.113.7"  # a trusted one, in another spelling


def test_every_address_that_is_named_is_told() -> None:
    """For who serves this machine alone, and must know whether anybody else is behind a request; a chain of any length hides none."""
    assert arrival({"x-forwarded-for": "10.1.2.3, 127.0.0.1:1", "forwarded": "for=_x"}).named == ("_x", "10.1.2.3", "127.0.0.1")
    named = arrival({"x-forwarded-for": "203.0.113.7" + ", 127.0.0.1" * 100}).named
    assert named[0].startswith("203.0.113.7")
    assert len(named[0]) <= 200


@pytest.mark.parametrize(
    ("headers", "secure"),
    [
        ({"x-forwarded-proto": "https"}, True),
        ({"x-forwarded-proto": "HTTPS , http"}, True),
        ({"x-forwarded-proto": "wss"}, True),
        ({"forwarded": 'for=1.2.3.4;proto="https", for=10.0.0.1;proto=http'}, True),
        ({"x-forwarded-proto": "http"}, False),
        ({"x-forwarded-proto": "httpsx"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_whether_it_came_by_tls(headers: dict[str, str | list[str]], secure: bool) -> None:
    """To the outermost proxy, which is whom the browser sees."""
    assert arrival(headers).secure is secure


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/tavern", "/tavern"),
        ("/tavern/", "/tavern"),
        ("tavern", "/tavern"),
        ("/a/b-c_d.e~f", "/a/b-c_d.e~f"),
        ("/outer, /inner", "/outer/inner"),
        ("/", ""),
        ("", ""),
        ("//evil.example", ""),
        ("/\\evil.example", ""),
        ("https://evil.example", ""),
        ("/..", ""),
        ("/a/../b", ""),
        ("/./a", ""),
        ("/a//b", ""),
        ("/%2e%2e", ""),
        ("/a; Domain=evil.example", ""),
        ("/a\r\nSet-Cookie: a=b", ""),
        ('/"><script>', ""),
        ("/{{ 7*7 }}", ""),
        ("/\u00e9", ""),
        ("/" + "a" * 100_000, ""),
        ("/a," * 10_000, ""),
    ],
    ids=lambda text: text[:30],
)
def test_below_which_path(prefix: str, path: str) -> None:
    """One that could lead anywhere else, or mean anything in a page, a cookie or a header, is none."""
    assert arrival({"x-forwarded-prefix": prefix}).base_path == path


def test_the_configured_path_is_nobody_elses_to_say() -> None:
    """Neither is that there is none; what the program `hypercorn` was told counts where nothing is configured."""
    below, whole = (Proxies.of(WebConfig(), ServerConfig(base_path=path)) for path in ("tavern/", "/"))
    assert arrival({"x-forwarded-prefix": "/evil"}, proxies=below).base_path == "/tavern"
    assert arrival({}, "192.0.2.1", below).base_path == "/tavern"
    assert arrival({"x-forwarded-prefix": "/evil"}, proxies=whole).base_path == ""
    assert arrival({}, root_path="/asgi").base_path == "/asgi"


@pytest.mark.parametrize(
    ("section", "given", "message"),
    [
        (WebConfig, {"trustedProxies": ["proxy.example"]}, "trustedProxies must be addresses or networks"),
        (WebConfig, {"trustedProxies": ["10.0.0.0/40"]}, "trustedProxies must be addresses or networks"),
        (ServerConfig, {"basePath": "https://tavern.example/x"}, "basePath: a path of letters"),
        (ServerConfig, {"basePath": "/a/../b"}, "such as /tavern"),
    ],
)
def test_what_is_misconfigured_is_said_at_the_start(section: type, given: dict[str, Any], message: str) -> None:
    """With the key, and what it takes."""
    with pytest.raises(Invalid, match=message):
        structure(given, section)
