"""Sealing and opening."""

import os
import resource
import stat
from pathlib import Path

import pytest

from tavernkeep import ApiError
from tavernkeep_secrets.box import SecretBox


def test_what_is_sealed_is_opened_again(tmp_path: Path) -> None:
    """After a restart too; the key file is the owner's alone, and the sealed text shows nothing."""
    sealed = SecretBox(encrypt=True, master=None, data=tmp_path).seal("sk-secret 酒")
    assert "secret" not in sealed
    assert SecretBox(encrypt=True, master=None, data=tmp_path).open(sealed) == "sk-secret 酒"
    assert stat.S_IMODE(os.stat(tmp_path / "master.key").st_mode) == 0o600


def test_a_configured_key_needs_no_file(tmp_path: Path) -> None:
    """And another key does not open it."""
    sealed = SecretBox(encrypt=True, master="0" * 64, data=tmp_path).seal("x")
    assert not list(tmp_path.iterdir())
    assert SecretBox(encrypt=False, master="0" * 64, data=tmp_path).open(sealed) == "x"
    with pytest.raises(ApiError, match="another key") as refused:
        SecretBox(encrypt=True, master="1" * 64, data=tmp_path).open(sealed)
    assert refused.value.status == 503


def test_the_same_secret_is_never_sealed_the_same(tmp_path: Path) -> None:
    """So that nobody sees that two are equal."""
    box = SecretBox(encrypt=True, master="k", data=tmp_path)
    assert box.seal("x") != box.seal("x")


def test_without_encryption(tmp_path: Path) -> None:
    """It is stored as it is, whatever it looks like."""
    box = SecretBox(encrypt=False, master=None, data=tmp_path)
    assert box.open(box.seal("fernet:abc")) == "fernet:abc"


def test_no_key_is_503(tmp_path: Path) -> None:
    """Where none can be made."""
    with pytest.raises(ApiError) as refused:
        SecretBox(encrypt=True, master=None, data=tmp_path / "nowhere").seal("x")
    assert refused.value.status == 503
    (tmp_path / "master.key").write_bytes(b"")
    with pytest.raises(ApiError, match="empty"):
        SecretBox(encrypt=True, master=None, data=tmp_path).seal("x")


def test_a_key_that_could_not_be_written_is_in_nobodys_way(tmp_path: Path) -> None:
    """Once there is room again it is made: an empty file was left, and no execution could be recorded any more."""
    box = SecretBox(encrypt=True, master=None, data=tmp_path)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1]))
    try:
        with pytest.raises(ApiError, match="none can be made"):
            box.seal("x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert not list(tmp_path.iterdir())
    assert box.open(box.seal("x")) == "x"
