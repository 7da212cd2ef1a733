"""Files as answers: under which name, how fresh, and which part of them."""

import asyncio
import hashlib
import os
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from quart import Response as QuartResponse
from quart import request
from quart.wrappers.response import FileBody
from werkzeug.http import parse_range_header

from tavernkeep.contracts.http import ApiError, FileResponse

_PIECE: Final = 128 * 1024  # bytes of a file that are read at once: each is two visits to a thread
_NO_PLAIN_NAME: Final = re.compile(r'[^ -~]|["\\]|%(?=[0-9A-Fa-f]{2})')  # what browsers do not agree about (RFC 6266, appendix D)
_UNQUOTED: Final = "!#$&+-.^_`|~"  # RFC 8187, attr-char


async def file_answer(result: FileResponse, *, public: bool) -> QuartResponse:
    """A file, or the part of it that the request wants, or that it is the one which the client has (304).

    No cache gives it out without asking (`no-cache`), and where not everybody may have it none that is shared does (`private`), unless its
    headers say otherwise.

    Raises:
        ApiError: 404, there is no such file.
    """
    try:
        status = await asyncio.to_thread(os.stat, result.path)
        body = FileBody(result.path, buffer_size=_PIECE)
    except OSError as error:
        raise ApiError(404, f"There is no such file: {error.strerror}.") from None
    kind = result.content_type
    if kind.startswith("text/") and "charset=" not in kind:
        kind += "; charset=utf-8"
    attached = result.download_as is not None
    headers = {
        "Content-Disposition": disposition("attachment" if attached else "inline", result.download_as or result.path.name),
        "Cache-Control": "no-cache" if public else "private, no-cache",
        **result.headers,
    }
    answer = QuartResponse(body, content_type=kind, headers=headers)
    answer.content_length = body.size
    answer.set_etag(_tag(status, kind, headers))
    answer.headers["Accept-Ranges"] = "bytes"
    _resolve_suffix_range(body.size)
    await answer.make_conditional(request, accept_ranges=True, complete_length=body.size)
    return answer


def disposition(way: str, name: str) -> str:
    """The header `Content-Disposition` for a file of any name (RFC 6266, RFC 8187).

    Args:
        way: `inline` or `attachment`.

    >>> disposition("inline", "the 酒.txt")
    'inline; filename="the _.txt"; filename*=UTF-8\\'\\'the%20%E9%85%92.txt'
    """
    return f"{way}; filename=\"{_NO_PLAIN_NAME.sub('_', name)}\"; filename*=UTF-8''{quote(name, _UNQUOTED, errors='replace')}"


def _tag(status: os.stat_result, kind: str, headers: Mapping[str, str]) -> str:
    """What another content has not, nor the same under other headers: browsers keep those that came with the content, its policy too."""
    said = hashlib.blake2b(repr((kind, sorted(headers.items()))).encode(), digest_size=8).hexdigest()
    return f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}-{said}"


def _resolve_suffix_range(size: int) -> None:
    """Say a range that is counted from the end (`bytes=-500`) from the beginning: Quart knows only those."""
    wanted = parse_range_header(request.headers.get("Range"))
    if wanted is not None and len(wanted.ranges) == 1 and wanted.ranges[0][0] < 0:
        resolved = wanted.range_for_length(size)
        if resolved is not None:
            request.headers["Range"] = f"bytes={max(resolved[0], 0)}-{resolved[1] - 1}"
