"""A long queue of many users, through the end of a server."""

import os
import random
import signal
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tavernkeep_devkit.conformance.clients import Marks, Patron, eventually, patron
from tavernkeep_devkit.conformance.plugin import ADMIN
from tavernkeep_devkit.conformance.site import Capacity, Standalone

USERS, EACH, PLACES = 20, 50, 4
# One of a user's at once: then the next begins when the one before has ended, and marks are left in the order of the beginnings.
CAPACITY = Capacity(running=PLACES, running_each=1, waiting=USERS * EACH, waiting_each=EACH)
KILLED_AFTER = USERS * EACH * 2 // 5


def by_turns(marks: list[str], total: Counter[str]) -> int:
    """By how much more the one user has begun than another, at most, while all of them wait for more."""
    begun, most = Counter(dict.fromkeys(total, 0)), 0
    for mark in marks:
        begun[mark.partition("_")[0]] += 1
        if any(begun[user] >= total[user] for user in total):
            break
        most = max(most, max(begun.values()) - min(begun.values()))
    return most


def recorded(http: httpx2.Client) -> dict[str, list[str]]:
    """The statuses that were told of each execution, by its id; each is complete."""
    found: dict[str, list[str]] = {}
    cursor: dict[str, Any] = {}
    while True:
        page = http.get("/api/history", params={"limit": 200, **cursor}).json()
        for entry in page["executions"]:
            assert entry["status"] == "complete", entry
            assert entry["promptId"] not in found
            events = http.get(f"/api/history/{entry['promptId']}").json()["events"]
            found[entry["promptId"]] = [event["payload"]["status"] for event in events if event["type"] == "EXECUTION_STATUS_UPDATE"]
        if "next" not in page:
            return found
        cursor = {"cursor": page["next"]}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_of_twenty_users(tmp_path: Path) -> None:
    """None is lost, none ends twice, each user's begin by priority and then as they were accepted, and users take turns; in both lives."""
    seed = int(os.environ.get("QUEUE_SEED", random.randrange(2**32)))
    print(f"QUEUE_SEED={seed}")
    chance = random.Random(seed)
    for name in ("site", "marks"):
        (tmp_path / name).mkdir()
    site, marks = Standalone(tmp_path / "site"), Marks(tmp_path / "marks")
    users = [f"u{number}" for number in range(USERS)]
    wanted: dict[str, list[tuple[int, int, str]]] = {user: [] for user in users}  # by rank, place in line and name
    names: dict[str, str] = {}

    with site.start(CAPACITY) as worker, ExitStack() as stack:
        people = {user: stack.enter_context(patron(worker.url, user)) for user in users}
        for user in users[:PLACES]:  # these hold all places until everybody is there
            name = f"{user}_first"
            names[people[user].submit(marks.chain(name, "Gate"))] = name
            wanted[user].append((-10, 0, name))
            marks.until(f"{name}.Gate0")
        left = [user for user in users for _ in range(EACH - len(wanted[user]))]
        chance.shuffle(left)
        for number, user in enumerate(left):
            name, priority = f"{user}_{number}", chance.randrange(3)
            names[people[user].submit(marks.chain(name, "Mark", priority=priority))] = name
            wanted[user].append((-priority, number, name))
        marks.open(*(f"{user}_first" for user in users[:PLACES]))
        eventually(lambda: len(marks.all()) >= KILLED_AFTER, "enough to have begun")
        complete = {name for user in users[:3] for name in seen_complete(people[user], names)}
        worker.stop(signal.SIGKILL)
    before = [mark.partition(".")[0] for mark in marks.all()]

    with site.start(CAPACITY) as worker, patron(worker.url, ADMIN) as mayor:
        eventually(lambda: not {"queued", "running"} & set(mayor.listed().values()), "all to have ended")
        told = recorded(mayor.http)
    after = [mark.partition(".")[0] for mark in marks.all()][len(before) :]

    assert told.keys() == names.keys()
    cut_off = {names[id_] for id_, statuses in told.items() if statuses.count("running") > 1}
    assert len(cut_off) <= PLACES
    assert all(statuses.count("complete") == 1 and statuses[-1] == "complete" for statuses in told.values())
    counts = Counter(before + after)
    assert counts.keys() == set(names.values())
    assert complete
    assert all(counts[name] == 1 for name in complete)  # what nobody was told yet may have run again
    first = list(dict.fromkeys(before + after))
    for user in users:
        line = [name for *_, name in sorted(wanted[user]) if name not in cut_off]
        assert [name for name in first if name.startswith(f"{user}_") and name not in cut_off] == line
    assert by_turns(before, Counter(dict.fromkeys(users, EACH))) <= 2  # one, and one more for marks that overtake each other
    assert by_turns(after, Counter(name.partition("_")[0] for name in after)) <= 3  # and one for those that were cut off


def seen_complete(user: Patron, names: dict[str, str]) -> list[str]:
    """The names of those that a user is told to be complete."""
    page = user.http.get("/api/history", params={"limit": 200, "status": "complete"}).json()
    return [names[entry["promptId"]] for entry in page["executions"]]
