"""From a payload to a plan: nodes with dynamic slots are resolved first, with the workflows that they refer to."""

import asyncio
from collections.abc import Mapping
from typing import Final

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.execution import Refused
from tavernkeep.contracts.nodes import NodeMode, NodeRegistry
from tavernkeep.contracts.running import NodeFailure, Subflow
from tavernkeep.contracts.services import Services
from tavernkeep.contracts.slots import ConfigValues
from tavernkeep.contracts.storage import Unavailable
from tavernkeep.contracts.workflow import InterfaceSlot, StoredWorkflow, WorkflowPayload, WorkflowSource, meant_by
from tavernkeep.wire import Invalid
from tavernkeep_engine.plan.compile import compile_plan
from tavernkeep_engine.plan.types import Plan

_LARGE: Final = 500  # nodes and edges; what takes longer to compile than the event loop should wait goes to a thread
_DEEPEST: Final = 50  # workflows within workflows

Chain = tuple[str, ...]


class ContainsItself(NodeFailure):
    """A workflow refers, through others or at once, to itself."""


@attrs.define(eq=False)
class Preparer:
    """Prepares the workflows of one execution; each that is referred to is loaded and compiled once."""

    nodes: NodeRegistry
    services: Services
    user: UserContext
    root: WorkflowPayload
    _subflows: dict[str, Subflow] = attrs.field(factory=dict)

    async def prepare(self) -> Plan:
        """The plan of the submitted workflow.

        Raises:
            Refused: It cannot be run at all.
        """
        return await self._plan(self.root, self.chain)

    @property
    def chain(self) -> Chain:
        """What the submitted workflow is called, where it is."""
        return (self.root.reference,) if self.root.reference else ()

    async def load(self, reference: str, chain: Chain) -> Subflow:
        """A workflow, ready to run.

        Args:
            chain: The workflow that asks for it, and those that contain that one, the outermost first.

        Raises:
            NodeFailure: There is none, it is broken, or it contains itself.
        """
        for id_ in meant_by(reference):
            if id_ in chain:
                circle = " → ".join((*chain[chain.index(id_) :], id_))
                raise ContainsItself(f"workflow {id_!r} contains itself: {circle}")
            if id_ not in self._subflows and (stored := await self._find(id_)) is not None:
                self._subflows[id_] = await self.build(stored.to_payload(), stored.name or id_, chain, id_)
            if id_ in self._subflows:
                return self._subflows[id_]
        place = f"project {self.root.project_id!r}" if self.root.project_id else "the workflow's own file"
        raise NodeFailure(f"there is no workflow {reference!r} in {place} or in the library")

    async def build(self, payload: WorkflowPayload, name: str, chain: Chain, reference: str | None = None) -> Subflow:
        """A workflow that is given as it is, ready to run.

        Args:
            reference: What others call it; its name when nobody does.

        Raises:
            NodeFailure: It cannot be run at all, it contains itself, or it is nested too deeply.
        """
        if len(chain) > _DEEPEST:
            raise NodeFailure(f"workflows are nested more than {_DEEPEST} deep")
        payload = attrs.evolve(payload, metadata=self.root.metadata)
        try:
            plan = await self._plan(payload, (*chain, reference or name))
        except Refused as refused:
            problems = "; ".join(map(str, refused.problems))
            raise NodeFailure(f"workflow {name!r} cannot run: {problems}") from None
        if plan.fatal:
            raise NodeFailure(f"workflow {name!r} cannot run: {plan.fatal}")
        return Subflow(reference or name, name, payload.interface_inputs, payload.interface_outputs, plan)

    async def _find(self, reference: str) -> StoredWorkflow | None:
        if reference in self.root.workflows:
            return self.root.workflows[reference]
        source = self.services.find(WorkflowSource)
        try:
            return await source.find(reference, self.root.project_id, self.user) if source else None
        except Invalid as invalid:
            raise NodeFailure(f"workflow {reference!r} is broken: {invalid}") from None

    async def _plan(self, payload: WorkflowPayload, chain: Chain) -> Plan:
        resolved: dict[str, NodeMode | str] = {}
        for node in payload.nodes:
            definition = self.nodes.get(node.full_type)
            if definition is None or definition.resolve is None:
                continue
            resolution = _Resolution(definition.config_of(node.config_values), payload.interface_inputs, self, chain)
            try:
                resolved[node.id] = await definition.resolve(resolution)
            except ContainsItself as circle:
                if len(chain) > len(self.chain):
                    raise  # the outermost group is the one to refuse: nothing in the circle can run
                resolved[node.id] = str(circle)
            except Unavailable:
                raise
            except Exception as error:
                resolved[node.id] = str(error) or type(error).__name__
        if len(payload.nodes) + len(payload.edges) < _LARGE:
            return compile_plan(payload, self.nodes, resolved)
        return await asyncio.to_thread(compile_plan, payload, self.nodes, resolved)


@attrs.frozen(eq=False)
class _Resolution:
    """See `tavernkeep.contracts.nodes.Resolution`."""

    config: ConfigValues
    interface_inputs: Mapping[str, InterfaceSlot]
    _preparer: Preparer
    _chain: Chain

    async def workflow(self, reference: str) -> Subflow:
        if not isinstance(reference, str) or not reference:
            raise NodeFailure("no workflow is chosen")
        return await self._preparer.load(reference, self._chain)
