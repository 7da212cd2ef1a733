"""The machine that finds plugins, puts them in order and calls them."""
