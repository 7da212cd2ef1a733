"""RegexExtract: finds parts of a text by a pattern of JavaScript's."""

from typing import Annotated, Any, Final

from tavernkeep import Config, DataFlowType, NodeFailure, Slot, node
from tavernkeep_nodes_processors.javascript import PatternError, RegexEngine, TooMuch

_T = DataFlowType
_MOST_MATCHES: Final = 100_000


@node(
    "text:RegexExtract",
    category="Text",
    display_name="Regex extract",
    outputs={
        "matches": Slot(_T.ARRAY, description="The matching texts; of each its first group, where it has any."),
        "first": Slot(_T.STRING, description="The first of them; empty for none."),
        "named": Slot(_T.OBJECT, description="The named groups of the first match."),
        "found": Slot(_T.BOOLEAN),
    },
)
def regex_extract(
    text: str,
    pattern: str,
    flags: Annotated[
        str,
        Config(
            Slot(
                display_name="Flags 标志",
                description="JavaScript's: letters of d g i m s u v y. Without g only the first match is found.",
                config={"placeholder": "g"},
            )
        ),
    ] = "g",
) -> dict[str, Any]:
    """Find parts of a text by a JavaScript regular expression."""
    try:
        matches = RegexEngine().match(text, pattern, flags, _MOST_MATCHES)
    except (PatternError, TooMuch) as error:
        raise NodeFailure(f"the pattern: {error}", slot="pattern") from None
    texts = [match["groups"][0] if match["groups"] else match["match"] for match in matches]
    return {
        "matches": texts,
        "first": (texts[0] or "") if texts else "",
        "named": matches[0]["named"] if matches else {},
        "found": bool(matches),
    }
