"""All of it, for a scheduler that is to be relied upon.

```python
from pathlib import Path

from tavernkeep_devkit.conformance.site import Site, Standalone
from tavernkeep_devkit.conformance.scheduler import SchedulerConformance


class TestMine(SchedulerConformance):
    @classmethod
    def site(cls, folder: Path) -> Site:
        return Standalone(folder, provider="mine")
```

`Standalone` is for a scheduler that runs executions in the process of the server. One that has workers of its own is given an
`Site` that starts them.
"""

from tavernkeep_devkit.conformance.ending import EndingConformance
from tavernkeep_devkit.conformance.serving import ServingConformance


class SchedulerConformance(ServingConformance, EndingConformance):
    """What any scheduler must do."""
