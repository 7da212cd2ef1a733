"""Performing a node: one attempt by its kind, within its time, and further attempts by its policy."""

import asyncio
import inspect
import random
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import anyio
import attrs

from tavernkeep.contracts.nodes import Kind, Policy
from tavernkeep.contracts.running import ExecutionContext, NodeContext, NodeFailure
from tavernkeep.wire import describe
from tavernkeep_engine.plan.types import PlanNode
from tavernkeep_engine.run.failures import details_of
from tavernkeep_engine.run.processes import run_process
from tavernkeep_engine.run.state import State
from tavernkeep_engine.run.telling import Teller
from tavernkeep_engine.run.threads import run_blocking


class TimedOut(NodeFailure):
    """A node took longer than it may."""


def as_outputs(result: Any) -> dict[str, Any]:
    """What a node returned, as its outputs.

    Raises:
        NodeFailure: It is no mapping.
    """
    if isinstance(result, dict):
        return result
    if result is None:
        return {}
    if isinstance(result, Mapping):
        return dict(result)
    raise NodeFailure(f"The node returned {describe(result)}, expected an object with its outputs")


@attrs.frozen
class Performer:
    """Performs the nodes of one run that are not streams.

    Attributes:
        processes: Bounds how many compute in processes of their own at once, over all executions.
    """

    execution: ExecutionContext
    processes: anyio.CapacityLimiter

    async def perform(self, node: PlanNode, inputs: dict[str, Any]) -> dict[str, Any]:
        """One attempt; gives the outputs, or raises whatever the node does."""
        if node.kind is Kind.PROCESS:
            assert node.definition is not None
            assert node.definition.process is not None
            return as_outputs(await run_process(node.definition.process, inputs, dict(node.config), self.processes))
        execute = node.shape.mode.execute
        assert execute is not None, "the compiler notes a node without a function as a problem"
        stop = threading.Event() if node.kind is Kind.THREAD else None
        context = NodeContext(self.execution, node.id, node.full_type, node.config, stop)
        if stop is None:
            result = execute(inputs, context)
        else:
            name = f"{self.execution.execution_id}/{node.id}"
            result = await run_blocking(lambda: execute(inputs, context), name, stop)
        return as_outputs(await result if inspect.isawaitable(result) else result)


@attrs.frozen
class Attempts:
    """Makes further attempts at the nodes of one run, as their policies say."""

    state: State
    teller: Teller

    async def at(
        self, node: PlanNode, attempt: Callable[[], Coroutine[Any, Any, dict[str, Any]]], repeatable: Callable[[], bool]
    ) -> dict[str, Any]:
        """Make attempts until one succeeds or there is no use in another."""
        policy = node.policy
        if policy is None:
            return await attempt()
        number = 1
        while True:
            try:
                outputs: dict[str, Any] = await within(policy, attempt())
                return outputs
            except Exception as error:
                if self.state.stopping or not repeatable() or not may_retry(policy, error, number):
                    raise
                wait_s = wait_before(policy, number, random.random)
                number += 1
                self.teller.retrying(node, self.teller.hidden(details_of(node, error)), number, policy.attempts, wait_s)
                await asyncio.sleep(wait_s)


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
    return error.retryable if isinstance(error, NodeFailure) else True


def wait_before(policy: Policy, attempt: int, jitter: Callable[[], float]) -> float:
    """How long to wait after a failed attempt, in seconds: twice as long after each, up to the longest, less up to a quarter by chance.

    Args:
        jitter: Gives a number from 0 to 1.
    """
    wait = min(policy.wait_s * 2.0 ** min(attempt - 1, 60), policy.longest_wait_s)
    return wait * (1 - jitter() / 4)
