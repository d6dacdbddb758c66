"""Collect the recorded runs that the lessons quote into the package: moonshine/facts/lessons.json.

    python nbs/results/make_lessons.py

It trains nothing: it reads demo_seeds.jsonl, demo_rates.jsonl, weights_study/ and scarce_cpu/, beside this
file. Run it again when they have changed.
"""

import json
from pathlib import Path

from moonshine.paper.statistics import pooled

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "moonshine" / "facts" / "lessons.json"
METHODS = {"scratch": "scratch", "AT": "at", "KD": "kd", "KD + AT": "kd+at"}


def shapes_rows() -> list[dict]:
    """The students of the demonstration: 250 drawn images, 64 epochs."""
    rows = []
    for line in (HERE / "demo_seeds.jsonl").read_text().splitlines():
        row = json.loads(line)
        job = row["job"]
        condition = dict(threads=job["threads"], amp=job["recipe"]["amp"])
        found = dict(method=METHODS[row["network"]], seed=row["seed"], test_error=row["test_error"])
        rows.append(found | condition)
    return rows


def rates_rows() -> list[dict]:
    """The students of the demonstration, with other learning rates."""
    rows = []
    for line in (HERE / "demo_rates.jsonl").read_text().splitlines():
        row = json.loads(line)
        rate = row["job"]["recipe"]["learning_rate"]
        found = dict(method=METHODS[row["network"]], seed=row["seed"], learning_rate=rate)
        rows.append(found | dict(test_error=row["test_error"]))
    return rows


def cifar_rows() -> list[dict]:
    """The students of CIFAR-10 (JPEG), 500 images per class, 20 epochs."""
    every, _ = pooled(HERE / "weights_study", HERE / "scarce_cpu")
    return [
        {key: value for key, value in row.items() if key != "regime"}
        for row in every
        if row["regime"] == "scarce"
    ]


def main() -> None:
    """Write the file."""
    rows = dict(shapes=shapes_rows(), rates=rates_rows(), cifar10=cifar_rows())
    text = ",\n".join(
        f' "{name}": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in of) + "\n ]"
        for name, of in rows.items()
    )
    OUT.write_text("{\n" + text + "\n}\n", encoding="utf-8")
    print(f"{OUT.name}: " + ", ".join(f"{len(of)} runs of {name}" for name, of in rows.items()))


if __name__ == "__main__":
    main()
