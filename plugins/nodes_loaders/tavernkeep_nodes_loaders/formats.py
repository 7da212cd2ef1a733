"""Reading JSON and YAML alike: both give plain JSON data."""

import re
from typing import Any, Final

import yaml

from tavernkeep import NodeFailure
from tavernkeep.wire import Invalid, loads


class _PlainLoader(yaml.SafeLoader):
    """YAML 1.2 as plain data: dates stay texts, and nothing is referred to, as a few references make a file of any size."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "references (&, *) are not taken")
        return super().compose_node(parent, index)


def _integer(loader: _PlainLoader, node: yaml.ScalarNode) -> Any:
    text = node.value
    if text.startswith(("0o", "0x")):
        return int(text[2:], 8 if text[1] == "o" else 16)
    return int(text) if len(text) <= _DIGITS else text


def _float(loader: _PlainLoader, node: yaml.ScalarNode) -> float:
    return float(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))


_DIGITS: Final = 4000  # Python reads no integer of many more
# The core schema of YAML 1.2, of which `no` is a text as any other. `007` is one too: as a number it would not be the key of a world book
# that stands there.
_PlainLoader.yaml_implicit_resolvers = {}
for _kind, _form, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]{1,4000}|0x[0-9a-fA-F]{1,3000}", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_form})$"), _first)
_PlainLoader.add_constructor("tag:yaml.org,2002:int", _integer)
_PlainLoader.add_constructor("tag:yaml.org,2002:float", _float)


def parse(data: bytes, name: str) -> Any:
    """What a file holds; YAML by its ending, JSON otherwise.

    Raises:
        NodeFailure: It is neither; the message says where.
    """
    try:
        if name.lower().endswith((".yaml", ".yml")):
            return yaml.load(data.decode("utf-8-sig"), _PlainLoader)  # noqa: S506 - a safe loader, made narrower  # nosec B506
        return loads(data.removeprefix(b"\xef\xbb\xbf"))
    except Invalid as invalid:
        raise NodeFailure(f"{name}: {invalid}") from None
    except UnicodeDecodeError:
        raise NodeFailure(f"{name} is not UTF-8") from None
    except RecursionError:
        raise NodeFailure(f"{name} is nested too deeply") from None
    except yaml.YAMLError as error:
        raise NodeFailure(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None
