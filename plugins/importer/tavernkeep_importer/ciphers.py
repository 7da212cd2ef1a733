"""Opens secrets that another installation has sealed: AES-CBC, written as `IV:BASE64`."""

import base64
import binascii
import hashlib
from collections.abc import Iterator

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 16  # bytes


def looks_sealed(text: str) -> bool:
    """Whether a text has the form of a sealed secret."""
    iv, colon, body = text.partition(":")
    return bool(colon) and len(_bytes(iv)) == _BLOCK and len(_bytes(body)) % _BLOCK == 0 and len(_bytes(body)) > 0


def open_sealed(text: str, master: str) -> str | None:
    """The secret; `None` when the key does not open it.

    How a key is made of the configured text is not written down anywhere: it is tried as hexadecimal, as Base64, as it is, and by its
    SHA-256. A wrong key gives itself away by its padding or by text that is none.
    """
    iv, _, body = text.partition(":")
    for key in _keys(master):
        decryptor = Cipher(algorithms.AES(key), modes.CBC(_bytes(iv))).decryptor()
        unpadder = padding.PKCS7(_BLOCK * 8).unpadder()
        try:
            plain = unpadder.update(decryptor.update(_bytes(body)) + decryptor.finalize()) + unpadder.finalize()
            secret = plain.decode()
        except ValueError:
            continue
        if secret.isprintable():
            return secret
    return None


def _keys(master: str) -> Iterator[bytes]:
    raw = master.encode()
    for key in (_hex(master), _base64(master), raw):
        if len(key) in (16, 24, 32):
            yield key
    yield hashlib.sha256(raw).digest()


def _bytes(text: str) -> bytes:
    return _hex(text) if len(text) == 2 * _BLOCK and _hex(text) else _base64(text)


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
