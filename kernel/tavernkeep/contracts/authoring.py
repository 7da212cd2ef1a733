"""The short way to write a node: a typed function and a decorator.

```python
from typing import Annotated

from tavernkeep import Slot, node


@node("demo:Repeat", category="Text")
def repeat(text: str, times: Annotated[int, Slot(config={"min": 1})] = 2) -> str:
    \"\"\"Say a text several times.\"\"\"
    return text * times
```

Parameters become inputs, the return annotation becomes the outputs, the docstring the description. An async generator streams.
"""

import collections.abc
import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Mapping
from functools import update_wrapper
from typing import Any, Generic, TypeVar

import attrs

from tavernkeep.contracts.nodes import Kind, NodeDefinition
from tavernkeep.contracts.running import Chunk, NodeContext, Outputs, Stream
from tavernkeep.contracts.slots import DataFlowType, Slot, Slots
from tavernkeep.schema import first_line

F = TypeVar("F", bound=Callable[..., Any])

_TYPES: Mapping[Any, DataFlowType] = {
    str: DataFlowType.STRING,
    int: DataFlowType.INTEGER,
    float: DataFlowType.FLOAT,
    bool: DataFlowType.BOOLEAN,
    bytes: DataFlowType.BINARY,
    dict: DataFlowType.OBJECT,
    list: DataFlowType.ARRAY,
    tuple: DataFlowType.ARRAY,
}


class Config:
    """Marks a parameter that is filled from the node's configuration and not from an input: `Annotated[str, Config()]`."""

    def __init__(self, slot: Slot | None = None) -> None:
        self.slot = slot or Slot()


@attrs.define(eq=False)
class Node(Generic[F]):
    """A function that is a node; calling it calls the function."""

    function: F
    definition: NodeDefinition

    @property
    def __call__(self) -> F:
        return self.function


def node(
    type_: str,
    *,
    category: str = "",
    display_name: str = "",
    output: str = "output",
    outputs: Slots | None = None,
    inline: bool = False,
    process: bool = False,
    **definition: Any,
) -> Callable[[F], Node[F]]:
    """Make a node of a function.

    Args:
        type_: `namespace:Type`, what workflows call it.
        output: The name of the one output, when the function returns a plain value.
        outputs: The outputs, when the function returns a mapping of several.
        inline: The function returns in well under a millisecond and never blocks; it then runs without a thread of its own.
        process: The function computes for long: it runs in a process of its own. It is a module's own function, takes no context, and
            what it takes and returns can be pickled.
        definition: Anything else that a `NodeDefinition` takes.

    Raises:
        TypeError: The signature cannot be made into slots; the message names the parameter.
    """
    namespace, _, name = type_.rpartition(":")
    if not namespace or not name:
        raise TypeError(f"a node type is 'namespace:Type', not {type_!r}")

    def decorate(function: F) -> Node[F]:
        plan = _Signature.of(function, type_)
        if process and (plan.context or Kind.of(function, inline=False) is not Kind.THREAD):
            raise TypeError(f"node {type_}: what runs in a process of its own is a plain function without a context")
        outs = _outputs(function, output) if outputs is None else outputs
        made = NodeDefinition(
            type=name,
            namespace=namespace,
            category=category,
            display_name=display_name,
            description=first_line(function),
            inputs=plan.inputs,
            outputs=outs,
            config_schema=plan.config or None,
            config_values={key: slot.config["default"] for key, slot in plan.config.items() if "default" in slot.config},
            execute=update_wrapper(plan.adapt(function, None if outputs is not None else next(iter(outs), None)), function, (), ()),
            inline=inline,
            process=f"{function.__module__}:{function.__qualname__}" if process else None,
            **definition,
        )
        return Node(function, made)

    return decorate


@attrs.frozen
class _Signature:
    """What a function's parameters are filled with."""

    inputs: dict[str, Slot]
    config: dict[str, Slot]
    context: str | None
    defaults: dict[str, Any]

    @classmethod
    def of(cls, function: Callable[..., Any], type_: str) -> "_Signature":
        hints = typing.get_type_hints(function, include_extras=True)
        inputs: dict[str, Slot] = {}
        config: dict[str, Slot] = {}
        defaults: dict[str, Any] = {}
        context = None
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise TypeError(f"node {type_}: parameter {parameter.name!r} must be an ordinary one, not {parameter.kind.description}")
            hint = hints.get(parameter.name, Any)
            if hint is NodeContext:
                context = parameter.name
                continue
            slot, is_config = _slot(hint, parameter)
            (config if is_config else inputs)[parameter.name] = slot
            defaults[parameter.name] = None if parameter.default is parameter.empty else parameter.default
        return cls(inputs, config, context, defaults)

    def adapt(self, function: Callable[..., Any], single: str | None) -> Callable[[dict[str, Any], NodeContext], Any]:
        """The function in the engine's calling convention: a mapping of inputs and a context in, a mapping of outputs out."""
        input_names, config_names, context_name, defaults = tuple(self.inputs), tuple(self.config), self.context, self.defaults

        def arguments(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
            given = {name: inputs[name] if name in inputs else defaults[name] for name in input_names}
            for name in config_names:
                given[name] = context.config.get(name, defaults[name])
            return given if context_name is None else given | {context_name: context}

        def wrapped(result: Any) -> Any:
            return result if single is None else {single: result}

        kind = Kind.of(function, inline=True)
        if kind is Kind.STREAM:

            async def stream(inputs: dict[str, Any], context: NodeContext) -> Any:
                pieces = function(**arguments(inputs, context))
                try:
                    async for piece in pieces:
                        yield piece
                finally:
                    await pieces.aclose()

            return stream
        if kind is Kind.ASYNC:

            async def run(inputs: dict[str, Any], context: NodeContext) -> Any:
                return wrapped(await typing.cast("Awaitable[Any]", function(**arguments(inputs, context))))

            return run

        def call(inputs: dict[str, Any], context: NodeContext) -> Any:
            return wrapped(function(**arguments(inputs, context)))

        return call


def _slot(hint: Any, parameter: inspect.Parameter) -> tuple[Slot, bool]:
    extras: tuple[Any, ...] = ()
    if typing.get_origin(hint) is typing.Annotated:
        hint, *rest = typing.get_args(hint)
        extras = tuple(rest)
    config = next((extra for extra in extras if isinstance(extra, Config)), None)
    base = next((extra for extra in extras if isinstance(extra, Slot)), config.slot if config else Slot())
    has_default = parameter.default is not parameter.empty
    settings = dict(base.config)
    if has_default and parameter.default is not None:
        settings.setdefault("default", parameter.default)
    slot = attrs.evolve(
        base,
        data_flow_type=_flow_type(hint) if base.data_flow_type is DataFlowType.WILDCARD else base.data_flow_type,
        is_stream=base.is_stream or hint is Stream,
        required=base.required or not has_default,
        config=settings,
    )
    return slot, config is not None


def _flow_type(hint: Any) -> DataFlowType:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return _flow_type(options[0]) if len(options) == 1 else DataFlowType.WILDCARD
    origin = typing.get_origin(hint) or hint
    if origin is collections.abc.Mapping:
        return DataFlowType.OBJECT
    return _TYPES.get(origin, DataFlowType.WILDCARD)


def _outputs(function: Callable[..., Any], name: str) -> dict[str, Slot]:
    hint = typing.get_type_hints(function).get("return", Any)
    if hint is type(None):
        return {}
    if inspect.isasyncgenfunction(function):
        items = {option for argument in typing.get_args(hint)[:1] for option in typing.get_args(argument) or (argument,)}
        is_text = items <= {str, Chunk, Outputs} and str in items
        return {name: Slot(DataFlowType.STRING if is_text else DataFlowType.WILDCARD, is_stream=True)}
    return {name: Slot(_flow_type(hint))}
