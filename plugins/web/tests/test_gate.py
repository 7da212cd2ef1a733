"""Hosts and origins."""

import pytest

from tavernkeep_web.config import FrontendAddress, OriginsConfig, ServerConfig, WebConfig
from tavernkeep_web.gate import Denied, Gate

GATE = Gate.of(
    WebConfig(allowed_hosts=["tavern.example"]),
    ServerConfig(),
    OriginsConfig(cors_allowed_origins=["https://app.example/"], panel_dev_origins=["http://localhost:5174"]),
)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "a.localhost", "127.0.0.1:3233", "[::1]:3233", "10.0.0.1", "tavern.example:443", None]
)
def test_known_names(host: str | None) -> None:
    """Localhost, plain addresses, and what the operator names."""
    GATE.check("GET", host, [])


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "tavern.example.evil", "", "[", "0x7f000001.x"]
)
def test_unknown_names(host: str) -> None:
    """Anything else may have been pointed here by who controls the name."""
    with pytest.raises(Denied, match="allowedHosts"):
        GATE.check("GET", host, [])


@pytest.mark.parametrize(
    "origin", ["http://localhost:5573", "http://127.0.0.1:5573", "https://app.example", "http://localhost:5174", "http://localhost:3233"]
)
def test_known_pages_may_change_things(origin: str) -> None:
    """The front end, configured origins, and pages of this very server."""
    GATE.check("POST", "localhost:3233", [origin])


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://app.example",
        "https://app.example.evil",
        "http://localhost:1",
        "http://[",  # no address at all
        "http://[::1",
        "http://]localhost:3233",
        "http://[v1.x]",
        "http://\u2100/",  # which becomes a/c where it is normalized
        "x" * 10_000,
    ],
)
def test_unknown_pages_may_not(origin: str) -> None:
    """Writes and handshakes are refused; reads are left to CORS."""
    for method in ("POST", "PUT", "DELETE", "CONNECT"):
        with pytest.raises(Denied, match="corsAllowedOrigins"):
            GATE.check(method, "localhost:3233", [origin])
    GATE.check("GET", "localhost:3233", [origin])


def test_an_origin_that_is_no_address_is_an_error_of_the_configuration() -> None:
    """It is found at the start, and not by the first page that comes."""
    with pytest.raises(ValueError, match=r"corsAllowedOrigins must be .*'http://\['"):
        OriginsConfig(cors_allowed_origins=["http://["])
    with pytest.raises(ValueError, match="baseUrl must be"):
        FrontendAddress(base_url="http://[")
