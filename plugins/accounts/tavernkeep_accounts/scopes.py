"""The scopes that there are: what the routes and messages of the installed plugins ask for, and nothing else."""

import difflib
from collections.abc import Collection, Iterable

from tavernkeep.contracts.app import App
from tavernkeep.wire import Invalid, Problem


def known_scopes(app: App) -> frozenset[str]:
    """What is asked for anywhere, once all routes are registered."""
    asked = [route.scope for _, route in app.routes] + [message.scope for message in app.messages.values()]
    return frozenset(scope for scope in asked if scope is not None)


def check_scopes(scopes: Iterable[str], known: Collection[str]) -> None:
    """Refuse a scope that opens nothing, as a misspelt one does.

    Raises:
        Invalid: Each that there is not.
    """
    problems = [Problem(f"scopes[{number}]", _unknown(scope, known)) for number, scope in enumerate(scopes) if not _opens(scope, known)]
    if problems:
        raise Invalid(problems)


def _opens(scope: str, known: Collection[str]) -> bool:
    if scope.startswith("*"):
        return scope == "*" or any(scope == f"*:{one.rpartition(':')[2]}" for one in known)
    return any(scope == one or scope.startswith(f"{one}:") for one in known)


def _unknown(scope: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(":".join(scope.split(":")[:2]), known, 1)
    return f"there is no scope {scope!r}; " + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}")
