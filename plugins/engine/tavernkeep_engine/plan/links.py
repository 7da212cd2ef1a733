"""Who waits for whom, worked out from what feeds whom; and whether anybody waits, through others, for itself."""

import graphlib

from tavernkeep_engine.plan.types import Feed, PlanNode


def link(nodes: list[PlanNode]) -> None:
    """Work out who waits for whom: for the start of what streams into it, for the end of everything else."""
    for node in nodes:
        if len(node.values) == 1 and not node.bindings:  # most nodes
            source = nodes[node.values[0][1]]
            node.sources = (source.index,)
            _follow(source, node)
        elif node.values or node.bindings:
            _link_many(node, nodes)


def _link_many(node: PlanNode, nodes: list[PlanNode]) -> None:
    finished = {source for _, source, _ in node.values}
    started = set()
    for binding in node.bindings:
        for source in binding.sources:
            if source.feed is Feed.STREAM and nodes[source.node].streams and (node.streams or not node.bypassed):
                started.add(source.node)
            else:
                finished.add(source.node)
            if source.feed is Feed.TEXT:
                nodes[source.node].joined |= {source.slot}
    started -= finished
    node.streamed_by = frozenset(started)
    node.sources = (*finished, *started)
    for index in finished:
        _follow(nodes[index], node)
    for index in started:
        source_node = nodes[index]
        source_node.after_start = [*source_node.after_start, node.index]


def _follow(source: PlanNode, node: PlanNode) -> None:
    if source.after_finish:
        source.after_finish.append(node.index)
    else:
        source.after_finish = [node.index]


def find_cycle(nodes: list[PlanNode]) -> str | None:
    """The message that names the nodes on a cycle, if there is one."""
    waits = [len(node.sources) for node in nodes]
    ready = [index for index, left in enumerate(waits) if not left]
    done = 0
    while ready:
        node = nodes[ready.pop()]
        done += 1
        for followers in (node.after_start, node.after_finish):
            for follower in followers:
                waits[follower] -= 1
                if not waits[follower]:
                    ready.append(follower)
    if done == len(nodes):
        return None
    stuck = {index for index, left in enumerate(waits) if left}
    try:
        graphlib.TopologicalSorter({index: set(nodes[index].sources) & stuck for index in stuck}).prepare()
    except graphlib.CycleError as error:
        on_cycle = sorted(set(error.args[1]))
        return f"Workflow contains a cycle involving nodes: {', '.join(nodes[index].id for index in on_cycle)}"
    raise AssertionError("nodes that wait for each other are on a cycle")
