"""Fixtures on a running server, for the tests of plugins and of what crosses them."""

import gc
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.llm import LlmServer, channel, llm_server
from support.server import Server, serve


@pytest_asyncio.fixture(scope="module")
async def llm() -> AsyncIterator[LlmServer]:
    """A local OpenAI-compatible service."""
    async with llm_server() as server:
        yield server


@pytest_asyncio.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with every key at its default, for all tests of a module."""
    async with serve(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def llm_backed(tmp_path_factory: pytest.TempPathFactory, llm: LlmServer) -> AsyncIterator[Server]:
    """A server whose one channel is the local service, for all tests of a module."""
    async with serve(tmp_path_factory.mktemp("llm_backed"), {"llm": channel(llm)}) as running:
        yield running


@pytest.fixture
def circles() -> Iterator[Callable[[], list[str]]]:
    """Tells what can only be freed by the garbage collector, of what was made since."""
    gc.collect()
    gc.disable()
    gc.freeze()  # what others left is none of this

    def found() -> list[str]:
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            return sorted(f"{type(item).__module__}.{type(item).__qualname__}" for item in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()

    try:
        yield found
    finally:
        gc.unfreeze()
        gc.enable()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a database and little else."""
    folder, mount = tmp_path / "small", shutil.which("mount")
    folder.mkdir()
    if mount is None or os.geteuid() != 0:
        pytest.skip("a small disk is mounted for this, which only root may do")
    mounted = subprocess.run([mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk is mounted for this, which is not permitted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)
