"""What kind of content a file holds, by its name."""

import mimetypes
from pathlib import PurePosixPath
from typing import Final

UNKNOWN: Final = "application/octet-stream"
# What pages load: a browser takes a module or a font of no other type, and what the system says of them differs from machine to machine.
_OF_PAGES: Final = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".htm": "text/html",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".otf": "font/otf",
    ".svg": "image/svg+xml",
    ".ts": "text/plain",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xht": "application/xhtml+xml",
    ".xhtml": "application/xhtml+xml",
}
_PACKED: Final = {"br": UNKNOWN, "bzip2": "application/x-bzip2", "compress": "application/x-compress", "gzip": "application/gzip"}
_PAGES: Final = ("text/html", "text/xml", "application/xml", "text/xsl", "application/xslt+xml", "message/rfc822", "multipart/related")


def kind_of(name: str) -> str:
    """The media type of a file of that name.

    >>> kind_of("Index.HTML"), kind_of("archive.tar.gz"), kind_of("notes")
    ('text/html', 'application/gzip', 'application/octet-stream')
    """
    known = _OF_PAGES.get(PurePosixPath(name).suffix.lower())
    if known is not None:
        return known
    guessed, packed = mimetypes.guess_type(name)
    return (_PACKED.get(packed, UNKNOWN) if packed else guessed) or UNKNOWN


def is_page(kind: str) -> bool:
    """Whether a browser might show content of a media type as a page that can hold scripts, and be it by way of a stylesheet."""
    return kind in _PAGES or kind.endswith("+xml")
