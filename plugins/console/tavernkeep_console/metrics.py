"""`/metrics`: how much has run and how much runs, in Prometheus's text format."""

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import attrs

from tavernkeep import Response
from tavernkeep.contracts.app import App
from tavernkeep.contracts.events import Event, NodeComplete, NodeError, StatusUpdate
from tavernkeep.contracts.execution import ExecutionJournal, JournalStats, Scheduler, SystemStats
from tavernkeep.contracts.plugins import PluginStatus
from tavernkeep.contracts.storage import Storage, StorageStats
from tavernkeep_console.loop import BUCKETS_S, LoopLag


@attrs.define(eq=False)
class Metrics:
    """An event sink that counts."""

    app: App
    lag: LoopLag = attrs.field(factory=LoopLag)
    _executions: Counter[str] = attrs.field(factory=Counter)
    _nodes: Counter[str] = attrs.field(factory=Counter)

    def note(self, event: Event) -> None:
        """Count an event."""
        match event:
            case StatusUpdate() if event.status.is_final:
                self._executions[event.status] += 1
            case NodeComplete():
                self._nodes["complete"] += 1
            case NodeError():
                self._nodes["error"] += 1

    async def exposed(self) -> Response:
        """The whole, in Prometheus's text format."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest

        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Collected(self, await self.app.services.get(Scheduler).stats()))
        return Response(generate_latest(registry), CONTENT_TYPE_LATEST)

    def families(self, stats: SystemStats) -> Iterator[Any]:
        """Everything that is counted, by its name."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        current = GaugeMetricFamily("tavernkeep_executions", "Executions that have not ended.", labels=["state"])
        current.add_metric(["running"], stats.running_executions)
        current.add_metric(["pending"], stats.pending_executions)
        yield current
        yield GaugeMetricFamily("tavernkeep_executions_limit", "How many may run at once.", value=stats.max_concurrent_workflows)
        for name, counted, about in (
            ("tavernkeep_executions_ended", self._executions, "Executions that have ended, by how."),
            ("tavernkeep_nodes_ended", self._nodes, "Nodes that have ended, by how."),
        ):
            family = CounterMetricFamily(name, about, labels=["status"])
            for status, count in sorted(counted.items()):
                family.add_metric([status], count)
            yield family
        plugins = GaugeMetricFamily("tavernkeep_plugin_active", "Whether a plugin runs.", labels=["plugin"])
        for plugin in self.app.plugins:
            plugins.add_metric([plugin.name], float(plugin.status is PluginStatus.ACTIVE))
        yield plugins
        yield from _loop(self.lag)
        if (journal := self.app.services.find(ExecutionJournal)) is not None:
            yield from _journal(journal.stats(), recording=journal.problem is None)
        if (storage := self.app.services.find(Storage)) is not None:
            yield from _storage(storage.stats())


@attrs.frozen(eq=False)
class _Collected:
    """What Prometheus's client asks, which cannot wait."""

    metrics: Metrics
    stats: SystemStats

    def collect(self) -> Iterator[Any]:
        return self.metrics.families(self.stats)


def _loop(lag: LoopLag) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

    counts = list(accumulate(lag.counts))
    buckets = [(str(bound), float(count)) for bound, count in zip((*BUCKETS_S, "+Inf"), counts, strict=True)]
    about = "How late the event loop was, by fifty looks in a second."
    yield HistogramMetricFamily("tavernkeep_loop_lag_seconds", about, buckets=buckets, sum_value=lag.total_s)
    longest = lag.longest()
    for name, value, of in (("lag", longest.lag_s, "how late"), ("worked", longest.worked_s, "the processor time that it had until then")):
        yield GaugeMetricFamily(f"tavernkeep_loop_longest_{name}_seconds", f"Of the longest lag of the last minute, {of}.", value=value)


def _journal(stats: JournalStats, *, recording: bool) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    yield GaugeMetricFamily("tavernkeep_journal_recording", "Whether executions can be recorded.", value=float(recording))
    yield GaugeMetricFamily("tavernkeep_journal_waiting", "Events that are not recorded yet.", value=stats.waiting)
    yield GaugeMetricFamily("tavernkeep_journal_waiting_bytes", "What they take, roughly.", value=stats.waiting_bytes)
    yield CounterMetricFamily("tavernkeep_journal_commits", "How often events were recorded.", value=stats.commits)
    yield CounterMetricFamily("tavernkeep_journal_failed", "How often something could not be recorded.", value=stats.failed)


def _storage(stats: StorageStats) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    yield GaugeMetricFamily("tavernkeep_storage_waiting", "How many wait for the database.", value=stats.waiting)
    for name, value, about in (
        ("statements", stats.statements, "Statements that the database was given."),
        ("transactions", stats.transactions, "Transactions that were begun."),
        ("waited_seconds", stats.waited_s, "How long was waited for the database, all told."),
        ("worked_seconds", stats.worked_s, "How long statements took, all told."),
    ):
        yield CounterMetricFamily(f"tavernkeep_storage_{name}", about, value=value)
    failed = CounterMetricFamily("tavernkeep_storage_failed", "How often the database could not do its work.", labels=["reason"])
    for reason, count in sorted(stats.failed.items()):
        failed.add_metric([reason], count)
    yield failed
