"""The engine: a payload is compiled to a `Plan` (`plan`), a `Run` executes it (`run`), a scheduler says when (`schedule`).

Around them is how clients reach the scheduler: `routes`, `messages`, `following`.
"""
