"""What running nodes may ask of the engine."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tavernkeep.contracts.running import Subflow
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.wire import Invalid, Problem, describe
from tavernkeep_engine.plan.prepare import Chain, Preparer
from tavernkeep_engine.run.nested import Inner, NestedRun
from tavernkeep_engine.run.places import Places
from tavernkeep_engine.run.plain import ValueRefused
from tavernkeep_engine.run.resting import Rest
from tavernkeep_engine.run.telling import Teller
from tavernkeep_engine.run.values import own_value

Nest = Callable[[Subflow, Mapping[str, Any], str], Inner]


class NodeHost:
    """See `tavernkeep.contracts.running.Host`: answers the nodes of one run.

    Args:
        chain: What the workflow, and those that contain it, are called.
        nest: Makes a run of a subflow, with its inputs, and what the ids of its nodes begin with.
        most: How many bytes a question or an answer may take.
        rest: Whether all of the execution waits for people.
        answers: What was answered before to questions that are asked again, by node, with that of the groups around it; taken from.
    """

    def __init__(
        self,
        teller: Teller,
        preparer: Preparer,
        chain: Chain,
        places: Places,
        nest: Nest,
        most: int,
        rest: Rest,
        answers: Mapping[str, deque[Any]],
    ) -> None:
        self._teller = teller
        self._most = most
        self._rest = rest
        self._answers = answers
        self._preparer = preparer
        self._chain = chain
        self._places = places
        self._nest = nest
        self._questions: dict[str, list[asyncio.Future[Any]]] = {}
        self._nested: dict[str, Inner] = {}  # by what the ids of their nodes begin with
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()

    def progress(self, node_id: str, value: float, max_: float) -> None:
        """Tell how far a node is; may be called from a node's thread."""
        value, max_ = _number(value, "value"), _number(max_, "max_")
        if threading.get_ident() == self._thread:
            self._teller.progress(node_id, value, max_)
        else:
            self._loop.call_soon_threadsafe(self._teller.progress, node_id, value, max_)

    async def ask(self, node_id: str, question: Mapping[str, Any]) -> Any:
        """Wait for a person's answer; of several questions of one node, the first answer is that of the first."""
        told, _ = own_value(question, self._most, "question")
        if given := self._answers.get(self._teller.prefix + node_id):
            return given.popleft()
        answer: asyncio.Future[Any] = self._loop.create_future()
        asked = self._questions.setdefault(node_id, [])
        asked.append(answer)
        self._teller.waiting(node_id, told)
        self._rest.questions += 1
        self._loop.call_soon(self._rest.look)
        try:
            return await self._places.of(node_id).idle(self._rest.until(answer))
        finally:
            self._rest.questions -= 1
            asked.remove(answer)
            if answer.cancelled():  # the node has not waited for it, and goes on
                self._rest.want()
            if self._rest.questions:
                self._loop.call_soon(self._rest.look)

    def waits(self, node_id: str) -> bool:
        """Whether a node waits for a person, or for runs that are nested in it and do."""
        if asked := self._questions.get(node_id):
            return not any(answer.done() for answer in asked)
        nested = [run for prefix, run in self._nested.items() if prefix.startswith(f"{node_id}/")]
        return bool(nested) and all(run.waits() for run in nested)

    def answer(self, node_id: str, value: Any) -> bool:
        """Give a node the answer that it waits for; tells whether any such node waits.

        Raises:
            Invalid: The answer is too large.
        """
        for question in self._questions.get(node_id, ()):
            if not question.done():
                try:
                    told, _ = own_value(value, self._most, "answer")
                except ValueRefused as refused:
                    raise Invalid([Problem("value", str(refused))]) from None
                question.set_result(value)
                self._teller.answered(node_id, told)
                return True
        return any(run.answer(node_id.removeprefix(prefix), value) for prefix, run in self._nested.items() if node_id.startswith(prefix))

    async def load(self, reference: str) -> Subflow:
        """A workflow, ready to run."""
        return await self._preparer.load(reference, self._chain)

    async def build(self, payload: WorkflowPayload, name: str) -> Subflow:
        """A workflow that is given as it is, ready to run."""
        return await self._preparer.build(payload, name, self._chain)

    def launch(self, node_id: str, subflow: Subflow, inputs: Mapping[str, Any], name: str) -> NestedRun:
        """Run a subflow on behalf of a node."""
        prefix = f"{node_id}/{name}/" if name else f"{node_id}/"
        inner = self._nest(subflow, {**subflow.plan.interface_inputs, **inputs}, prefix)

        def end() -> None:
            self._nested.pop(prefix)
            inner.release()

        def begin() -> Callable[[], None]:
            if prefix in self._nested:
                raise ValueError(f"{prefix} is running already; give each of several its own name")
            self._nested[prefix] = inner
            return end

        return NestedRun(inner, subflow, self._places.of(node_id), begin)


def _number(value: object, name: str) -> float:
    plain, _ = own_value(value, 1024, name)
    if isinstance(plain, bool) or not isinstance(plain, (int, float)):
        raise TypeError(f"{name} of a progress is a number, not {describe(plain)}")
    return plain
