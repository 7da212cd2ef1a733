"""What was taken for large values is given back to the system."""

import os
import platform
import subprocess
import sys

import pytest

_TAKE_AND_FREE = """
import psutil
from tavernkeep_engine.schedule.allocator import settle_allocator
settle_allocator()
rss = psutil.Process().memory_info
del (raised := [bytearray(30 * 2**20)])[:]
before = rss().rss
kept = []
for _ in range(10):
    large = [bytes(8 * 2**20) for _ in range(10)]
    kept.append(bytes(200_000))  # behind them
    del large
print((rss().rss - before) // 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of other C libraries nothing is known")
def test_large_blocks_are_given_back() -> None:
    """Whatever was freed before, and whatever small block was taken after them."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}

    def held(**variables: str) -> int:
        answer = subprocess.run([sys.executable, "-c", _TAKE_AND_FREE], env=plain | variables, capture_output=True, text=True, check=True)
        return int(answer.stdout)

    assert held() < 20
    assert held(GLIBC_TUNABLES="glibc.malloc.tcache_count=7") > 60, "who tunes it is not interfered with"
