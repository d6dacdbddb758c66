"""Do to training runs all that can happen to them, and count what survives.

    python nbs/results/make_faults.py [KILLS [TRIES]]

Uses the tests' own harness, `tests/kills.py` and `tests/faults.py`. Writes `faults.json` beside this file.
KILLS is 30, TRIES (of every other fault) 5.
"""

import json
import os
import platform
import signal
import sys
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import kills
import torch

from moonshine.training.checkpoints import write_whole
from moonshine.training.provenance import processor

OUT = Path(__file__).with_name("faults.json")


def row(fault: str, good: list[bool], reads: str) -> dict:
    """A row of the table: a fault, whether each try ended as the run that met none."""
    return dict(fault=fault, tries=len(good), survived=sum(good), lost=len(good) - sum(good), reads=reads)


def main(count=30, tries=5) -> None:
    """Kills first: they fork, which must be done before this process computes."""
    entries, rows = kills.main(int(count)), []
    places = Counter(entry["place"] for entry in entries)
    for place in places:
        good = [
            all(entry[key] for key in ("equal", "readable", "clean"))
            for entry in entries
            if entry["place"] == place
        ]
        rows.append(row(f"SIGKILL {place}", good, ""))
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        entries = kills.announced(number, int(tries))
        good = [entry["equal"] and entry["plain"] and entry["status"] == status for entry in entries]
        rows.append(row(f"{number.name} at a random moment", good, entries[0]["said"]))
    import faults

    rows += faults.main(int(tries))
    machine = (
        f"{os.cpu_count()} × {processor()}, {platform.system()}, torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )
    what = (
        "WRN-10-1 and WRN-10-0.5 G(N) on 64 drawn shapes, float32, CPU; survived: after going on, the "
        "weights and the history are in every bit those of the run that met no fault"
    )
    content = dict(what=what, machine=machine, date=time.strftime("%Y-%m-%d"), rows=rows)
    write_whole(OUT, lambda file: file.write((json.dumps(content, indent=1) + "\n").encode()))


if __name__ == "__main__":
    main(*sys.argv[1:])
