"""The OpenAPI document, made of the same declarations as the routes."""

import types
import typing
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import attrs

from tavernkeep.contracts.http import FileResponse, Response, Route, Source
from tavernkeep.schema import Schema, SchemaBuilder, first_line
from tavernkeep.wire import wire_name
from tavernkeep_web.binding import RouteBinding

_ERROR: Schema = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "details": {}, "message": {"type": "string"}, "success": {"const": False}},
    "anyOf": [{"required": ["error"]}, {"required": ["message", "success"]}],
}
_SEGMENT: Schema = {"pattern": "^[^/]+$"}
_JSON: dict[str, Any] = {"application/json": {}}


def openapi_document(routes: Iterable[tuple[str, Route, RouteBinding]], version: str, *, has_login: bool) -> dict[str, Any]:
    """An OpenAPI 3.1 document of the routes.

    Args:
        routes: Each with the name of its plugin, which groups it.
        has_login: Whether one has to log in, or to show a key, for what is not public.
    """
    builder = SchemaBuilder("#/components/schemas/", {"Error": _ERROR})
    paths: dict[str, dict[str, Any]] = {}
    for plugin, route, binding in routes:
        path = "/".join(part.partition(":")[0] + "}" if part.startswith("{") and ":" in part else part for part in route.path.split("/"))
        paths.setdefault(path, {})[route.method.lower()] = _operation(plugin, route, binding, builder, has_login)
    return {
        "openapi": "3.1.0",
        "info": {"title": "tavernkeep", "version": version},
        "paths": paths,
        "components": {
            "schemas": builder.definitions,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "tavernkeep",
                    "description": "A login; `__Host-…` under TLS.",
                },
            },
        },
    }


def _operation(plugin: str, route: Route, binding: RouteBinding, builder: SchemaBuilder, has_login: bool) -> dict[str, Any]:
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"} | ({} if f"{{{name}:path}}" in route.path else _SEGMENT),
        }
        for name in binding.path
    ]
    if binding.query is not None:
        hints = typing.get_type_hints(binding.query)
        parameters += [
            {
                "name": wire_name(field),
                "in": "query",
                "required": field.default is attrs.NOTHING,
                "schema": builder.of(hints[field.name]),
            }
            for field in attrs.fields(binding.query)
        ]
    operation: dict[str, Any] = {
        "operationId": f"{plugin}_{getattr(route.handler, '__name__', 'handler')}",
        "summary": route.summary or first_line(route.handler),
        "tags": [route.tag or plugin],
        "responses": _responses(route, binding, builder),
    }
    if parameters:
        operation["parameters"] = parameters
    if binding.body is not None:
        schema = builder.of(route.takes or binding.body)
        operation["requestBody"] = {"required": binding.needs_body, "content": {"application/json": {"schema": schema}}}
    elif route.content:
        schema = {"type": "object"} if route.content.startswith("multipart/") else {}
        operation["requestBody"] = {"required": True, "content": {route.content: {"schema": schema}}}
    if route.scope is not None:
        operation["security"] = [{"key": []}, {"session": []}] if has_login else [{}, {"key": []}]
        operation["x-scope"] = route.scope
    if route.resource:
        operation["x-resource"] = [_wire_name(source, binding) for source in route.sources()]
    return operation


def _wire_name(source: Source, binding: RouteBinding) -> str:
    return wire_name(attrs.fields_dict(getattr(binding, source.parameter))[source.field]) if source.field else source.parameter


def _responses(route: Route, binding: RouteBinding, builder: SchemaBuilder) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    if binding.returns is type(None):
        responses["204"] = {"description": HTTPStatus.NO_CONTENT.phrase}
    else:
        returns = route.answers or binding.returns
        options = typing.get_args(returns) if isinstance(returns, types.UnionType) else (returns,)
        files = [option for option in options if option in (Response, FileResponse)]
        values = [builder.of(option) for option in options if option not in (*files, types.NoneType)]
        content: dict[str, Any] = {"*/*": {}} if files else {}
        if values:
            content["application/json"] = {"schema": values[0] if len(values) == 1 else {"anyOf": values}}
        responses[str(route.status)] = {"description": HTTPStatus(route.status).phrase}
        if route.status != HTTPStatus.NO_CONTENT:
            responses[str(route.status)]["content"] = content
        if types.NoneType in options:
            responses["204"] = {"description": HTTPStatus.NO_CONTENT.phrase}
    errors = {403: "The caller may not, or the request came from an unknown page or under an unknown name."}
    errors[429] = "There were too many requests."
    errors[401] = "A credential is wrong" + ("." if route.public else ", or there is none.")
    if binding.body is not None or route.content:
        errors[413] = "The body is too long."
        errors[415] = f"The body is not {route.content or 'JSON'} by its content type."
    if binding.body is not None or binding.query is not None:
        errors[422] = "The request does not fit; `details` lists every problem with its path."
    errors |= route.errors
    error_content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status, description in sorted(errors.items()):
        responses[str(status)] = {"description": description, "content": error_content if status >= HTTPStatus.BAD_REQUEST else _JSON}
    return responses
