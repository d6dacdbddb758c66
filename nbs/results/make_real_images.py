"""Collect the real-images runs for the notebook `notes/real_images.ipynb`.

    python nbs/results/make_real_images.py IMAGES CHECKPOINTS

IMAGES is the folder that the runs were trained on, CHECKPOINTS the folder that they wrote. Writes the
histories, the facts of the runs and `attention.json` (how far each student's attention is from the
teacher's, over all test images) beside this file, and a figure of maps into `nbs/images`.
"""

import json
import shutil
import sys
from pathlib import Path

import torch

from moonshine.costs.counting import mult_adds, parameters
from moonshine.data.folders import folder
from moonshine.data.images import test_batches
from moonshine.demonstration import maps_figure
from moonshine.losses.attention import activations, at_loss
from moonshine.training.checkpoints import load

HERE = Path(__file__).resolve().parent
RUNS = {"teacher": "wrn_16_2", "scratch": "wrn_16_2.g8.scratch", "at": "wrn_16_2.g8.at"}
OUT = HERE / "real_images"


@torch.no_grad()
def attention_distance(student, teacher, data) -> list[float]:
    """Mean over the test images of the attention transfer loss (convention `code`) at each group."""
    sums, count = [0.0, 0.0, 0.0], 0
    for x, y in test_batches(data):
        _, ours = activations(student, x)
        _, theirs = activations(teacher, x)
        sums = [total + at_loss(s, t).item() * len(y) for total, s, t in zip(sums, ours, theirs)]
        count += len(y)
    return [total / count for total in sums]


def facts(model, info) -> dict:
    """What a run was: the network, how it was trained, and how it ended."""
    last = info["history"][-1]
    return dict(
        network=f"WRN-{info['depth']}-{info['width']:g} {info['block']}",
        parameters=parameters(model),
        mult_adds=mult_adds(model),
        method=info["method"],
        recipe=info["recipe"],
        torch=info["torch"],
        epochs=last["epoch"],
        test_error=last["test_error"],
    )


def one_of_each_class(labels, count=6) -> list[int]:
    """The first test image of each of the first classes."""
    return [int((labels == label).nonzero()[0]) for label in range(count)]


def main(images, checkpoints):
    data = folder(images)
    loaded = {
        name: load(Path(checkpoints, f"{run}.pt"))
        for name, run in RUNS.items()
        if Path(checkpoints, f"{run}.pt").exists()
    }
    networks = {name: model for name, (model, info) in loaded.items()}
    OUT.mkdir(exist_ok=True)
    for name in loaded:
        shutil.copy(Path(checkpoints, f"{RUNS[name]}.jsonl"), OUT / f"{name}.jsonl")
    (OUT / "runs.json").write_text(
        json.dumps({name: facts(*pair) for name, pair in loaded.items()}, indent=1) + "\n"
    )
    distances = {
        name: attention_distance(model, networks["teacher"], data)
        for name, model in networks.items()
        if name != "teacher"
    }
    (OUT / "attention.json").write_text(json.dumps(distances, indent=1) + "\n")
    figure = maps_figure(networks, data, one_of_each_class(data.test.labels), group=1)
    figure.savefig(HERE.parent / "images" / "real_images_maps.png", dpi=100)


if __name__ == "__main__":
    main(*sys.argv[1:])
