"""What this plugin publishes: reading and writing character cards."""

from tavernkeep_characters.cards import CardError, card_data, read_card, write_card

__all__ = ["CardError", "card_data", "read_card", "write_card"]
