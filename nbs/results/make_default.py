"""Compare the default of `distill` with the one before it, on data and a network that did not choose either.

    python nbs/results/make_default.py IMAGES [--seeds 3] [--threads 1]

IMAGES is CIFAR-10 as a folder of JPEG files. The weights of the default were chosen with Wide ResNets on the
first 500 images of each class. Here the network is a plain one without shortcuts, with five resolutions from
32×32 down to 2×2, and the images are others: the teacher is trained on images 1,000 to 3,000 of each class,
the students on images 1,000 to 1,500. Adds a line to `default.jsonl`, beside this file, for each student;
those that are there already are not trained again. The teacher is kept in the folder `--keep`.
"""

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from moonshine.data.folders import folder
from moonshine.demonstration import add_line, read_lines
from moonshine.distillation import distill
from moonshine.losses.attention import student_loss
from moonshine.surgery.student import cheapen
from moonshine.training.checkpoints import foreign_spec, load_weights
from moonshine.training.loop import evaluate, train
from moonshine.training.provenance import processor
from moonshine.training.recipe import SHORT, Recipe

OUT = Path(__file__).with_name("default.jsonl")
WIDTHS = (16, 32, 48, 64, 64)  # channels at 32×32, 16×16, 8×8, 4×4 and 2×2
BLOCK = "G(N/8)"
FIRST, TEACHER_IMAGES, STUDENT_IMAGES = 1000, 2000, 500  # of each class
EPOCHS = 10
EARLIER = Recipe().scaled_to(EPOCHS)  # batches of 128, the paper's steps
NOW = SHORT.scaled_to(EPOCHS)
TEACHER_RECIPE = replace(NOW, epochs=10, batch_size=128)
SETTINGS = {  # name -> recipe and what to pass to `distill`
    "earlier default": (EARLIER, dict(method="at")),
    "default": (NOW, {}),
    "earlier method, recipe of the default": (NOW, dict(method="at")),
    "method of the default, earlier recipe": (EARLIER, {}),
    "scratch": (NOW, dict(method="scratch")),
    "default, β 1000 on every map": (NOW, dict(beta=1000.0)),
}


class Plain(nn.Sequential):
    """A network without shortcuts: two convolutions at each of five resolutions."""

    def __init__(self, classes=10):
        stages, channels = [], 3
        for width in WIDTHS:
            layers = [] if channels == 3 else [nn.MaxPool2d(2)]
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
                layers.append(nn.ReLU())
                channels = width
            stages.append(nn.Sequential(*layers))
        super().__init__(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def images_of_each_class(data, first: int, count: int):
    """The training images from `first` on, `count` of each class, with the normalization of all."""
    chosen = [(data.train.labels == label).nonzero()[first : first + count, 0] for label in range(10)]
    how = data.normalization()
    few = replace(data, train=data.train.select(torch.cat(chosen)))
    return replace(few, mean=tuple(how["mean"]), std=tuple(how["std"]))


def trained_teacher(data, keep: Path):
    """The teacher, trained once and read from its checkpoint afterwards."""
    torch.manual_seed(0)
    teacher, file = Plain(), keep / "plain.pt"
    if file.exists():
        return load_weights(file, teacher).eval()
    teacher.spec = foreign_spec(teacher)
    train(teacher, data, student_loss(10, 0, 0, 0), TEACHER_RECIPE, "plain", str(keep))
    return teacher.eval()


def described(name: str, recipe: Recipe, how: dict) -> dict:
    """What identifies a run, as it comes back from a JSON file."""
    images = dict(first=FIRST, images_per_class=STUDENT_IMAGES, block=BLOCK, widths=WIDTHS)
    return json.loads(json.dumps(dict(setting=name, how=how, recipe=asdict(recipe), **images)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument("--keep", type=Path, default=Path("checkpoints"), help="folder of the teacher")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    every = folder(args.images)
    few = images_of_each_class(every, FIRST, STUDENT_IMAGES)
    teacher = trained_teacher(images_of_each_class(every, FIRST, TEACHER_IMAGES), args.keep)
    teacher_error = round(evaluate(teacher, few)["test_error"], 2)
    sizes = [sum(p.numel() for p in net.parameters()) for net in (teacher, cheapen(teacher, BLOCK))]
    for seed in range(args.seeds):
        for name, (recipe, how) in SETTINGS.items():
            recipe = replace(recipe, seed=seed, eval_every=0)
            run = described(name, recipe, how)
            if run in [line["run"] for line in read_lines(args.out)]:
                continue
            start = time.perf_counter()
            student = distill(teacher, few, BLOCK, recipe, quiet=True, device="cpu", **how)
            error = round(student.history[-1]["test_error"], 3)
            facts = dict(seconds=round(time.perf_counter() - start, 1), processor=processor())
            facts |= dict(threads=args.threads, torch=str(torch.__version__), parameters=sizes)
            facts |= dict(teacher_error=teacher_error, layers=student.attention_layers)
            add_line(args.out, dict(setting=name, seed=seed, test_error=error, run=run, **facts))
            print(f"{name}, seed {seed}: {error:.2f} %, {facts['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
