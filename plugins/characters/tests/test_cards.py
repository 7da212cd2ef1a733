"""Character cards of every version, in JSON and PNG."""

import base64
import json
from typing import Any

import pytest

from support.cards import png
from tavernkeep_characters.cards import read_card
from tavernkeep_characters.contracts import CardError
from tavernkeep_characters.fields import card_data

V1 = {"name": "Ada", "description": "A tavern keeper.", "first_mes": "Welcome!"}
V2 = {"spec": "chara_card_v2", "spec_version": "2.0", "data": V1 | {"system_prompt": "You are Ada 🎭."}}
V3 = {"spec": "chara_card_v3", "spec_version": "3.0", "data": V1 | {"name": "Ada the Third", "group_only_greetings": []}}


@pytest.mark.parametrize("card", [V1, V2, V3])
def test_reading(card: dict[str, Any]) -> None:
    """The same card from JSON and from a picture; its fields wherever its version has them."""
    assert read_card(json.dumps(card).encode()) == card
    assert read_card(b"\xef\xbb\xbf" + json.dumps(card).encode()) == card
    assert read_card(png((b"chara", card))) == card
    assert card_data(card)["description"] == "A tavern keeper."


def test_version_three_goes_first() -> None:
    """Whatever the order of the chunks; other texts do not matter."""
    for texts in ([(b"chara", V2), (b"ccv3", V3)], [(b"ccv3", V3), (b"chara", V2)], [(b"Comment", b"hi"), (b"Chara", V3)]):
        assert card_data(read_card(png(*texts)))["name"] == "Ada the Third"


WHOLE = png((b"chara", V2))


@pytest.mark.parametrize(
    ("data", "mention"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b'{"data": 5}', "object"),
        (png(), "no character card"),
        (png((b"chara", b"*not base64*")), "base64"),
        (png((b"chara", base64.b64encode(b"{"))), "JSON"),
        (WHOLE[:60], "cut off"),
        (WHOLE[:-12], "cut off"),
        (WHOLE[:8], "cut off"),
        (WHOLE[:70] + b"X" + WHOLE[71:], "damaged"),
        (WHOLE[:8] + b"\xff\xff\xff\xff" + WHOLE[12:], "cut off"),
        (b"GIF89a", "JSON"),
    ],
)
def test_what_is_no_card(data: bytes, mention: str) -> None:
    """Each says why."""
    with pytest.raises(CardError, match=mention):
        read_card(data)


def test_every_cut_is_noticed() -> None:
    """A picture cut off anywhere gives an error, never a wrong card."""
    for end in range(len(WHOLE)):
        with pytest.raises(CardError):
            read_card(WHOLE[:end])
