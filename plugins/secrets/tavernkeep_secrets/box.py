"""Fernet (AES-128-CBC with HMAC-SHA256, authenticated), with the key from the configuration or from a file that is made once."""

import base64
import os
from pathlib import Path
from typing import Final

import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tavernkeep import ApiError
from tavernkeep_secrets.contracts import KEY_FILE, KeyMissing, Resealing
from tavernkeep_secrets.resealing import Resealed

_SEALED: Final = "fernet:"
_PLAIN: Final = "plain:"

_log = structlog.get_logger(__name__)


class SecretBox:
    """See `Secrets`.

    The key file holds a key a line, the present one first; those below it open what was sealed before they were replaced.

    Args:
        encrypt: Whether new secrets are encrypted; those that are can be opened in any case.
        master: The configured key, any text; the key file's when `None`.
        old: A configured key that was replaced.
    """

    def __init__(self, *, encrypt: bool, master: str | None, data: Path, old: str | None = None) -> None:
        self._encrypt = encrypt
        self._master = master
        self._old = old
        self._file = data / KEY_FILE
        self._made: MultiFernet | None = None

    def _fernet(self) -> MultiFernet:
        if self._made is None:
            configured = [text.encode() for text in (self._master, self._old) if text]
            materials = configured + (self._read() if self._file.exists() else []) if self._master else self._from_file() + configured
            self._made = MultiFernet([_derived(material) for material in materials])
        return self._made

    def _from_file(self) -> list[bytes]:
        try:
            handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return self._read()
        except OSError as error:
            raise KeyMissing(f"There is no encryption key, and none can be made: {error.strerror}.") from None
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_new_key())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._file.unlink()  # an empty one would be in the way of every later try
            raise KeyMissing(f"There is no encryption key, and none can be made: {error.strerror}.") from None
        _log.info("made an encryption key; keep a copy of it with your backups", file=str(self._file))
        return self._read()

    def _read(self) -> list[bytes]:
        try:
            materials = self._file.read_bytes().split()
        except OSError as error:
            raise KeyMissing(f"The encryption key cannot be read: {error.strerror}.") from None
        if not materials:
            raise KeyMissing(f"The encryption key in {self._file.name} is empty.")
        return materials

    def seal(self, secret: str) -> str:
        """See `Secrets`."""
        if not self._encrypt:
            return _PLAIN + secret
        return _SEALED + self._fernet().encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """See `Secrets`."""
        if sealed.startswith(_PLAIN):
            return sealed.removeprefix(_PLAIN)
        token = sealed.removeprefix(_SEALED)
        try:
            return self._fernet().decrypt(token.encode()).decode()
        except InvalidToken:
            if not _is_whole(token):
                raise ApiError(503, "A stored secret cannot be opened: something else was written over it.") from None
            raise KeyMissing("A stored secret cannot be opened: it was sealed with another key.") from None

    def begin_rotation(self) -> Resealing:
        """See `Secrets`."""
        if self._master is None:
            self._write([_new_key().strip(), *self._from_file()])
        self._made = None
        return Resealed(self)

    def end_rotation(self) -> None:
        """See `Secrets`."""
        if self._master is None:
            self._write(self._read()[:1])
        self._made = None

    def _write(self, materials: list[bytes]) -> None:
        temporary = self._file.with_suffix(".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(b"\n".join(materials) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._file)


def _new_key() -> bytes:
    return base64.b64encode(os.urandom(32)) + b"\n"


def _derived(material: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(HKDF(SHA256(), 32, salt=None, info=b"tavernkeep secrets").derive(material)))


def _is_whole(token: str) -> bool:
    """Whether it has the form of what Fernet makes: version, time, vector, blocks and signature."""
    try:
        data = base64.urlsafe_b64decode(token)
    except ValueError:
        return False
    return data[:1] == b"\x80" and len(data) >= 73 and (len(data) - 57) % 16 == 0
