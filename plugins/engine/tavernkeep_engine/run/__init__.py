"""One execution of a plan: the loop, streams, attempts, what viewers are told, and what nodes may ask.

It knows no socket, no database and no clock; each of those is handed in.
"""
