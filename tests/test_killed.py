"""A run that is killed at any moment, as often as you like, ends like a run that never was killed:
`kills.py` kills it.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).with_name("kills.py")


def harness(code) -> list[dict]:
    """Run an expression in a separate process that has `kills` imported: it forks, which a process
    with threads should not do.
    """
    code = f"import json, signal, kills; print('entries ' + json.dumps({code}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=KILLS.parent, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0 and "refused" not in done.stderr, done.stderr
    return json.loads(done.stdout.splitlines()[-1].removeprefix("entries "))


def check(entries, kills):
    assert len(entries) == kills
    for entry in entries:
        assert entry["readable"], f"a file was incomplete after a kill {entry['place']}"
        assert entry["clean"], f"something was left behind after a kill {entry['place']}"
        assert entry["equal"], f"other weights or another history after a kill {entry['place']}"


def test_five_kills_change_nothing():
    check(harness("kills.main(5, 1)"), 5)


@pytest.mark.slow
def test_thirty_kills_change_nothing():
    entries = harness("kills.main(30, 0)")
    check(entries, 30)
    assert len({entry["place"] for entry in entries}) == 6, "every kind of kill occurred"


@pytest.mark.parametrize(
    "name, status", [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129), ("SIGUSR1", 138)]
)
def test_a_signal_saves_at_the_next_step(name, status):
    for entry in harness(f"kills.announced(signal.{name}, 2)"):
        assert entry["status"] == status and entry["plain"] and entry["equal"], entry


def test_the_harness_would_notice_images_seen_twice():
    """A resumed epoch that begins at its first image again: the results must differ."""
    forget = "lambda self, sums=None, count=0: self.__dict__.update(sums={}, count=0)"
    broken = f"kills.RunningAverage.__init__ = {forget}"
    entries = harness(f"(exec({broken!r}), kills.main(5, 1))[1]")
    assert not all(entry["equal"] for entry in entries)
