"""The JSON Schema of the configuration file."""

from collections.abc import Mapping

from tavernkeep.config.sections import CORE_SECTIONS, PLUGIN_PATHS
from tavernkeep.schema import Schema, SchemaBuilder


def config_schema(plugin_sections: Mapping[str, type]) -> Schema:
    """The JSON Schema of the whole config file."""
    builder = SchemaBuilder()
    properties: Schema = {PLUGIN_PATHS: builder.of(list[str]), "$schema": {"type": "string"}}
    for path, type_ in sorted({**CORE_SECTIONS, **plugin_sections}.items()):
        head, _, rest = path.partition(".")
        if rest:
            holder = properties.setdefault(head, {})
            holder.setdefault("properties", {})[rest] = builder.of(type_)
        else:
            properties[head] = builder.of(type_)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tavernkeep configuration",
        "type": "object",
        "properties": properties,
        "$defs": builder.definitions,
    }
