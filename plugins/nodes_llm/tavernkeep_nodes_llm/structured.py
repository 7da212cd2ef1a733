"""StructuredOutput: an answer that fits a JSON Schema; one that does not goes back to the model with what is wrong with it."""

import asyncio
import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Slot
from tavernkeep.wire import Invalid, describe, loads
from tavernkeep_nodes_llm.adapters.errors import secrets_of
from tavernkeep_nodes_llm.contracts import Channel, Llm, LlmAdapter, LlmError, LlmRequest, LlmResponse
from tavernkeep_nodes_llm.messages import compact, from_json
from tavernkeep_nodes_llm.nodes import CATEGORY, GENERIC_LLM_REQUEST, request_of

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

_T = DataFlowType
_MOST_FENCES: Final = 20  # of an answer that are looked into
_MOST_PROBLEMS: Final = 10  # told to the model at once
_DEFAULT_ATTEMPTS: Final = 3


async def structured_output(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Ask until the answer fits."""
    schema = from_json(inputs["schema"], "schema")
    # Late, as it would hold up the start of every server; and in a thread, as it would hold up everybody else's nodes.
    await asyncio.to_thread(importlib.import_module, "jsonschema")
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    if not isinstance(schema, dict):
        raise NodeFailure(f"schema must be an object, not {describe(schema)}", slot="schema")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise NodeFailure(f"schema is no JSON Schema: {error.json_path}: {error.message}", slot="schema") from None
    validator = Draft202012Validator(schema)
    attempts = context.config.get("attempts", _DEFAULT_ATTEMPTS)
    if not isinstance(attempts, int) or attempts < 1:
        raise NodeFailure(f"attempts must be a number from 1, not {attempts!r}")
    request = request_of(inputs)
    channel, adapter = await context.service(Llm).route(request.model, context.user)
    for secret in secrets_of(channel):
        context.hide(secret)
    messages = [{"role": "system", "content": _instruction(schema)}, *request.messages]
    problems: list[str] = []
    for attempt in range(1, attempts + 1):
        context.progress(attempt, attempts)
        answer = await _ask(adapter, channel, attrs.evolve(request, messages=messages), schema)
        value, problems = judged(answer.text, validator)
        if not problems:
            return {"value": value, "json": compact(value), "attempts": attempt}
        messages = [*messages, {"role": "assistant", "content": answer.text}, {"role": "user", "content": _correction(problems)}]
    raise NodeFailure(f"no answer of {attempts} fitted the schema; the last: {'; '.join(problems)}", retryable=True)


async def _ask(adapter: LlmAdapter, channel: Channel, request: LlmRequest, schema: Mapping[str, Any]) -> LlmResponse:
    """Ask for the schema by the protocol's own means; where a service does not know them, by words alone."""
    format_ = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    try:
        return await adapter.complete(attrs.evolve(request, parameters={"response_format": format_, **request.parameters}), channel)
    except LlmError as error:
        if error.status not in (400, 422):
            raise
        return await adapter.complete(request, channel)


def judged(text: str, validator: "Draft202012Validator") -> tuple[Any, list[str]]:
    """What an answer says, and what is wrong with it."""
    problem = ""
    for candidate in _candidates(text):
        try:
            value = loads(candidate)
            break
        except Invalid as invalid:
            problem = problem or str(invalid)
    else:
        return None, [problem]
    errors = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
    return value, [f"{error.json_path}: {error.message[:300]}" for error in errors[:_MOST_PROBLEMS]]


def _candidates(text: str) -> Iterator[str]:
    """Where in an answer its JSON may be: all of it, after its thoughts, in a fence, or between the first bracket and the last."""
    yield text.strip()
    said = text.rpartition("</think>")[2].strip()
    yield said
    pieces = said.split("```")
    for piece in pieces[1::2][:_MOST_FENCES]:
        first, _, rest = piece.partition("\n")
        yield rest if first.strip().isalnum() else piece.strip()
    for opening, closing in sorted((("{", "}"), ("[", "]")), key=lambda pair: said.find(pair[0]) % (len(said) + 1)):
        if 0 <= said.find(opening) < said.rfind(closing):
            yield said[said.find(opening) : said.rfind(closing) + 1]


def _instruction(schema: Mapping[str, Any]) -> str:
    return f"Answer with one JSON value that fits this JSON Schema, and with nothing else:\n{compact(schema)}"


def _correction(problems: Sequence[str]) -> str:
    return "That does not fit the schema. Answer again, with the JSON alone. What is wrong:\n" + "\n".join(
        f"- {problem}" for problem in problems
    )


_ASKING: Final = {
    key: GENERIC_LLM_REQUEST.inputs[key] for key in ("messages", "activated_model_id", "parameters", "temperature", "max_tokens")
}

STRUCTURED_OUTPUT = NodeDefinition(
    type="StructuredOutput",
    namespace="llm",
    category=CATEGORY,
    display_name="Structured output",
    description="Asks for an answer that fits a JSON Schema; one that does not goes back to the model with what is wrong with it.",
    width=350,
    inputs={
        **_ASKING,
        "schema": Slot(
            _T.OBJECT, description="A JSON Schema, or its text.", required=True, match_categories=("Json",), config={"languageHint": "json"}
        ),
    },
    outputs={
        "value": Slot(_T.WILDCARD, display_name="Value"),
        "json": Slot(_T.STRING, display_name="JSON", match_categories=("Json",)),
        "attempts": Slot(_T.INTEGER, display_name="Attempts"),
    },
    config_schema={
        "attempts": Slot(
            _T.INTEGER,
            display_name="Attempts 尝试次数",
            description="How often the model is asked at most.",
            config={"default": _DEFAULT_ATTEMPTS, "min": 1, "max": 20},
        )
    },
    config_values={"attempts": _DEFAULT_ATTEMPTS},
    execute=structured_output,
    is_preview_unsafe=True,
)
