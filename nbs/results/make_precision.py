"""Is bfloat16 worse than float32? A teacher and an attention-transfer student in both, over several seeds.

    python nbs/results/make_precision.py [IMAGES]

Five seeds on drawn shapes; then, if IMAGES is a folder with train/CLASS/ and test/CLASS/, three seeds on
the first images of each of its classes. Networks are two small wide ResNets, trained for 7 epochs; a
student learns from the teacher of its own seed and precision. Writes `precision.json` beside this file
after every run; runs that are in it already are not made again, so it can be stopped and started. It
doesn't mix in another machine or setting: move the old file first.
"""

import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch

from moonshine.data.drawing import shapes
from moonshine.data.folders import folder
from moonshine.data.images import Data, ImageSet, color_statistics
from moonshine.losses.attention import student_loss
from moonshine.models.wide_resnet import wrn
from moonshine.training.checkpoints import write_whole
from moonshine.training.loop import evaluate, fit
from moonshine.training.precision import precision_words
from moonshine.training.provenance import machine
from moonshine.training.recipe import Recipe

OUT = Path(__file__).with_name("precision.json")
TEACHER = dict(depth=10, width=1, block="S")  # arguments of `wrn`
STUDENT = dict(depth=10, width=1, block="G(N)")
TRAIN, TEST = dict(shapes=2000, folder=1500), 1000  # images, as many of each class
RECIPE = Recipe(epochs=7, batch_size=20, learning_rate=0.1, epoch_step=(3, 5, 6), augmentation=())
STUDENT_LOSS = dict(beta=1000.0)
PRECISIONS = dict(float32="none", bfloat16="bf16")  # name -> the recipe's `amp`
SEEDS = dict(shapes=5, folder=3)


def first_of_each(images, count) -> ImageSet:
    """The first images of each class, `count` in all."""
    classes = images.labels.unique()
    places = torch.cat([(images.labels == label).nonzero()[: count // len(classes), 0] for label in classes])
    return ImageSet(images.images[places], images.labels[places])


def few(data) -> Data:
    """The first images of each class, normalized by their own colors."""
    train, test = first_of_each(data.train, TRAIN["folder"]), first_of_each(data.test, TEST)
    return Data("folder", train, test, data.classes, *color_statistics(train.images))


def settings() -> dict:
    """All that the figures depend on, but for the images."""
    recipe = json.loads(json.dumps(asdict(RECIPE)))  # tuples become lists, as in the file
    return dict(
        teacher=TEACHER,
        student=STUDENT,
        student_loss=STUDENT_LOSS,
        recipe=recipe,
        train=TRAIN,
        test=TEST,
        seconds="processor time of the training, all threads",
        machine=machine(torch.device("cpu")),
    )


def read() -> dict:
    """What is there of these settings."""
    now = settings()
    if not OUT.exists():
        return dict(now, auto=precision_words("auto", torch.device("cpu")), images={}, runs=[])
    before = json.loads(OUT.read_text())
    if odd := [name for name, value in now.items() if before.get(name) != value]:
        sys.exit(f"{OUT.name} was made with another {', '.join(odd)}; move it away to begin anew")
    return before


def network(spec, seed):
    """A new network with its weights drawn from the seed."""
    torch.manual_seed(seed)
    return wrn(**spec)


def train_one(spec, data, seed, recipe, loss, teacher=None) -> tuple:
    """A trained network, its test error after the last epoch in percent, and the seconds of the training."""
    model, hardly_tested = (
        network(spec, seed),
        replace(data, test=first_of_each(data.test, len(data.classes))),
    )
    start = time.process_time()  # other programs run at the same time; the clock would count them
    fit(model, hardly_tested, loss, recipe, teacher, quiet=True)
    seconds = round(time.process_time() - start, 2)
    return model, dict(error=round(evaluate(model, data, recipe)["test_error"], 2), seconds=seconds)


def run(data, seed, name) -> dict:
    """Teacher and student of one seed in one precision."""
    recipe = replace(RECIPE, seed=seed, amp=PRECISIONS[name])
    count = len(data.classes)
    teacher, of_teacher = train_one(TEACHER, data, seed, recipe, student_loss(count, 3))
    _, of_student = train_one(STUDENT, data, seed, recipe, student_loss(count, 3, **STUDENT_LOSS), teacher)
    what = dict(data=data.name, seed=seed, epochs=recipe.epochs, precision=name)
    return dict(what, teacher=of_teacher, student=of_student)


def add_runs(results, data) -> None:
    """Make the runs of one dataset that are not there yet, and write after each."""
    if results["images"].setdefault(data.name, data.fingerprint()) != data.fingerprint():
        sys.exit(f"{OUT.name} was made with other images ({data.name}); move it away to begin anew")
    done = {(row["data"], row["seed"], row["precision"]) for row in results["runs"]}
    for seed in range(SEEDS[data.name]):
        for name in PRECISIONS:
            if (data.name, seed, name) not in done:
                results["runs"].append(run(data, seed, name))
                write_whole(OUT, lambda file: file.write((json.dumps(results, indent=1) + "\n").encode()))
                print(results["runs"][-1], flush=True)


def main(images=None):
    results = read()
    add_runs(results, shapes(TRAIN["shapes"], TEST))
    if images:
        add_runs(results, few(folder(images)))


if __name__ == "__main__":
    main(*sys.argv[1:])
