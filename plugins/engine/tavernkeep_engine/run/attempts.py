"""Performing a node: one attempt by its kind, within its time, and further attempts by its policy."""

import asyncio
import inspect
import random
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import anyio
import attrs

from tavernkeep.contracts.nodes import Kind, Policy
from tavernkeep.contracts.running import ExecutionContext, NodeContext, NodeFailure
from tavernkeep_engine.plan.types import PlanNode
from tavernkeep_engine.run.failures import details_of, forget_trace
from tavernkeep_engine.run.places import Places
from tavernkeep_engine.run.plain import TooLarge
from tavernkeep_engine.run.processes import run_process
from tavernkeep_engine.run.resting import Rest
from tavernkeep_engine.run.state import State
from tavernkeep_engine.run.telling import Teller
from tavernkeep_engine.run.threads import run_blocking
from tavernkeep_engine.run.values import Given

T = TypeVar("T")

AT_ONCE: Final = 1024 * 1024  # bytes; a value that takes more is read off the event loop


class TimedOut(NodeFailure):
    """A node took longer than it may."""


@attrs.frozen
class Performer:
    """Performs the nodes of one run that are not streams.

    Attributes:
        processes: Bounds how many compute in processes of their own at once, over all executions.
        most: How many bytes one value may take.
    """

    execution: ExecutionContext
    processes: anyio.CapacityLimiter
    most: int

    async def perform(self, node: PlanNode, inputs: dict[str, Any]) -> Given:
        """One attempt; gives the outputs, or raises whatever the node does."""
        if node.kind is Kind.PROCESS:
            assert node.definition is not None
            assert node.definition.process is not None
            return await run_process(node.definition.process, inputs, dict(node.config), self.most, self.processes)
        execute = node.shape.mode.execute
        assert execute is not None, "the compiler notes a node without a function as a problem"
        if node.kind is not Kind.THREAD:
            return await self.given(node, execute(inputs, NodeContext(self.execution, node.id, node.full_type, node.config)))
        stop = threading.Event()
        context = NodeContext(self.execution, node.id, node.full_type, node.config, stop)

        def call() -> Any:
            result = execute(inputs, context)
            return result if inspect.isawaitable(result) else Given.of(result, self.most, node.shape.live_outputs)

        result = await run_blocking(call, f"{self.execution.execution_id}/{node.id}", stop)
        return result if isinstance(result, Given) else await self.given(node, result)

    async def given(self, node: PlanNode, result: Any) -> Given:
        """What a node returned on the event loop, or an awaitable that it returned gives; a large result is read in a thread."""
        if inspect.isawaitable(result):
            result = await result
        return await off_the_loop(lambda most: Given.of(result, most, node.shape.live_outputs), self.most)


async def off_the_loop(read: Callable[[int], T], most: int) -> T:
    """Read a value that may be of so many bytes: at once, or when it is large in a thread."""
    try:
        return read(min(most, AT_ONCE))
    except TooLarge:
        if most <= AT_ONCE:
            raise
    return await asyncio.to_thread(read, most)


@attrs.frozen
class Attempts:
    """Makes further attempts at the nodes of one run, as their policies say.

    Attributes:
        rest: Whether all of the execution waits for people.
    """

    state: State
    teller: Teller
    places: Places
    rest: Rest

    async def at(self, node: PlanNode, attempt: Callable[[], Coroutine[Any, Any, Given]], repeatable: Callable[[], bool]) -> Given:
        """Make attempts until one succeeds or there is no use in another."""
        policy = node.policy
        if policy is None:
            return await attempt()
        number = 1
        while True:
            try:
                given: Given = await within(policy, attempt())
                return given
            except Exception as error:
                if self.state.stopping or not repeatable() or not may_retry(policy, error, number):
                    raise
                wait_s = wait_before(policy, number, random.random)
                number += 1
                self.teller.retrying(node, self.teller.hidden(details_of(node, error)), number, policy.attempts, wait_s)
                forget_trace(error)
                # What it asked last may have been given up, and the execution have no place.
                await self.places.of(node.id).idle(self.rest.until(asyncio.sleep(wait_s)))


async def within(policy: Policy | None, work: Any) -> Any:
    """Await something within the time that a policy gives.

    Raises:
        TimedOut: It took longer; it has been cancelled.
    """
    if policy is None or policy.timeout_s is None:
        return await work
    try:
        async with asyncio.timeout(policy.timeout_s) as limit:
            return await work
    except TimeoutError as error:
        if limit.expired():
            raise TimedOut(f"The node took longer than {policy.timeout_s:g} s and was stopped.", retryable=True) from None
        raise error


def may_retry(policy: Policy | None, error: BaseException, attempt: int) -> bool:
    """Whether a failed attempt is to be followed by another.

    Args:
        attempt: Which one failed, from 1.
    """
    if policy is None or attempt >= policy.attempts or not isinstance(error, Exception):
        return False
    return error.retryable is True if isinstance(error, NodeFailure) else True


def wait_before(policy: Policy, attempt: int, jitter: Callable[[], float]) -> float:
    """How long to wait after a failed attempt, in seconds: twice as long after each, up to the longest, less up to a quarter by chance.

    Args:
        jitter: Gives a number from 0 to 1.
    """
    wait = min(policy.wait_s * 2.0 ** min(attempt - 1, 60), policy.longest_wait_s)
    return wait * (1 - jitter() / 4)
