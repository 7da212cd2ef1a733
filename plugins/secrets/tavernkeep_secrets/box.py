"""Fernet (AES-128-CBC with HMAC-SHA256, authenticated), with the key from the configuration or from a file that is made once."""

import base64
import os
from pathlib import Path
from typing import Final

import structlog
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tavernkeep import ApiError

_SEALED: Final = "fernet:"
_PLAIN: Final = "plain:"
_KEY_FILE: Final = "master.key"

_log = structlog.get_logger(__name__)


class SecretBox:
    """See `Secrets`.

    Args:
        encrypt: Whether new secrets are encrypted; those that are can be opened in any case.
        master: The configured key, any text; a key file in the data folder when `None`.
    """

    def __init__(self, *, encrypt: bool, master: str | None, data: Path) -> None:
        self._encrypt = encrypt
        self._master = master
        self._file = data / _KEY_FILE
        self._made: Fernet | None = None

    def _fernet(self) -> Fernet:
        if self._made is None:
            material = self._master.encode() if self._master else self._from_file()
            derived = HKDF(SHA256(), 32, salt=None, info=b"tavernkeep secrets").derive(material)
            self._made = Fernet(base64.urlsafe_b64encode(derived))
        return self._made

    def _from_file(self) -> bytes:
        try:
            handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return self._read()
        except OSError as error:
            raise ApiError(503, f"There is no encryption key, and none can be made: {error.strerror}.") from None
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(os.urandom(32)))
            file.flush()
            os.fsync(file.fileno())
        _log.info("made an encryption key; keep a copy of it with your backups", file=str(self._file))
        return self._read()

    def _read(self) -> bytes:
        try:
            material = self._file.read_bytes().strip()
        except OSError as error:
            raise ApiError(503, f"The encryption key cannot be read: {error.strerror}.") from None
        if not material:
            raise ApiError(503, f"The encryption key in {self._file.name} is empty.")
        return material

    def seal(self, secret: str) -> str:
        """See `Secrets`."""
        if not self._encrypt:
            return _PLAIN + secret
        return _SEALED + self._fernet().encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """See `Secrets`."""
        if sealed.startswith(_PLAIN):
            return sealed.removeprefix(_PLAIN)
        try:
            return self._fernet().decrypt(sealed.removeprefix(_SEALED).encode()).decode()
        except InvalidToken:
            raise ApiError(503, "A stored secret cannot be opened: it was sealed with another key.") from None
