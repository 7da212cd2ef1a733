"""A node pack: one file, one node."""

from tavernkeep import Node, hookimpl, node


@node("shout:Shout", category="Text", output="loud")
def shout(text: str, times: int = 1) -> str:
    """Say a text loudly, several times."""
    return " ".join([text.upper()] * times) + "!"


@hookimpl
def register_nodes() -> list[Node]:
    return [shout]
