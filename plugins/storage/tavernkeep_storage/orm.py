"""How Tortoise is set up for the tables of plugins."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tavernkeep import ModelSet

CONNECTION: Final = "default"
AERICH: Final = "aerich"


def orm_config(connection: Mapping[str, Any], models: Sequence[ModelSet]) -> dict[str, Any]:
    """Tortoise's configuration for some tables."""
    apps = {model_set.app: {"models": [model_set.module], "default_connection": CONNECTION} for model_set in models}
    apps[AERICH] = {"models": ["aerich.models"], "default_connection": CONNECTION}
    return {"connections": {CONNECTION: dict(connection)}, "apps": apps, "use_tz": True, "timezone": "UTC"}
