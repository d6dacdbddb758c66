"""Write the networks trained on real images that come with the package, and measure them.

    python nbs/results/make_trained_real.py IMAGES

IMAGES is the folder of CIFAR-10 as JPEG files (`IMAGES/test/CLASS/*.jpg`). The networks are those of the
study beside this file (`weights_study`): the teacher, and the students that had 500 training images per
class. Their convolutions and linear layers are rounded to half precision; batch norm stays in single
precision, because its variances could leave the range of half precision, and it is small. Each network is
measured before and after rounding, on all test images. Writes the networks, what is known about them
(`runs.json`) and the four test images of the figure (`images.npz`) into `moonshine/facts/trained/cifar10`,
and the measurements into `trained_real.json`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from moonshine.costs.counting import mult_adds, parameters
from moonshine.data.cifar import RELEASED_NORMALIZATION
from moonshine.data.folders import class_folders, read_images
from moonshine.data.images import normalize
from moonshine.losses.attention import activations, at_loss
from moonshine.training import checkpoints

HERE = Path(__file__).resolve().parent
STUDY = HERE / "weights_study"
TARGET = HERE.parent.parent / "moonshine/facts/trained/cifar10"
FILES = {"teacher": "teacher.pt"} | {
    name: f"networks/scarce-{name.replace('+', '-')}.pt" for name in ("scratch", "kd", "at", "kd+at")
}
METHODS = {
    "teacher": {},
    "scratch": {},
    "kd": dict(alpha=0.9, temperature=4.0, kd="paper"),
    "at": dict(beta=1000.0, at="code"),
    "kd+at": dict(alpha=0.9, temperature=4.0, kd="paper", beta=1000.0, at="code"),
}
CHECKED = 100  # images of each class whose error is recorded as well, for a quick test
SHOWN = (0, 3, 6, 9)  # the classes of the figure's images: the first test image of every third class


def rounded(model):
    """Round the weights of convolutions and linear layers to half precision, in place."""
    for weights in model.parameters():
        if weights.dim() > 1:
            weights.data = weights.data.half()
    return model


def first_of_each_class(labels) -> list[int]:
    """The position of the first image of each class to be shown."""
    return [int((labels == label).nonzero()[0]) for label in SHOWN]


def first_of_every_class(test):
    """The first test images of each class, which `tests/test_trained_real.py` runs the networks on."""
    starts = [int((test.labels == label).nonzero()[0]) for label in test.labels.unique()]
    return test.select(torch.cat([torch.arange(start, start + CHECKED) for start in starts]))


@torch.no_grad()
def measure(networks, test) -> dict:
    """By network: the error, how often it agrees with the teacher, and the distances of their maps."""
    sums = {name: torch.zeros(5, dtype=torch.float64) for name in networks}
    how = RELEASED_NORMALIZATION["cifar10"]
    for images, labels in zip(test.images.split(200), test.labels.split(200)):
        seen = {name: activations(net, normalize(images, how)) for name, net in networks.items()}
        predictions, maps = seen["teacher"]
        for name, (logits, ours) in seen.items():
            predicted = logits.argmax(1)
            same = predicted == predictions.argmax(1)
            rates = [(predicted != labels).double().mean(), same.double().mean()]
            distances = [at_loss(a, b).double() for a, b in zip(ours, maps)]
            sums[name] += len(labels) * torch.stack(rates + distances)
    means = {name: (each / len(test.labels)).tolist() for name, each in sums.items()}
    return {
        name: dict(
            test_error=round(100 * error, 2),
            same_as_teacher=round(100 * same, 2),
            map_distance=[round(distance, 8) for distance in distances],
        )
        for name, (error, same, *distances) in means.items()
    }


def write(name, path) -> None:
    """Write a network of the study into the package, rounded."""
    model, info = checkpoints.load(STUDY / path)
    kept = {key: info[key] for key in ("classes", "normalization", "recipe")}
    kept["recipe"] |= dict(amp=info["scores"]["amp"])  # the study logged it with the scores
    checkpoints.save(
        TARGET / f"{name}.pt", rounded(model), **kept, data="CIFAR-10 (JPEG)", method=METHODS[name]
    )


def errors_of_all_seeds(scores) -> dict:
    """The test error that the study recorded for each seed of the same setting."""
    same = ("study", "block", "depth", "width", "alpha", "temperature", "kd", "beta", "images", "epochs")
    runs = map(json.loads, (STUDY / "runs.jsonl").read_text().splitlines())
    found = [run for run in runs if all(run[key] == scores[key] for key in same)]
    return {str(run["seed"]): run["test_error"] for run in [scores, *found]}


def run_facts(name, exact, after, quick) -> dict:
    """What is known about a network: how it was trained, the recorded error, and the measurements."""
    model, info = checkpoints.load(STUDY / FILES[name])
    scores, recipe = info["scores"], info["recipe"]
    return dict(
        name=name,
        seed=recipe["seed"],
        block=info["block"],
        parameters=parameters(model),
        mult_adds=mult_adds(model),
        images=scores["images"],
        method=METHODS[name],
        recipe=recipe | dict(amp=scores["amp"]),
        seconds=scores["seconds"],
        recorded_test_error=scores["test_error"],
        recorded_by_seed=errors_of_all_seeds(scores),
        test_error_before_rounding=exact["test_error"],
        **after,
        test_error_of_first=quick["test_error"],
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="the folder that holds test/CLASS/*.jpg")
    root = parser.parse_args().images
    folders = class_folders(root / "test")
    test = read_images(folders, 32)
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, path in FILES.items():
        write(name, path)
    exact = measure({name: checkpoints.load(STUDY / path)[0] for name, path in FILES.items()}, test)
    packaged = {name: checkpoints.load(TARGET / f"{name}.pt")[0] for name in FILES}
    after, quick = measure(packaged, test), measure(packaged, first_of_every_class(test))
    for name, seen in after.items():
        print(name, exact[name], seen, sep="\n  ", flush=True)
    study = json.loads((STUDY / "about.json").read_text())
    facts = dict(
        data=study["data"],
        test=len(test.labels),
        first=CHECKED,
        classes=list(folders),
        teacher=dict(depth=16, width=2, block="S"),
        student=dict(depth=16, width=2, block="G(N/8)"),
        methods=METHODS,
        torch=study["torch"],
        machine=study["device"],
        measured_with=f"PyTorch {torch.__version__} on a CPU, weights rounded to half precision",
        runs=[run_facts(name, exact[name], after[name], quick[name]) for name in FILES],
    )
    (TARGET / "runs.json").write_text(json.dumps(facts, indent=1) + "\n")
    results = dict(data=facts["data"], test=facts["test"], before_rounding=exact, after_rounding=after)
    (HERE / "trained_real.json").write_text(json.dumps(results, indent=1) + "\n")
    few = first_of_each_class(test.labels)
    np.savez_compressed(
        TARGET / "images.npz", images=test.images[few].numpy(), labels=test.labels[few].numpy()
    )


if __name__ == "__main__":
    main()
