"""The plugin that a scheduler is tried with: nodes that leave marks on the disk, and users who come in by their name alone.

A server has it when the installation of the tests says so, see `site.variables`; it is no plugin of the devkit's distribution.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from tavernkeep import AuthError, Credentials, Node, NodeContext, NodeFailure, Outputs, UserContext, hookimpl, node

NAME: Final = "conformance"
USER: Final = "x-user"  # the header that says who comes in
ADMIN: Final = "mayor"
_LOOK_S: Final = 0.01


def _leave(file: str, mark: str) -> None:
    """Leave a mark that survives whatever becomes of the process, or of the machine."""
    number = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(number, (mark + "\n").encode())
        os.fsync(number)
    finally:
        os.close(number)


async def _is_there(file: str) -> None:
    while not Path(file).exists():
        await asyncio.sleep(_LOOK_S)


@node("conformance:Mark", output="mark")
async def _mark(file: str, mark: str, after: str = "") -> str:
    """Leave a mark."""
    _leave(file, mark)
    return mark


@node("conformance:Gate", output="mark")
async def _gate(file: str, mark: str, open_when: str, after: str = "") -> str:
    """Leave a mark, and wait until a file is there."""
    _leave(file, mark)
    await _is_there(open_when)
    return mark


@node("conformance:Speak")
async def _speak(file: str, mark: str, words: int = 10, after: str = "") -> AsyncIterator[str | Outputs]:
    """Leave a mark, and stream some words."""
    _leave(file, mark)
    for number in range(words):
        yield f"{number} "
        await asyncio.sleep(0)
    yield Outputs(mark=mark)


@node("conformance:Ask", output="mark")
async def _ask(file: str, mark: str, context: NodeContext, after: str = "") -> str:
    """Leave a mark, ask a person, and give the answer."""
    _leave(file, mark)
    return str(await context.ask(question="Go on?"))


@node("conformance:Fail", output="mark")
async def _fail(file: str, mark: str, works_when: str, after: str = "") -> str:
    """Leave a mark, and fail while a file is not there."""
    _leave(file, mark)
    if not Path(works_when).exists():
        raise NodeFailure("on purpose")
    return mark


@node("conformance:Die", output="mark")
async def _die(file: str, mark: str, open_when: str, after: str = "") -> str:
    """Leave a mark, wait until a file is there, and end the process."""
    _leave(file, mark)
    await _is_there(open_when)
    os.kill(os.getpid(), signal.SIGKILL)
    return mark


class ByName:
    """An auth provider that believes what the header `X-User` says."""

    name = NAME

    async def authenticate(self, credentials: Credentials) -> UserContext | None:
        """See `AuthProvider`."""
        name = credentials.headers.get(USER)
        if name is None:
            return None
        if not name.isidentifier():
            raise AuthError("A name is letters and digits.")
        return UserContext(name, name, is_admin=name == ADMIN)

    async def renew(self, user: UserContext) -> UserContext | None:
        """See `AuthProvider`."""
        return user

    async def describe(self, user: UserContext | None) -> dict[str, Any]:
        """See `AuthProvider`."""
        return {"mode": NAME, "isAuthenticated": user is not None}

    def check_listening(self, host: str) -> None:
        """See `AuthProvider`. Whoever has these nodes is being tested, on the machine itself."""


@hookimpl
def auth_provider() -> ByName:
    return ByName()


@hookimpl
def register_nodes() -> list[Node[Any]]:
    return [_mark, _gate, _speak, _ask, _fail, _die]
