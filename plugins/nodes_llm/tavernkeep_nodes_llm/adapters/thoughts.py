"""Tells what a model thinks from what it says, where a service sends both as one text: in a block that the text begins with.

Many templates write the opening of the block themselves, so that only its end comes: all before that was thought.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

_BLOCKS: Final = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "[think]": "[/think]",
    "◁think▷": "◁/think▷",
}
_ENDS: Final = {end: re.compile(re.escape(end), re.IGNORECASE) for end in _BLOCKS.values()}
_ANY_END: Final = re.compile("|".join(map(re.escape, _ENDS)), re.IGNORECASE)
_LONGEST: Final = max(map(len, _ENDS))
_MOST_BLANKS: Final = 1000  # characters before a block of thoughts

Piece = tuple[Literal["said", "thought", "retracted"], str]  # retracted: what is said so far was thought


class Thoughts:
    """Takes a text in pieces, and gives it back in pieces of which each says what it is.

    Attributes:
        said: What is said.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self._waiting = ""  # what may be the beginning of a tag
        self._state: Literal["before", "inside", "after"] = "before"
        self._end = ""  # of the block that has begun
        self._settled = False  # no end of a block has to be looked for in what is said
        self._thought = False

    def thought(self) -> None:
        """Thoughts have come in another way: blank lines between them and what is said are none of it."""
        self._thought = True

    def take(self, text: str) -> list[Piece]:
        """What a piece of text makes certain."""
        self._waiting += text
        found: list[Piece] = []
        while self._waiting:
            known = (self._state, len(self._waiting))
            found += self._before() if self._state == "before" else self._inside() if self._state == "inside" else self._after()
            if known == (self._state, len(self._waiting)):
                break
        return [piece for piece in found if piece[1]]

    def end(self) -> list[Piece]:
        """What was held back."""
        rest = self._waiting
        if self._state == "after" and _ANY_END.fullmatch(rest) and self._is_stray(rest, ""):
            self._waiting = ""
            return [self._retract()]
        found = self._inside(whole=True) if self._state == "inside" else [self._say(len(rest))]
        return [piece for piece in found if piece[1]]

    def _before(self) -> list[Piece]:
        """Neither thoughts nor an answer have begun."""
        begun = self._waiting.lstrip()
        if self._thought:
            self._waiting = begun
        opening = next((tag for tag in _BLOCKS if begun[: len(tag)].lower() == tag), None)
        if opening is not None:
            self._state, self._end = "inside", _BLOCKS[opening]
            self._waiting = begun[len(opening) :].lstrip("\n")
        elif len(self._waiting) > _MOST_BLANKS or not any(tag.startswith(begun.lower()) for tag in _BLOCKS):
            self._state = "after"
        return []

    def _inside(self, *, whole: bool = False) -> list[Piece]:
        found = _ENDS[self._end].search(self._waiting)
        if found is not None:
            thought, self._waiting = self._waiting[: found.start()], self._waiting[found.end() :].lstrip()
            self._state, self._thought = "before", True  # another block, or the blank lines before the answer, come the same way
        else:
            cut = len(self._waiting) - (0 if whole else _held(self._waiting, [self._end]))
            thought, self._waiting = self._waiting[:cut], self._waiting[cut:]
        return [("thought", thought)]

    def _after(self) -> list[Piece]:
        """The answer has begun; the end of a block that had no beginning is looked for."""
        found = None if self._settled else _ANY_END.search(self._waiting)
        if found is None:
            return [self._say(len(self._waiting) - (0 if self._settled else _held(self._waiting, _ENDS)))]
        said = [self._say(found.start())]
        tag, following = found[0], self._waiting[len(found[0]) :]
        if not following:
            return said  # what follows shows whether it stands alone
        if not self._is_stray(tag, following[0]):
            return [*said, self._say(len(tag))]
        self._waiting = following.lstrip()
        return [*said, self._retract()]

    def _is_stray(self, tag: str, following: str) -> bool:
        """Whether the end of a block, alone on its line or at the end of one, had no beginning."""
        if self._settled:
            return False
        before = next((text[-1] for text in reversed(self.said) if text), "\n")
        if before != "\n" and following not in ("", "\n", "\r"):
            return False
        self._settled = True
        opening = next(start for start, end in _BLOCKS.items() if end == tag.lower())
        return opening not in "".join(self.said).lower()

    def _retract(self) -> Piece:
        text = "".join(self.said)
        self.said.clear()
        self._state, self._thought = "before", True
        return "retracted", text

    def _say(self, length: int) -> Piece:
        text, self._waiting = self._waiting[:length], self._waiting[length:]
        self.said.append(text)
        return "said", text


def _held(text: str, tags: Iterable[str]) -> int:
    """How much of a text's end may be the beginning of a tag."""
    end = text[-_LONGEST:].lower()
    return max((size for tag in tags for size in range(1, len(tag)) if end.endswith(tag[:size])), default=0)
