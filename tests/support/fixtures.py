"""Fixtures on a running server, for the tests of plugins and of what crosses them."""

from collections.abc import AsyncIterator

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
