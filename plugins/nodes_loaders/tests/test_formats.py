"""JSON and YAML as plain data."""

import pytest

from tavernkeep import NodeFailure
from tavernkeep_nodes_loaders.formats import parse


def test_both_give_the_same() -> None:
    """Dates stay texts."""
    wanted = {"a": [1, 2.5, True, None, "x"], "date": "2026-01-02", "中": "🎭"}
    assert parse(b'{"a": [1, 2.5, true, null, "x"], "date": "2026-01-02", "\xe4\xb8\xad": "\xf0\x9f\x8e\xad"}', "x.json") == wanted
    assert parse("a: [1, 2.5, true, null, x]\ndate: 2026-01-02\n中: 🎭\n".encode(), "x.YAML") == wanted
    assert parse(b"\xef\xbb\xbf[]", "x.json") == parse(b"\xef\xbb\xbf[]", "x.yml") == []


@pytest.mark.parametrize(
    ("data", "name", "mention"),
    [
        (b"{", "x.json", "JSON"),
        (b"a: [", "x.yaml", "YAML"),
        (b"a: !!python/object/apply:os.system [ls]", "x.yaml", "YAML"),
        (b"a: &x [1]\nb: [*x, *x]", "x.yaml", "references"),
        (b"\xff", "x.yaml", "UTF-8"),
        (b"[" * 5000, "x.yaml", "nested|YAML"),
        (b"a: b: c", "x.yml", "YAML"),
        (b"a\x00", "x.yml", "YAML"),
    ],
)
def test_what_is_neither(data: bytes, name: str, mention: str) -> None:
    """Nothing is executed, nothing multiplied."""
    with pytest.raises(NodeFailure, match=mention):
        parse(data, name)
