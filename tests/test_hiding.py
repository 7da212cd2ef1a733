"""What hides secrets."""

import json

import pytest

from tavernkeep.logs import hide

SECRET = ' sk-"PLANTED"\\–\n'


@pytest.mark.parametrize(
    "shown", [SECRET, SECRET.strip(), repr(SECRET), repr(SECRET.encode()), json.dumps(SECRET), ascii(SECRET), str({"key": SECRET.strip()})]
)
def test_a_secret_is_hidden_in_every_form(shown: str) -> None:
    """As it is, trimmed, and escaped as Python and JSON write it; also as bytes and deep inside."""
    assert "PLANTED" not in hide(f"before {shown} after", [SECRET])
    assert b"PLANTED" not in hide([{shown: shown.encode()}], [SECRET])[0].popitem()[1]
