"""Places to back up, and to restore into."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from support.backups import KEY, Place


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server that was used."""

    root = tmp_path_factory.mktemp("made") / "server"
    root.mkdir()
    (root / "config.json").write_text('{"logging": {"level": "warning"}}')
    place = Place(root)
    asyncio.run(place.start())
    (place.data / "users" / "u1" / "empty").mkdir(parents=True)
    (place.data / "users" / "u1" / "ä b.txt").write_text("a text")
    (place.data / "users" / "u1" / ("long" * 60)).write_bytes(os.urandom(3_000_000))
    (place.data / "library").mkdir()
    (place.data / "library" / "card.png").write_bytes(b"\x89PNG")
    (place.data / "plugins" / "p").mkdir(parents=True)
    tool = place.data / "plugins" / "p" / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    os.utime(tool, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    (place.data / "master.key").write_bytes(KEY)
    return root


@pytest.fixture
def place(tmp_path: Path, made: Path) -> Place:
    """A copy of it."""
    shutil.copytree(made, tmp_path / "server")
    return Place(tmp_path / "server")


@pytest.fixture
def other(tmp_path: Path) -> Place:
    """Where there is nothing yet."""
    (tmp_path / "other").mkdir()
    return Place(tmp_path / "other")
