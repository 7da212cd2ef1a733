"""What the headers of any answer must be like."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

import httpx2

# Nothing of this server is anybody's to keep without asking; what not everybody may have is no shared cache's either.
CACHING: Final = ("no-store", "no-cache", "private, no-cache")
GUARDS: Final = {"x-content-type-options": "nosniff", "referrer-policy": "same-origin", "x-frame-options": "SAMEORIGIN"}
ONCE: Final = ("content-type", "cache-control", "etag", "content-disposition", "access-control-allow-origin", *GUARDS)
FRONT_END: Final = "http://localhost:5573"


def wrong(answer: httpx2.Response, origin: str | None = None) -> list[str]:
    """Everything that is wrong with an answer's headers.

    Args:
        origin: Of the page that asked.
    """
    return list(_wrong(answer, origin))


def _wrong(answer: httpx2.Response, origin: str | None) -> Iterator[str]:
    headers = answer.headers
    many = Counter(name.lower().decode() for name, _ in headers.raw)
    yield from (f"{name} is there {many[name]} times" for name in ONCE if many[name] > 1)
    yield from (f"{name.decode()} is empty" for name, value in headers.raw if not value.strip())
    yield from (f"{name} is {headers.get(name)}" for name, value in GUARDS.items() if headers.get(name) != value)
    if "x-request-id" not in headers:
        yield "there is no x-request-id"
    yield from _of_content(answer)
    if "origin" not in headers.get("vary", "").lower():
        yield "who asks does not count: vary has no Origin"
    allowed = headers.get("access-control-allow-origin")
    if origin == FRONT_END:
        if (allowed, headers.get("access-control-allow-credentials")) != (origin, "true"):
            yield f"the front end is not allowed it: {allowed}"
        if "etag" not in headers.get("access-control-expose-headers", "").lower():
            yield "the front end does not see the tag"
    elif allowed not in (None, "*") or (allowed and answer.url.path.startswith("/api/fam/sdk/") is False):
        yield f"{origin} is allowed it: {allowed}"
    elif "access-control-allow-credentials" in headers:
        yield "any page is allowed it with credentials"


def _of_content(answer: httpx2.Response) -> Iterator[str]:
    headers, kind = answer.headers, answer.headers.get("content-type", "")
    if answer.status_code in (204, 304):
        if kind and answer.status_code == 204:
            yield f"it has no content, which is {kind}"
    elif not re.fullmatch(r"[a-z]+/[a-z0-9.+-]+(; (version|boundary|charset)=[\w.-]+)*", kind) or kind.count("charset=") > 1:
        yield f"content-type is {kind!r}"
    elif kind.startswith("text/") and kind != "text/event-stream" and "charset=utf-8" not in kind:
        yield f"a text without its charset: {kind}"
    caching = headers.get("cache-control")
    if caching not in CACHING:
        yield f"cache-control is {caching}"
    if "etag" in headers and caching == "no-store":
        yield "what has a tag is not to be kept"
