"""What an operator does with executions, at a running server."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import attrs
import click
import httpx2

from tavernkeep import ApiError
from tavernkeep.contracts.events import ExecutionStatus, StatusUpdate
from tavernkeep.wire import Invalid, loads, structure, unstructure
from tavernkeep_history.bodies import Again, HistoryDetail, HistoryPage, HistoryQuery
from tavernkeep_history.operating import Action
from tavernkeep_history.shown import plain

T = TypeVar("T")

_AT_ONCE: Final = 1000  # events
_WAIT: Final = httpx2.Timeout(None, connect=10.0)  # it answers an interrupt when the execution has stopped


def client_of(server: str, key: str | None, *, near: bool) -> httpx2.AsyncClient:
    """A client of a server.

    Args:
        server: Its address, with the path where it is behind a proxy.
        near: It is that of the data folder, which no proxy of the environment leads to.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx2.AsyncClient(base_url=server, headers=headers, timeout=_WAIT, trust_env=not near)


@attrs.frozen
class _Message:
    type: str
    payload: dict[str, Any]


@attrs.frozen
class ServerOperator:
    """See `Operator`. One sees, and may change, what one's key is good for.

    Attributes:
        hint: What to do where nothing answers.
    """

    client: httpx2.AsyncClient
    hint: str = ""

    async def page(self, query: HistoryQuery) -> HistoryPage:
        """See `Operator`."""
        asked = {name: str(value) for name, value in unstructure(query).items() if value is not None}
        return _read(await self._ask("GET", "/api/history", asked), HistoryPage)

    async def one(self, execution_id: str) -> HistoryDetail:
        """See `Operator`."""
        return _read(await self._ask("GET", f"/api/history/{quote(execution_id, '')}", {"limit": "0"}), HistoryDetail)

    async def events(self, execution_id: str, after: int, *, follow: bool) -> AsyncIterator[list[dict[str, Any]]]:
        """See `Operator`."""
        if follow:
            async for message in self._follow(execution_id, after):
                yield [message]
            return
        more = True
        while more:
            asked = {"after": str(after), "limit": str(_AT_ONCE)}
            found = _read(await self._ask("GET", f"/api/history/{quote(execution_id, '')}", asked), HistoryDetail)
            yield found.events
            more = found.more_events
            after = found.events[-1]["payload"]["seq"] if found.events else after

    async def _follow(self, execution_id: str, after: int) -> AsyncIterator[dict[str, Any]]:
        path, ended, kind = f"/api/prompt/{quote(execution_id, '')}/events", False, ""
        try:
            async with self.client.stream("GET", path, headers={"Last-Event-ID": str(after)}) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise _refusal(answer)
                ended = answer.status_code == httpx2.codes.NO_CONTENT
                async for line in answer.aiter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        kind = value
                    elif name == "data" and kind == "lost":
                        raise ApiError(410, _read(value, str))
                    elif name == "data":
                        message = _read(value, _Message)
                        status = message.payload.get("status") if message.type == StatusUpdate.type else None
                        ended = status not in (None, ExecutionStatus.QUEUED, ExecutionStatus.RUNNING)
                        yield {"type": message.type, "payload": message.payload}
        except httpx2.HTTPError as error:
            raise self._silence(error) from None
        if not ended:
            raise click.ClickException("the server has ended before the execution")

    async def run_again(self, action: Action, execution_id: str, beginning: str | None, answers: Sequence[str], *, quiet: bool) -> int:
        """See `Operator`; the server runs it, and the id is printed."""
        if answers:
            raise click.UsageError("the server runs it: what a node asks is answered there, and not by --answer")
        body = {} if beginning is None else {"from": beginning}
        click.echo(_read(await self._ask("POST", f"/api/prompt/{quote(execution_id, '')}/{action}", body=body), Again).prompt_id)
        return 0

    async def interrupt(self, execution_id: str) -> None:
        """See `Operator`."""
        await self._ask("DELETE", f"/api/interrupt/{quote(execution_id, '')}")

    async def forget(self, execution_id: str) -> None:
        """See `Operator`."""
        await self._ask("DELETE", f"/api/history/{quote(execution_id, '')}")

    async def _ask(self, method: str, path: str, query: Mapping[str, str] | None = None, *, body: Any = None) -> bytes:
        try:
            answer = await self.client.request(method, path, params=query, json=body)
        except httpx2.HTTPError as error:
            raise self._silence(error) from None
        if not answer.is_success:
            raise _refusal(answer)
        return answer.content

    def _silence(self, error: httpx2.HTTPError) -> click.ClickException:
        # What a request that cannot be sent says quotes its headers, and the key among them.
        said = "the key cannot be sent" if isinstance(error, httpx2.LocalProtocolError) else str(error) or type(error).__name__
        return click.ClickException(f"no server answers at {str(self.client.base_url).rstrip('/')}: {said}{self.hint}")


def _read(data: bytes | str, type_: type[T]) -> T:
    try:
        return structure(loads(data), type_)
    except Invalid as invalid:
        raise click.ClickException(f"what answers is no tavernkeep server, or one of another version: {invalid}") from None


def _refusal(answer: httpx2.Response) -> Exception:
    """What a server says that does not do it."""
    try:
        said = loads(answer.content)
    except Invalid:
        said = None
    message = said.get("error") or said.get("message") if isinstance(said, dict) else None
    if not isinstance(message, str):
        return click.ClickException(f"what answers at {answer.url} is no tavernkeep server: status {answer.status_code}")
    if answer.status_code == httpx2.codes.UNAUTHORIZED:
        message += " Show an API key, with --key or in $TAVERNKEEP_KEY (tavernkeep key create)."
    details = said.get("details") if isinstance(said, dict) else None
    if isinstance(details, list) and all(isinstance(problem, dict) for problem in details):
        message += "".join(f"\n  {problem.get('path')}: {problem.get('message')}" for problem in details)
    return ApiError(answer.status_code, "\n".join(map(plain, message.split("\n"))))
