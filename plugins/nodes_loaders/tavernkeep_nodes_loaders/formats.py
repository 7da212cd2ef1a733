"""Reading JSON and YAML alike: both give plain JSON data."""

from typing import Any

import yaml

from tavernkeep import NodeFailure
from tavernkeep.wire import Invalid, loads


class _PlainLoader(yaml.SafeLoader):
    """YAML as plain data: dates stay texts, and nothing is referred to, as a few references make a file of any size."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "references (&, *) are not taken")
        return super().compose_node(parent, index)


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


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
