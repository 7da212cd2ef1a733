"""Hooks across plugins mean what they mean in pluggy, and one plugin that breaks costs no other its results."""

from collections.abc import Generator, Iterable
from typing import Any

import pytest

from tavernkeep import hookimpl, hookspec
from tavernkeep.contracts.plugins import Plugin, PluginStatus
from tavernkeep.plugins.installed import Plugins


class Specs:
    """Hooks of a test's own."""

    @hookspec
    def words(self) -> Iterable[str]:  # type: ignore[empty-body]
        """Some words."""

    @hookspec(firstresult=True)
    def chosen(self) -> Any:
        """The first there is."""


class Bringer:
    """Brings the hooks."""

    @hookimpl
    def register_hookspecs(self) -> list[object]:
        return [Specs]


class Words:
    """Gives a word."""

    def __init__(self, *words: str) -> None:
        self.given = list(words)

    @hookimpl
    def words(self) -> list[str]:
        return self.given


class First(Words):
    @hookimpl(tryfirst=True)
    def words(self) -> list[str]:
        return self.given


class Last(Words):
    @hookimpl(trylast=True)
    def words(self) -> list[str]:
        return self.given


class Broken:
    @hookimpl
    def words(self) -> list[str]:
        raise RuntimeError("on purpose")


def among(**implementations: object) -> Plugins:
    """Plugins of these names, in this order."""
    plugins = Plugins()
    for name, implementation in {"bringer": Bringer(), **implementations}.items():
        plugins.add(Plugin(name, f"{name}-dist", "1.0", implementation=implementation))
    plugins.enter_all()
    return plugins


def told(plugins: Plugins, hook: str = "words") -> list[tuple[str, Any]]:
    return [(plugin.name, result) for plugin, result in plugins.call(hook)]


def test_each_result_has_its_plugin_and_a_list_is_whole() -> None:
    """A hook that returns a list loses nothing of it, and whose each is is known."""
    assert told(among(one=Words("a", "b"), two=Words(), three=Words("c"))) == [("one", ["a", "b"]), ("two", []), ("three", ["c"])]


def test_tryfirst_and_trylast_work_across_plugins() -> None:
    """Whoever tries to be first is called before the others, whoever tries to be last after them; among equals by requirement and name."""
    plugins = among(late=Last("l"), plain=Words("p"), early=First("e"), other=Words("o"))
    assert [name for name, _ in told(plugins)] == ["early", "plain", "other", "late"]


def test_a_plugin_comes_after_what_it_requires() -> None:
    """Whatever its name sorts like."""
    first = Words("1")
    first.requires = ("zulu",)  # type: ignore[attr-defined]
    assert [name for name, _ in told(among(alpha=first, zulu=Words("2")))] == ["zulu", "alpha"]


def test_one_that_raises_costs_no_other_its_result() -> None:
    """It has failed; the results of the others stay."""
    plugins = among(one=Words("a"), two=Broken(), three=Words("c"))
    assert [name for name, _ in told(plugins)] == ["one", "three"]
    broken = plugins.get("two")
    assert broken is not None
    assert (broken.status, broken.error) == (PluginStatus.FAILED, "words raised RuntimeError: on purpose")


def test_firstresult_ends_with_the_first_and_passes_who_breaks() -> None:
    """One that raises, or gives nothing, is passed; after the first result nobody is called."""
    calls: list[str] = []

    class Choice:
        def __init__(self, name: str, result: Any) -> None:
            self.name, self.result = name, result

        @hookimpl
        def chosen(self) -> Any:
            calls.append(self.name)
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

    plugins = among(a=Choice("a", None), b=Choice("b", RuntimeError()), c=Choice("c", ["x", "y"]), d=Choice("d", 1))
    assert told(plugins, "chosen") == [("c", ["x", "y"])]
    assert calls == ["a", "b", "c"]


class Louder:
    """Wraps."""

    @hookimpl(wrapper=True)
    def words(self) -> Generator[None, list[list[str]], list[list[str]]]:
        results = yield
        return [[word.upper() for word in words] for words in results]


class Adding:
    @hookimpl(wrapper=True)
    def words(self) -> Generator[None, list[list[str]], list[list[str]]]:
        results = yield
        return [*results, ["added"]]


def test_a_wrapper_sees_and_changes_the_results_of_all() -> None:
    """What was given by each stays its own; what a wrapper adds is the wrapper's; the first of the wrappers is the outermost."""
    assert told(among(one=Words("a"), two=Words("b"), loud=Louder())) == [("one", ["A"]), ("two", ["B"])]
    assert told(among(one=Words("a"), adding=Adding())) == [("one", ["a"]), ("adding", ["added"])]
    assert told(among(loud=Louder(), one=Words("a"), adding=Adding())) == [("one", ["A"]), ("adding", ["ADDED"])]


@pytest.mark.parametrize("when", ["before", "after", "twice", "never", "nonsense"])
def test_a_wrapper_that_breaks_is_put_out_and_the_results_stay(when: str) -> None:
    """Before it yields, after it, when it yields twice or never, or gives what is no list."""

    class Wrong:
        @hookimpl(wrapper=True)
        def words(self) -> Generator[None, Any, Any]:
            if when == "before":
                raise RuntimeError
            if when != "never":
                yield
            if when == "twice":
                yield
            if when == "nonsense":
                return 7
            raise RuntimeError

    plugins = among(one=Words("a"), wrong=Wrong())
    assert told(plugins) == [("one", ["a"])]
    wrong = plugins.get("wrong")
    assert wrong is not None
    assert wrong.status is PluginStatus.FAILED


def test_a_plugin_that_fails_takes_what_requires_it_and_its_hooks_with_it() -> None:
    """What each registered is taken back, the last first; the hooks that it brought are called no more."""
    undone: list[str] = []
    needy = Words("n")
    needy.requires = ("bringer",)  # type: ignore[attr-defined]
    plugins = among(needy=needy)
    for name in ("bringer", "needy"):
        plugins.undo_with(name, lambda name=name: undone.append(f"{name} 1"))  # type: ignore[misc]
        plugins.undo_with(name, lambda name=name: undone.append(f"{name} 2"))  # type: ignore[misc]
    bringer = plugins.get("bringer")
    assert bringer is not None
    plugins.fail(bringer, "work", RuntimeError("late"))
    assert undone == ["needy 2", "needy 1", "bringer 2", "bringer 1"]
    assert [plugin.status.value for plugin in plugins] == ["failed", "unavailable"]
    assert told(plugins) == []


def test_an_undoing_that_raises_keeps_none_of_the_others_from_it() -> None:
    """It is logged, and the rest is taken back all the same."""
    undone: list[str] = []
    plugins = among(one=Words())
    plugins.undo_with("one", lambda: undone.append("first"))
    plugins.undo_with("one", lambda: undone.append(str(1 / 0)))
    one = plugins.get("one")
    assert one is not None
    plugins.fail(one, "work", RuntimeError())
    assert undone == ["first"]
