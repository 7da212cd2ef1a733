"""The JSON Schema of the configuration file."""

from collections.abc import Iterable

from tavernkeep.config.sections import CORE_SECTIONS, PLUGIN_PATHS, ConfigSection
from tavernkeep.schema import Schema, SchemaBuilder


def config_schema(plugin_sections: Iterable[ConfigSection]) -> Schema:
    """The JSON Schema of the whole config file."""
    builder = SchemaBuilder()
    properties: Schema = {PLUGIN_PATHS: builder.of(list[str]), "$schema": {"type": "string"}}
    schema: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tavernkeep configuration",
        "type": "object",
        "properties": properties,
    }
    for section in (*CORE_SECTIONS, *plugin_sections):
        holder = schema
        for name in section.path.split("."):
            holder = holder.setdefault("properties", {}).setdefault(name, {"type": "object"})
        holder.setdefault("properties", {}).update(builder.object(section.type)["properties"])
    return schema | {"$defs": builder.definitions}
