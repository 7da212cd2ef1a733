"""Answers that workflows give in chats: begun, followed, stopped, and gone on with after the server's end."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import structlog

from tavernkeep import ApiError, Services, UserContext
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import StatusUpdate
from tavernkeep.contracts.execution import EXECUTE, EventsLost, ExecutionStatus, Scheduler, Submission, is_the_end
from tavernkeep.contracts.storage import Unavailable
from tavernkeep.contracts.workflow import StoredWorkflow, WorkflowSource
from tavernkeep.finish import finishing
from tavernkeep.wire import iso, structure
from tavernkeep_chat.answering import GrowingAnswer
from tavernkeep_chat.asking import MAIN, Answering, Conversation, asked, shipped
from tavernkeep_chat.config import ChatConfig
from tavernkeep_chat.generation import BegunAnswer, Generation, Wanted
from tavernkeep_chat.models import GenerationRow
from tavernkeep_chat.placing import Placed, being_generated
from tavernkeep_chat.store import KEPT_FREE, ChatStore, described
from tavernkeep_chat.tree import Tree, TreeError
from tavernkeep_files.contracts import PathError

_log = structlog.get_logger(__name__)

_LOOK_S: Final = 2.0  # until it is looked whether the message is still there
_AGAIN_S: Final = 1.0  # until what could not be read or written is tried again
_SELDOM_S: Final = 60.0  # between two tries, where it goes on
_AT_ONCE: Final = 500  # events that are asked for at once

Ended = tuple[ExecutionStatus | None, dict[str, Any] | None]


@attrs.define(eq=False)
class Generations:
    """All that are being generated here.

    What happens is read from the scheduler, in order and from the first event on, so that nothing is missed, whenever one begins to look;
    the text grows in memory, where every reader of the tree finds it, and is written when it is whole. A row of the database says of each
    which message it is for, until that is settled.
    """

    store: ChatStore
    services: Services
    events: EventBus
    config: ChatConfig
    _running: dict[tuple[Path, str], Generation] = attrs.field(factory=dict)
    _resuming: "asyncio.Task[None] | None" = None

    @property
    def _scheduler(self) -> Scheduler:
        return self.services.get(Scheduler)

    # Beginning

    @finishing
    async def begin(
        self, project_id: str, session_id: str, version: int | None, user: UserContext, place: Callable[[Tree], Placed], wanted: Wanted
    ) -> BegunAnswer:
        """Have a workflow answer.

        Args:
            place: Makes room for the answer in the tree.

        Raises:
            ApiError: 403, the user may not run it; 404, there is no such chat or workflow; 409, the chat has changed since `version`; what
                `place` raises. Nothing has happened then, nor where one of the others is raised.
            Refused: The execution is not taken.
            Invalid: The workflow is broken, or has no such input.
        """
        execution_id = None
        try:
            async with self.store.changing(project_id, session_id, version, user) as (tree, session):
                settings = session.settings or {}
                reference = wanted.workflow_id or str(settings.get("workflowId") or MAIN)
                if not user.may(EXECUTE, project_id, reference):
                    raise ApiError(403, f"This needs the scope {EXECUTE}, for the workflow that answers.")
                owner, owned = await self._owner(project_id, session_id, user)
                workflow = await self._workflow(reference, project_id, user)
                put = place(tree)
                if await self.store.grows(project_id, session_id, put.node.id, user):  # and nothing has come yet
                    raise being_generated(put.node.id)
                conversation = Conversation.of(put.path, self._tokens(settings), go_on=bool(put.kept))
                metadata: dict[str, Any] = {"projectId": project_id, "workflowId": reference, "workflowName": workflow.name or reference}
                metadata |= {"chat": {"sessionId": session_id, "nodeId": put.node.id}}
                payload = asked(workflow, conversation, settings, wanted.inputs, metadata)
                outputs = Answering.of(payload)
                execution_id = await self._scheduler.submit(Submission(payload, user))
                node = put.node
                node.status, node.error = "generating", None
                told: dict[str, Any] = {"promptId": execution_id, "workflowId": reference}
                told |= {"leftOut": conversation.left_out} if conversation.left_out else {}
                node.metadata = {key: value for key, value in (node.metadata or {}).items() if key != "stopped"} | {"generation": told}
                row = await GenerationRow.create(
                    execution_id=execution_id,
                    uid=user.uid,
                    owner=owner,
                    project_id=owned,
                    session_id=session_id,
                    node_id=node.id,
                    kept=len(put.kept),
                    live_output=outputs.live,
                    live_node=outputs.live_node,
                    answer_output=outputs.whole,
                )
        except BaseException:
            if execution_id is not None:
                await self._give_up(execution_id, user)
            raise
        self._follow(self._generation(row, user, self._answer(outputs, put.kept)))
        return BegunAnswer(node.id, execution_id, described(tree, session))

    def _tokens(self, settings: dict[str, Any]) -> int:
        given = settings.get("contextTokens")
        return min(given, self.config.context_tokens) if type(given) is int and given > 0 else self.config.context_tokens

    async def _workflow(self, reference: str, project_id: str, user: UserContext) -> StoredWorkflow:
        found = await self.services.get(WorkflowSource).find(reference, project_id, user)
        if found is None and reference != MAIN:
            raise ApiError(404, f"There is no workflow {reference!r}.")
        return found or structure(shipped(), StoredWorkflow)

    async def _owner(self, project_id: str, session_id: str, user: UserContext) -> tuple[str, str]:
        """Whose a chat is, and what they call its project."""
        located = self.store.files.locate(await self.store.folder(project_id, session_id, user), user, write=True)
        if located.parts == located.logical.parts:
            return user.uid, project_id
        owned, _, owner = project_id.rpartition("@")
        return owner, owned

    def _answer(self, outputs: Answering, before: str) -> GrowingAnswer:
        return GrowingAnswer(outputs, self.config.answer_bytes, before)

    def _generation(self, row: GenerationRow, user: UserContext, answer: GrowingAnswer) -> Generation:
        owner = UserContext(row.owner, "")
        folder = self.store.files.locate(self.store.place(row.project_id, row.session_id), owner).path
        return Generation(row.execution_id, user, owner, row.project_id, row.session_id, row.node_id, folder, answer)

    async def _give_up(self, execution_id: str, user: UserContext) -> None:
        with contextlib.suppress(Exception):
            await GenerationRow.filter(execution_id=execution_id).delete()
        with contextlib.suppress(Exception):
            await self._scheduler.interrupt(execution_id, user)

    # What was begun before

    def resume(self) -> None:
        """Follow what an earlier process began; what has ended meanwhile is settled, and what nobody knows any more is an error."""
        self._resuming = asyncio.create_task(self._resume(), name="chat takes up answers")

    async def _resume(self) -> None:
        for wait in _waits():
            failed: list[str] = []
            try:
                for row in await GenerationRow.all():
                    try:
                        await self._take_up(row)
                    except Exception as error:  # that one, at present
                        failed.append(str(error))
            except Unavailable as error:
                failed.append(str(error))
            if not failed:
                return
            _log.warning("answers that were being generated cannot be taken up at present", problems=failed[:20])
            await asyncio.sleep(wait)

    async def _take_up(self, row: GenerationRow) -> None:
        async with self.store.lock(row.session_id):  # what is begun here meanwhile has a row as well
            if any(one.execution_id == row.execution_id for one in self._running.values()):
                return
            before = await self._before(row)
            if not await GenerationRow.filter(execution_id=row.execution_id).exists():
                return
            answer = self._answer(Answering(row.live_output, row.live_node, row.answer_output), before)
            self._follow(self._generation(row, UserContext(row.uid, ""), answer))

    async def _before(self, row: GenerationRow) -> str:
        try:
            tree = await self.store.tree(row.project_id, row.session_id, UserContext(row.owner, ""))
        except ApiError as error:
            if error.status not in (400, 404):  # else it is gone
                raise
            return ""
        return tree.nodes[row.node_id].content[: row.kept] if row.node_id in tree.nodes else ""

    # Ending

    async def stop(self, project_id: str, session_id: str, node_id: str | None, user: UserContext) -> list[str]:
        """Stop what is being generated in a chat, or one message of it; gives which these were.

        Returns when they are settled, or when that cannot be written at present: then it is tried on.

        Raises:
            ApiError: 404, there is no such chat.
        """
        folder = self.store.files.locate(await self.store.folder(project_id, session_id, user), user, write=True).path
        found = [one for (at, id_), one in self._running.items() if at == folder and node_id in (None, id_)]
        for one in found:
            await self._scheduler.interrupt(one.execution_id, one.user)
        await asyncio.gather(*(one.tried.wait() for one in found))
        return [one.node_id for one in found]

    def look(self) -> None:
        """Something may have been removed: see soon whether the messages are still there."""
        for one in self._running.values():
            one.look = True
            one.news.set()

    async def close(self) -> None:
        """Follow none any longer; what is there of each is written. They are gone on with at the next start."""
        if self._resuming is not None:
            self._resuming.cancel()
            await asyncio.gather(self._resuming, return_exceptions=True)
        running = list(self._running.values())
        for one in running:
            if one.task is not None:
                one.task.cancel()
        await asyncio.gather(*(one.task for one in running if one.task is not None), return_exceptions=True)
        for one in running:
            with contextlib.suppress(ApiError):
                await self.store.change(one.project_id, one.session_id, None, lambda _: None, one.owner)

    # Following

    def _follow(self, one: Generation) -> None:
        key = (one.folder, one.node_id)
        self._running[key] = one
        self.store.growing[key] = lambda: one.answer.text
        one.task = asyncio.create_task(self._to_its_end(one), name=f"chat follows {one.execution_id}")

    async def _to_its_end(self, one: Generation) -> None:
        try:
            status, error_info = await self._watch(one)
        except Exception as error:
            _log.exception("an answer can be followed no longer", execution=one.execution_id, node=one.node_id)
            one.refused = f"The server failed to follow it: {type(error).__name__}."
            status, error_info = None, None
        self._bound(one)
        if one.refused is not None:
            status, error_info = ExecutionStatus.ERROR, {"message": one.refused}
        try:
            await self._settle(one, status, error_info)
        finally:
            one.tried.set()
        self.store.growing.pop((one.folder, one.node_id), None)
        self._running.pop((one.folder, one.node_id), None)

    async def _watch(self, one: Generation) -> Ended:
        """Read what happens until it has ended; gives how."""
        last, has_ended, looked = 0, False, 0.0
        unwatch = self.events.watch(one.execution_id, lambda _: one.news.set())
        clock = asyncio.get_running_loop().time
        try:
            while True:
                one.news.clear()
                try:
                    if one.look or clock() - looked > _LOOK_S:
                        one.look, looked = False, clock()
                        await self._see_to(one)
                    found = await self._scheduler.events_after(one.execution_id, one.user, last, _AT_ONCE)
                    if found is None:
                        return None, None
                    for event in found:
                        one.answer.take(event)
                        if isinstance(event, StatusUpdate) and is_the_end(event):
                            return event.status, dict(event.error_info or {})
                    if found:
                        last = found[-1].seq
                        continue
                    if has_ended:
                        return await self._as_it_stands(one)
                    info = await self._scheduler.info(one.execution_id, one.user)
                    has_ended = info is None or info.status.is_final
                except EventsLost as lost:  # what is whole comes at the end
                    last = max(last, lost.first - 1)
                except Unavailable as error:
                    _log.warning("an answer cannot be followed at present", execution=one.execution_id, problem=str(error))
                    await asyncio.sleep(_AGAIN_S)
                    continue
                if not has_ended:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_S):
                            await one.news.wait()
        finally:
            unwatch()

    async def _as_it_stands(self, one: Generation) -> Ended:
        detail = await self._scheduler.detail(one.execution_id, one.user)
        if detail is None:
            return None, None
        one.answer.conclude(detail.outputs)
        return detail.status, dict(detail.error_info or {})

    async def _see_to(self, one: Generation) -> None:
        """Stop it where its message is gone, who runs it may not write there any more, or it grows too long."""
        gone = False
        self._bound(one)
        try:
            place = self.store.files.locate(self.store.place(one.seen_as, one.session_id), one.user, write=True).path
        except PathError:
            place = None
        if place != one.folder:  # it was shared, and is no more
            one.refused = "Whoever asked may not write here any more."
        try:
            stamp = await self.store.stamp(one.project_id, one.session_id, one.owner)
            if stamp != one.seen:
                gone = one.node_id not in (await self.store.tree(one.project_id, one.session_id, one.owner)).nodes
                one.seen = None if gone else stamp
        except ApiError as error:
            gone = error.status == 404  # else it cannot be read at present
        if gone or one.refused is not None:
            await self._scheduler.interrupt(one.execution_id, one.user)

    def _bound(self, one: Generation) -> None:
        if one.answer.is_too_long:
            one.refused = f"The answer is longer than {self.config.answer_bytes} bytes (chat.answerBytes)."

    async def _settle(self, one: Generation, status: ExecutionStatus | None, error_info: dict[str, Any] | None) -> None:
        def change(tree: Tree) -> None:
            node = tree.get(one.node_id)
            if node.status != "generating":
                raise TreeError(f"message {one.node_id!r} is settled")
            one.answer.settle(node, status, error_info)
            node.updated_at = iso(self.store.clock())

        kept_free, waits = KEPT_FREE, _waits()
        while True:
            try:
                await self._write(one, change, kept_free)
                await GenerationRow.filter(execution_id=one.execution_id).delete()
                return
            except _TooLong:
                one.answer = self._answer(one.answer.outputs, one.answer.before)
                status, error_info, kept_free = ExecutionStatus.ERROR, {"message": "The answer is left out: the chat is full."}, 0
            except Exception as error:  # the disk, the database, threads: another time
                _log.warning("an answer cannot be written at present", execution=one.execution_id, problem=str(error))
                one.tried.set()
                await asyncio.sleep(next(waits))

    async def _write(self, one: Generation, change: Callable[[Tree], None], kept_free: int) -> None:
        try:
            await self.store.change(one.project_id, one.session_id, None, change, one.owner, kept_free=kept_free)
        except ApiError as error:
            if error.status == 413 and kept_free:
                raise _TooLong from None
            if error.status not in (400, 404, 413):  # else it is gone, or there is room for no word more, which is an end as well
                raise


class _TooLong(Exception):
    """There is no room in a chat for an answer."""


def _waits() -> Iterator[float]:
    """How long to wait before each further try, in seconds."""
    wait = _AGAIN_S
    while True:
        yield wait
        wait = min(2 * wait, _SELDOM_S)
