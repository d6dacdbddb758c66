"""When does attention transfer help? The demonstration's student with other numbers of images and weights.

    python nbs/results/make_demo_regimes.py [--images 500 1000] [--betas 0 300] [--seeds 3] [--threads 1]
                                            [--processes 1] [--earlier | --grid]

For each number of labeled images and each weight β, with and without knowledge distillation (β = 0 without
it is training from scratch), trains the student of `moonshine.demonstration` with its teacher and recipe.
Also repeats the earlier setting of the demonstration: a teacher no larger than the student, trained on the
same 2,000 images. --earlier makes only that, --grid only the rest.

Adds a line to `demo_regimes.jsonl`, beside this file, for each student; those that are there already, with
the same settings, are not trained again. Every setting has the same number of epochs, so the time grows with
the number of images; the small numbers come first.
"""

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch

from moonshine.data.drawing import shapes
from moonshine.demonstration import (
    RECIPE,
    Job,
    add_line,
    demo_method,
    measure_maps,
    read_lines,
    train_recorded,
    using_threads,
)
from moonshine.methods import METHODS
from moonshine.models.wide_resnet import wrn
from moonshine.training.loop import fit
from moonshine.training.recipe import Recipe

OUT = Path(__file__).with_name("demo_regimes.jsonl")
IMAGES = (250, 500, 1000, 2000, 4000)
BETAS = (0, 30, 100, 300, 1000, 3000)
NAMES = {  # (KD, AT) -> method
    (False, False): "scratch",
    (False, True): "at",
    (True, False): "kd",
    (True, True): "kd+at",
}
EARLIER = dict(
    teacher=dict(depth=10, width=1, block="S"),
    student=dict(depth=10, width=1, block="G(N)"),
    train=2000,
    test=1000,
)
EARLIER_RECIPE = Recipe(epochs=12, batch_size=20, learning_rate=0.1, epoch_step=(6, 9, 11), augmentation=())
EARLIER_METHODS = ("scratch", "kd", "at", "kd-standard", "kd-standard+at")  # as in `METHODS`, β = 1000


def grid(images, betas, seeds, threads) -> list[Job]:
    """The students of the grid, the cheapest first."""
    jobs = []
    for train in sorted(images):
        for seed in range(seeds):
            recipe = replace(RECIPE, seed=seed)
            for beta in betas:
                for kd in (False, True):
                    method = demo_method(NAMES[kd, beta > 0], float(beta))
                    jobs.append(Job(method, recipe, train, threads=threads))
    return jobs


def earlier_facts(name, seed, threads) -> dict:
    """What a line of the earlier setting is recognized by."""
    loss = {} if name == "teacher" else METHODS[name].settings()
    recipe = asdict(replace(EARLIER_RECIPE, seed=seed))
    facts = dict(EARLIER, network=name, method=loss, recipe=recipe, threads=threads)
    return json.loads(json.dumps(facts))


def train_earlier(name, seed, data, teacher, threads) -> tuple:
    """A network of the earlier setting, and its results."""
    torch.manual_seed(seed)
    model = wrn(**EARLIER["teacher" if name == "teacher" else "student"])
    loss = METHODS["scratch" if name == "teacher" else name].loss(len(data.classes), 3)
    recipe, start = replace(EARLIER_RECIPE, seed=seed), time.perf_counter()
    with using_threads(threads):
        history = fit(model, data, loss, recipe, teacher, quiet=True)
        seconds = time.perf_counter() - start
        if len(history) < recipe.epochs:  # `fit` takes Ctrl-C as a request to return what there is
            raise KeyboardInterrupt
        maps = measure_maps(model, teacher or model, data)
    error = round(history[-1]["test_error"], 3)
    row = dict(regime="earlier", network=name, seed=seed, test_error=error, **maps, seconds=round(seconds, 1))
    return model, row


def earlier(path, seeds, threads):
    """Train and record the earlier setting; a missing student needs its teacher again."""
    data = shapes(EARLIER["train"], EARLIER["test"])
    for seed in range(seeds):
        done = [line.get("setting") for line in read_lines(path)]
        wanted = {name: earlier_facts(name, seed, threads) for name in ("teacher", *EARLIER_METHODS)}
        missing = [name for name, facts in wanted.items() if facts not in done]
        teacher = None
        for name in dict.fromkeys(["teacher", *missing]) if missing else ():
            model, row = train_earlier(name, seed, data, teacher, threads)
            teacher = teacher or model
            print(f"earlier setting, seed {seed}, {name}: test error {row['test_error']:.1f} %", flush=True)
            if name in missing:
                add_line(path, dict(row, setting=wanted[name], torch=str(torch.__version__)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--betas", type=int, nargs="+", default=BETAS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of each student")
    parser.add_argument(
        "--processes", type=int, default=1, help="students of the grid trained at the same time"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--earlier", action="store_true", help="only the earlier setting")
    part.add_argument("--grid", action="store_true", help="only the grid")
    args = parser.parse_args()
    if not args.grid:
        earlier(args.out, args.seeds, args.threads)
    if not args.earlier:
        train_recorded(grid(args.images, args.betas, args.seeds, args.threads), args.out, args.processes)


if __name__ == "__main__":
    main()
