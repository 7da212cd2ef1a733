"""Takes over a user's folder of SillyTavern."""
