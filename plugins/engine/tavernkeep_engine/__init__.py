"""The engine: a payload is compiled to a `Plan` (`plan`), a `Run` executes it (`run`, `streams`, `bypass`), a scheduler runs the runs.

The core knows no socket, no database and no clock; each of those is handed in.
"""
