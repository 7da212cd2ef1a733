"""`tavernkeep new-node-pack`."""

from pathlib import Path

import pytest

from support.server import tavernkeep


@pytest.mark.parametrize("name", ["", "Bad", "1st", "a b", "../up", "class", "é"])
async def test_a_node_pack_needs_a_name(tmp_path: Path, name: str) -> None:
    """`new-node-pack` refuses what cannot name a package, and makes nothing."""
    ran = await tavernkeep(tmp_path, "new-node-pack", name)
    assert ran.code == 2
    assert list(tmp_path.iterdir()) == []


async def test_a_node_pack_is_not_written_over_another(tmp_path: Path) -> None:
    """A folder of that name is left alone."""
    assert (await tavernkeep(tmp_path, "new-node-pack", "mine")).code == 0
    again = await tavernkeep(tmp_path, "new-node-pack", "mine")
    assert again.code == 2
    assert "is there already" in again.stderr
