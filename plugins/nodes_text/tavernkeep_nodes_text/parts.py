"""Split, Join, Case."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from tavernkeep import Config, NodeFailure, Slot, choices, node
from tavernkeep_nodes_text.json_nodes import CATEGORY

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_CASES: Final[dict[str, Callable[[str], str]]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "capitalize": str.capitalize,
    "snake": lambda text: "_".join(words(text)).lower(),
    "kebab": lambda text: "-".join(words(text)).lower(),
    "camel": lambda text: "".join(word.capitalize() if number else word.lower() for number, word in enumerate(words(text))),
}

_LABELS: Final = {
    "lower": "lower case 小写",
    "upper": "UPPER CASE 大写",
    "title": "Title Case 标题",
    "capitalize": "Capitalized 首字母大写",
    "snake": "snake_case 下划线",
    "kebab": "kebab-case 连字符",
    "camel": "camelCase 驼峰",
}


def words(text: str) -> list[str]:
    """The words of a text or an identifier.

    >>> words("someHTTPName in_text")
    ['some', 'HTTP', 'Name', 'in', 'text']
    """
    return re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[^\W\dA-Z_]+|[A-Z]+|\d+", text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([ntr\\])", lambda match: _ESCAPES[match[1]], text)


@node("text:Split", category=CATEGORY, display_name="Split", output="parts", inline=True)
def split(
    text: str,
    separator: Annotated[str, Slot(description=r"\n and \t stand for a line break and a tab; empty: at blanks.")] = "\\n",
    trim: Annotated[bool, Config(Slot(display_name="Trim 去除空白", description="Leave out blanks around each part."))] = True,
    drop_empty: Annotated[bool, Config(Slot(display_name="Drop empty ones 去除空项", description="Leave out empty parts."))] = True,
) -> list[str]:
    """Take a text apart at a separator."""
    parts = text.split(_unescaped(separator)) if separator else text.split()
    parts = [part.strip() for part in parts] if trim else parts
    return [part for part in parts if part] if drop_empty else parts


@node("text:Join", category=CATEGORY, display_name="Join", output="text", inline=True)
def join(parts: list[Any], separator: str = "\\n") -> str:
    """Put the items of a list together as one text."""
    if not isinstance(parts, list):
        raise NodeFailure("parts must be a list", slot="parts")
    return _unescaped(separator).join("" if part is None else str(part) for part in parts)


@node("text:Case", category=CATEGORY, display_name="Case", output="text", inline=True)
def case(
    text: str,
    style: Annotated[
        str,
        Config(
            Slot(
                display_name="Style 样式",
                description="How the text is written.",
                match_categories=("ComboOption",),
                config={"suggestions": choices(_LABELS)},
            )
        ),
    ] = "lower",
) -> str:
    """Write a text in another case."""
    if style not in _CASES:
        raise NodeFailure(f"style must be one of {', '.join(_CASES)}, not {style!r}")
    return _CASES[style](text)
