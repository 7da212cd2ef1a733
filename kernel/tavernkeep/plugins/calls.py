"""Calling hooks: in pluggy's order, each plugin for itself, so that one that breaks costs no other its results.

pluggy describes the hooks and checks who implements them. Its own loop ends with the first exception, and does not tell whose a result is.
"""

import asyncio
import difflib
import inspect
from collections.abc import AsyncIterator, Callable, Container, Generator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import attrs
import pluggy

from tavernkeep import hookspecs
from tavernkeep.config.sections import StartError
from tavernkeep.contracts.plugins import Plugin

Results = list[tuple[Plugin, Any]]
Fail = Callable[[Plugin, str, BaseException], None]


@attrs.define
class Calls:
    """The hooks, and the plugins that implement them.

    Attributes:
        fail: What is done about a plugin that raised.
        awaited: The hooks that are being awaited at present.
    """

    fail: Fail
    awaited: list[str] = attrs.field(factory=list)
    _hooks: pluggy.PluginManager = attrs.field(factory=lambda: pluggy.PluginManager(hookspecs.PROJECT), repr=False)
    _plugins: list[Plugin] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._hooks.add_hookspecs(hookspecs)

    def add_specifications(self, module: Any) -> Callable[[], None]:
        """Add hooks; the returned function takes them back.

        Raises:
            ValueError: There are none in it, or one that is there already, or one of pluggy's that has no meaning here.
        """
        specs = {name: spec for name in dir(module) if (spec := self._hooks.parse_hookspec_opts(module, name)) is not None}
        for name, spec in specs.items():
            if hasattr(self._hooks.hook, name):
                raise ValueError(f"there is a hook {name!r} already")
            if spec["historic"]:
                raise ValueError(f"hook {name!r}: historic=True has no meaning here")
        self._hooks.add_hookspecs(module)

        def take_back() -> None:
            for name in specs:
                delattr(self._hooks.hook, name)

        return take_back

    def specifications_of(self, plugin: Plugin) -> list[object]:
        """The objects with hook specifications of a plugin's own: asked for before anything of it is registered."""
        if self._hooks.parse_hookimpl_opts(plugin.implementation, "register_hookspecs") is None:
            return []
        return list(plugin.implementation.register_hookspecs())

    def add(self, plugin: Plugin) -> None:
        """Let a plugin's hooks be called from now on, after those of the plugins that were added before it.

        Raises:
            LookupError: It implements a hook that does not exist; with the nearest name.
            ValueError: It implements one in a way that has no meaning here.
            pluggy.PluginValidationError: An argument is none of the hook's.
        """
        self._hooks.register(plugin.implementation, plugin.name)
        try:
            for caller in self._hooks.get_hookcallers(plugin.implementation) or ():
                for implementation in caller.get_hookimpls():
                    if implementation.plugin is plugin.implementation:
                        self._check(caller, implementation)
        except BaseException:
            self._hooks.unregister(plugin.implementation)
            raise
        self._plugins.append(plugin)

    def _check(self, caller: pluggy.HookCaller, implementation: pluggy.HookImpl) -> None:
        name = caller.name
        if caller.spec is None:
            if implementation.optionalhook:
                return
            known = [other for other, found in vars(self._hooks.hook).items() if getattr(found, "spec", None)]
            near = difflib.get_close_matches(name, known, 1)
            raise LookupError(f"there is no hook {name!r}" + (f"; there is {near[0]!r}" if near else ""))
        if implementation.hookwrapper:
            raise ValueError(f"hook {name!r}: hookwrapper=True is the old way to wrap; write wrapper=True")
        awaited = inspect.iscoroutinefunction(caller.spec.function)
        if awaited and implementation.wrapper:
            raise ValueError(f"hook {name!r} is awaited for each plugin by itself and cannot be wrapped")
        if not awaited and inspect.iscoroutinefunction(implementation.function):
            raise ValueError(f"hook {name!r} is called and not awaited: it is no coroutine function")

    def remove(self, plugin: Plugin) -> None:
        """Call nothing of a plugin any more."""
        if plugin in self._plugins:
            self._plugins.remove(plugin)
            self._hooks.unregister(plugin.implementation)

    def guarded(self, plugin: Plugin, where: str, function: Callable[..., Any], *arguments: Any, ends_start: bool = False) -> Any:
        """What a function of a plugin gives; `None` when it raised, and the plugin has failed then.

        Args:
            ends_start: A `StartError` is for the operator, and passes.
        """
        try:
            return function(*arguments)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or (ends_start and isinstance(error, StartError)):
                raise
            self.fail(plugin, where, error)
        return None

    def call(self, hook: str, among: Container[Plugin] | None = None, **arguments: Any) -> Results:
        """Call a hook; gives each active plugin with what it returned, without those that returned nothing.

        Args:
            among: Only these plugins, inside whoever wraps the hook.
        """
        found = [entry for entry in self._implementations(hook, arguments) if entry[0].is_active]
        ends_start = "app" in arguments

        def enter(wrapper: Callable[[], Generator[None, Any, Any]]) -> Generator[None, Any, Any]:
            generator = wrapper()
            next(generator)
            return generator

        entered: list[tuple[Plugin, Generator[None, Any, Any]]] = []
        for plugin, implementation, function in found:
            if implementation.wrapper and (generator := self.guarded(plugin, hook, enter, function, ends_start=ends_start)):
                entered.append((plugin, generator))
        first = self._is_first(hook)
        results: Results = []
        for plugin, implementation, function in found:
            if implementation.wrapper or not plugin.is_active or (among is not None and plugin not in among):
                continue
            result = self.guarded(plugin, hook, _whole, function, ends_start=ends_start)
            if result is not None:
                results.append((plugin, result))
                if first:
                    break
        for plugin, generator in reversed(entered):
            changed = self.guarded(plugin, f"{hook} (wrapper)", _leave, plugin, generator, results, first, ends_start=ends_start)
            results = results if changed is None else changed
        return [(plugin, result) for plugin, result in results if plugin.is_active]

    async def agather(
        self,
        hook: str,
        plugins: Iterable[Plugin] | None = None,
        *,
        backwards: bool = False,
        within: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        **arguments: Any,
    ) -> AsyncIterator[tuple[Plugin, BaseException | None, Any]]:
        """Await an asynchronous hook plugin by plugin; gives each with the exception that it raised, if any, and with what it gave.

        Args:
            plugins: Those to ask, active or not; the active ones when not given.
            backwards: The last first.
            within: In what each is awaited; what that raises counts as the plugin's.
        """
        found = self._implementations(hook, arguments)
        asked = None if plugins is None else list(plugins)
        for plugin, _, function in reversed(found) if backwards else found:
            if not (plugin.is_active if asked is None else plugin in asked):
                continue
            try:
                async with within():
                    result = await self._awaited(f"plugin {plugin.name}, hook {hook}", function)
            except KeyboardInterrupt:
                raise
            except asyncio.CancelledError as error:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                yield plugin, error, None
            except BaseException as error:
                yield plugin, error, None
            else:
                yield plugin, None, result

    async def _awaited(self, name: str, function: Callable[[], Any]) -> Any:
        self.awaited.append(name)
        try:
            result = function()
            return await result if inspect.isawaitable(result) else result
        finally:
            self.awaited.remove(name)

    def _implementations(self, hook: str, arguments: Mapping[str, Any]) -> list[tuple[Plugin, pluggy.HookImpl, Callable[[], Any]]]:
        """Who implements a hook, as pluggy orders them: those that try to be first, the others, those that try to be last."""
        caller = getattr(self._hooks.hook, hook, None)
        if caller is None:
            return []  # a hook of a plugin that is gone
        implementations = caller.get_hookimpls()
        found = [(plugin, entry) for plugin in self._plugins for entry in implementations if entry.plugin is plugin.implementation]
        found.sort(key=lambda entry: (not entry[1].tryfirst, entry[1].trylast))
        return [(plugin, implementation, _bound(plugin, implementation, arguments)) for plugin, implementation in found]

    def _is_first(self, hook: str) -> bool:
        caller = getattr(self._hooks.hook, hook, None)
        return caller is not None and caller.spec is not None and bool(caller.spec.opts["firstresult"])


def _bound(plugin: Plugin, implementation: pluggy.HookImpl, arguments: Mapping[str, Any]) -> Callable[[], Any]:
    given = {**arguments, "owner": plugin.name}
    return lambda: implementation.function(*(given[name] for name in implementation.argnames))


def _whole(function: Callable[[], Any]) -> Any:
    result = function()
    return list(result) if inspect.isgenerator(result) else result


def _leave(wrapper: Plugin, generator: Generator[None, Any, Any], results: Results, first: bool) -> Results:
    """What a wrapper makes of the results of those that it wraps. What it puts among them that nobody gave is its own."""
    given = [result for _, result in results]
    try:
        generator.send(given[0] if first and given else None if first else given)
    except StopIteration as end:
        changed = ([] if end.value is None else [end.value]) if first else list(end.value)
    else:
        generator.close()
        raise RuntimeError("a wrapper yields once")
    owners = {id(result): plugin for plugin, result in results}
    same = [plugin for plugin, _ in results] if len(changed) == len(results) else [wrapper] * len(changed)
    return [(owners.get(id(result), owner), result) for result, owner in zip(changed, same, strict=True)]
