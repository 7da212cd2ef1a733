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
    ("text", "wanted"),
    [
        ("[no, Yes, on, OFF, y]", ["no", "Yes", "on", "OFF", "y"]),
        ("[1984, 010, 0o10, 0x1F, -5, 007]", [1984, "010", 8, 31, -5, "007"]),
        ("[true, False, null, ~]", [True, False, None, None]),
        ("[1.5, 1e3, .5, -.inf]", [1.5, 1000.0, 0.5, float("-inf")]),
        ("[12:30:00, 1_000, 2026-01-02, <<, =]", ["12:30:00", "1_000", "2026-01-02", "<<", "="]),
        ("a:", {"a": None}),
        ("[" + "9" * 5000 + "]", ["9" * 5000]),
    ],
)
def test_yaml_is_version_one_two(text: str, wanted: object) -> None:
    """What is a text, a number, a boolean there."""
    assert parse(text.encode(), "x.yaml") == wanted


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
