"""The embedded scheduler does what any scheduler must."""

from pathlib import Path

import pytest

from tavernkeep_devkit.conformance.ending import EndingConformance
from tavernkeep_devkit.conformance.serving import ServingConformance
from tavernkeep_devkit.conformance.site import Site, Standalone


class TestServing(ServingConformance):
    """While nothing goes wrong."""

    @classmethod
    def site(cls, folder: Path) -> Site:
        return Standalone(folder)


@pytest.mark.slow
class TestEnding(EndingConformance):
    """When a process ends, or is frozen."""

    @classmethod
    def site(cls, folder: Path) -> Site:
        return Standalone(folder)
