"""PNG pictures with texts in them."""

import base64
import json
import struct
import zlib
from typing import Any


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*texts: tuple[bytes, Any]) -> bytes:
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pieces = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0\0\0\0"))]
    pieces += [
        chunk(b"tEXt", key + b"\0" + (value if isinstance(value, bytes) else base64.b64encode(json.dumps(value).encode())))
        for key, value in texts
    ]
    return b"".join([*pieces, chunk(b"IEND", b"")])
