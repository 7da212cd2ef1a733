"""What is kept of outputs."""

from typing import Any

import pytest

from tavernkeep_engine.run.keeping import trimmed


@pytest.mark.parametrize("large", ["x" * 5000, b"x" * 5000, ["x" * 100] * 50, {"x" * 100 + str(n): n for n in range(50)}, [[["x" * 5000]]]])
def test_large_values_are_left_out(large: Any) -> None:
    """Wherever the size is; small ones beside them stay."""
    kept = trimmed({"large": large, "small": [1, "two"]}, 2000)
    assert kept == {"large": {"truncated": True, "limitBytes": 2000}, "small": [1, "two"]}
    assert trimmed({"large": large}, 10_000) == {"large": large}
