"""Each plugin's migrations make its own tables, all of them and no others."""

import importlib
import inspect
import re

import pytest
from tortoise.models import Model

from tavernkeep.config.sections import PluginsConfig
from tavernkeep.contracts.storage import ModelSet
from tavernkeep.plugins.installed import Plugins

SETS = [entry for _, found in Plugins.discover(PluginsConfig(), []).collect("register_models", ModelSet) for entry in found]


@pytest.mark.parametrize("model_set", SETS, ids=[entry.app for entry in SETS])
def test_a_plugins_migrations_make_its_own_tables(model_set: ModelSet) -> None:
    """Whatever the tool that writes them has seen of other plugins."""
    module = importlib.import_module(model_set.module)
    models = [model for _, model in inspect.getmembers(module, inspect.isclass) if issubclass(model, Model) and model is not Model]
    tables = {str(model._meta.db_table) for model in models if model.__module__ == model_set.module}
    text = "".join(path.read_text() for path in sorted((model_set.migrations / "sqlite" / model_set.app).glob("[0-9]*.py")))
    made = set(re.findall(r'CREATE TABLE IF NOT EXISTS "(\w+)"', text))
    assert made - {"aerich"} == tables
