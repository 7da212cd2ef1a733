"""What is in the database before somebody is told of it."""

import enum


class Durability(enum.StrEnum):
    """What is in the database before somebody is told of it."""

    STRICT = "strict"  # everything
    RELAXED = "relaxed"  # acceptances; of the rest, what is older than a tenth of a second
    OFF = "off"  # nothing is recorded
