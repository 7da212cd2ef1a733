"""Under which name a file is sent."""

from urllib.parse import unquote

import pytest
from werkzeug.http import parse_options_header

from tavernkeep_web.sending import disposition


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("ale.txt", "ale.txt"),
        ("one ale; filename=two.txt", "one ale; filename=two.txt"),
        ('the "best".txt', "the _best_.txt"),
        ("back\\slash", "back_slash"),
        ("line\r\nSet-Cookie: a=b", "line__Set-Cookie: a=b"),
        ("酒馆.png", "__.png"),
        ("🍺.png", "_.png"),
        ("100%.txt", "100%.txt"),
        ("%41.txt", "_41.txt"),
        ("tab\t\x00\x7f'*", "tab___'*"),
    ],
)
def test_any_name_fits_in_the_header(name: str, plain: str) -> None:
    """Plainly for old clients, and whole by RFC 8187; it begins no other parameter, and no other header."""
    header = disposition("attachment", name)
    assert header.isascii()
    assert header.isprintable()
    assert parse_options_header(header) == ("attachment", {"filename": name})
    assert header.startswith(f"attachment; filename=\"{plain}\"; filename*=UTF-8''")
    assert unquote(header.rpartition("''")[2]) == name


def test_a_name_that_is_no_text() -> None:
    """What a file system holds that is no UTF-8 is shown as it can be."""
    assert disposition("inline", "a\udcff.txt").endswith("UTF-8''a%3F.txt")
