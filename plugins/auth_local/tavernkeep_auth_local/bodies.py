"""What the routes take and give."""

import attrs


@attrs.frozen
class AccessBody:
    """The access password."""

    password: str = attrs.field(validator=attrs.validators.max_len(1000), repr=False)
