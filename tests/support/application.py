"""The installed plugins in this process and its event loop, as a command has them: with a database, and nothing served."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tavernkeep.app import Application
from tavernkeep.config.source import ConfigSource
from tavernkeep.contracts.app import Role


@asynccontextmanager
async def started(folder: Path, config: Mapping[str, Any] | None = None) -> AsyncIterator[Application]:
    """An app on a folder, with what one before it left there."""
    file = folder / "config.json"
    file.write_text(json.dumps(config or {}), encoding="utf-8")
    app = Application.load(ConfigSource.read(file, {}))
    await app.start(Role.NONE)
    try:
        yield app
    finally:
        await app.stop()
