"""Measure the demonstration over several seeds: does the teacher beat its student, and what do KD and AT do?

    python nbs/results/make_shapes_seeds.py [SEEDS]

Writes `shapes_seeds.json` beside this file, after every seed; seeds that are in it already are not run again.
SEEDS is 5 unless given.
"""

import hashlib
import json
import platform
import sys
from dataclasses import replace
from pathlib import Path

import torch

from moonshine.data.drawing import shapes
from moonshine.demonstration import RECIPE, STUDENT, TEACHER, TEST, TRAIN, share_on_object, train_four
from moonshine.training.checkpoints import write_whole

OUT = Path(__file__).with_name("shapes_seeds.json")


def fingerprint(data) -> str:
    """A checksum of the training images: results of another drawing are not mixed with these."""
    return hashlib.sha256(data.train.images.numpy().tobytes()).hexdigest()[:16]


def empty(data) -> dict:
    """What will be measured, before anything is."""

    def name(network):
        return f"WRN-{network['depth']}-{network['width']} {network['block']}"

    what = (
        f"shapes, {TRAIN:,} training and {TEST:,} test images, {RECIPE.epochs} epochs; "
        f"teacher {name(TEACHER)}, student {name(STUDENT)};\n"
        "test error of the last epoch in percent; distance from the teacher's maps, times 1000"
    )
    machine = (
        f"{torch.get_num_threads()} CPU threads, float32, torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )
    return dict(
        what=what,
        images=fingerprint(data),
        machine=machine,
        seeds=[],
        test_error={},
        map_distance={},
        share_on_object={},
    )


def add_seed(results: dict, seed: int, data) -> None:
    """Train all four with one seed.

    Keep the errors, how far the maps are from the teacher's, and where they look (second group).
    """
    networks, rows = train_four(data, replace(RECIPE, seed=seed), quiet=True, say=lambda text: None)
    for row in rows:
        for column in ("test_error", "map_distance"):
            results[column].setdefault(row["network"], []).append(row[column])
    for name, share in share_on_object(networks, data).items():
        results["share_on_object"].setdefault(name, []).append(round(share, 4))
    results["seeds"].append(seed)


def main(seeds=5):
    data = shapes(TRAIN, TEST)
    results = empty(data)
    if OUT.exists():
        before = json.loads(OUT.read_text())
        if (before["what"], before["images"]) == (results["what"], results["images"]):
            results = before
    for seed in range(int(seeds)):
        if seed not in results["seeds"]:
            add_seed(results, seed, data)
            write_whole(OUT, lambda file: file.write((json.dumps(results, indent=1) + "\n").encode()))
            print(seed, {name: errors[-1] for name, errors in results["test_error"].items()}, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
