"""The same request twice is one execution: a client that lost its answer asks again."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import msgspec

from tavernkeep.contracts.execution import ExecutionJournal, RefusalReason, Refused, Submission
from tavernkeep.contracts.workflow import WorkflowPayload

_DAY_S: Final = 24 * 60 * 60
_MOST: Final = 1000  # requests that are remembered where there is no journal
_LONGEST: Final = 300  # characters of a request's id
_encode = msgspec.json.Encoder(order="deterministic").encode


@attrs.frozen(eq=False)
class _Request:
    digest: bytes
    at: float
    taken: "asyncio.Task[str]"


@attrs.define(eq=False)
class Requests:
    """Those that are being taken, and where there is no journal the last that were.

    Attributes:
        take: Takes a submission; gives the execution's id.
        clock: Seconds, monotonic.
    """

    take: Callable[[Submission], Awaitable[str]]
    clock: Callable[[], float] = time.monotonic
    _requests: OrderedDict[tuple[str, str], _Request] = attrs.field(factory=OrderedDict)

    async def once(self, submission: Submission, journal: ExecutionJournal | None) -> str:
        """The execution of a request, made if there is none yet.

        Raises:
            Refused: As by `take`; or the id stands for another workflow.
        """
        payload, uid = submission.payload, submission.user.uid
        request_id = payload.request_id
        assert request_id is not None, "the caller looked"
        if len(request_id) > _LONGEST:
            raise Refused(f"A request's id has at most {_LONGEST} characters, not {len(request_id)}.", RefusalReason.INVALID)
        key, digest = (uid, request_id), await _digest(payload)
        while (request := self._requests.get(key)) is not None and self.clock() - request.at < _DAY_S:
            if request.digest != digest:
                raise _another(request_id)
            try:
                return await asyncio.shield(request.taken)
            except Refused:  # then this one is the first
                if self._requests.get(key) is request:
                    del self._requests[key]
        # In a task of its own: whoever asks first may hang up while another waits for the same.
        request = _Request(digest, self.clock(), asyncio.create_task(self._find_or_take(submission, journal, digest), name="request"))
        self._requests[key] = request
        self._requests.move_to_end(key)
        request.taken.add_done_callback(lambda task: self._done(key, request, kept_elsewhere=journal is not None))
        return await asyncio.shield(request.taken)

    async def _find_or_take(self, submission: Submission, journal: ExecutionJournal | None, digest: bytes) -> str:
        request_id = submission.payload.request_id
        assert request_id is not None, "as above"
        if journal is not None and (earlier := await journal.earlier(submission.user, request_id)) is not None:
            execution_id, payload = earlier
            if await _digest(payload) != digest:
                raise _another(request_id)
            return execution_id
        return await self.take(submission)

    def _done(self, key: tuple[str, str], request: _Request, *, kept_elsewhere: bool) -> None:
        failed = request.taken.cancelled() or request.taken.exception() is not None
        if (failed or kept_elsewhere) and self._requests.get(key) is request:
            del self._requests[key]
        while len(self._requests) > _MOST and next(iter(self._requests.values())).taken.done():
            self._requests.popitem(last=False)


async def _digest(payload: WorkflowPayload) -> bytes:
    return await asyncio.to_thread(lambda: hashlib.sha256(_encode(payload)).digest())


def _another(request_id: str) -> Refused:
    message = f"The request id {request_id!r} was used for another workflow within the last day; a new request has a new one."
    return Refused(message, RefusalReason.CONFLICT)
