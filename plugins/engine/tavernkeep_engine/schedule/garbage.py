"""Python's garbage collector, as it suits executions of many nodes."""

import gc


def settle_garbage_collector() -> None:
    """Spare the collector what lives as long as the process, and let it look less often.

    An execution makes many objects that live as long as it does and are in no cycle. At Python's own thresholds the collector goes through
    all of them again and again, which makes a node of 100,000 cost half as much again as one of 1,000 (`benchmarks/engine.py`).
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
