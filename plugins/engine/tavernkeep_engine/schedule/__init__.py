"""Which execution runs when: the embedded scheduler, its fair queue, and its memory of what has ended."""
