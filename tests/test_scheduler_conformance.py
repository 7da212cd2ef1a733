"""The embedded scheduler does what any scheduler must."""

from pathlib import Path

import pytest

from tavernkeep_devkit.conformance.ending import EndingConformance
from tavernkeep_devkit.conformance.installation import Installation, Standalone
from tavernkeep_devkit.conformance.serving import ServingConformance


class TestServing(ServingConformance):
    """While nothing goes wrong."""

    @classmethod
    def installation(cls, folder: Path) -> Installation:
        return Standalone(folder)


@pytest.mark.slow
class TestEnding(EndingConformance):
    """When a process ends, or is frozen."""

    @classmethod
    def installation(cls, folder: Path) -> Installation:
        return Standalone(folder)
