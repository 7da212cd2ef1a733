"""Chance that a run can be repeated with."""

import hashlib
import random


def dice(seed: str) -> random.Random:
    """What draws lots: for the same seed the same ones, in every process."""
    return random.Random(hashlib.sha256(seed.encode("utf-8", "replace")).digest())  # noqa: S311 - lots are no secret  # nosec B311
