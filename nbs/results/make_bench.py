"""The bench on this machine, and what was tried beside it: each change alone, in turns with what it replaces.

    python nbs/results/make_bench.py [--limit 20] [--pairs 5] [--only tried]

Writes `bench.json` beside it. Nothing else should run on the machine meanwhile. It takes about ten minutes on
two cores.
"""

import argparse
import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

from moonshine.benchmarking import (
    CASES,
    Case,
    Course,
    attention_step,
    bench,
    compared,
    interleave,
    measure,
    optimizer_step,
    plain_map,
    plain_sgd,
)
from moonshine.costs.timing import Stopwatch
from moonshine.data.drawing import shapes
from moonshine.losses.attention import Taps, attention_map, student_loss
from moonshine.training.recipe import Recipe
from moonshine.training.state import optimizer_for


def folded(network):
    "A copy of a network of S blocks: the batch norm after each block's first convolution is in its weights"
    network = deepcopy(network).eval()
    for block in network.modules():
        if hasattr(block, "bn2"):
            block.conv1.conv, block.bn2 = fuse_conv_bn_eval(block.conv1.conv, block.bn2), torch.nn.Identity()
    return network


def teacher_side(course, change=lambda network: network, mode=torch.no_grad):
    "Forward passes of the teacher with its taps"
    network = change(course.network("S", torch.channels_last).eval().requires_grad_(False))
    guide, (x, _) = Taps(network), batch(course)

    def turn():
        watch = Stopwatch(course.device)
        for _ in range(course.steps):
            with mode():
                guide(x)
        return watch.stop()

    return turn


def step_side(course, change=lambda network: network, compiled=False, mode=torch.no_grad):
    "AT steps of G(N); `change` is what is done to the teacher"
    model = course.network("G(N)", torch.channels_last)
    guide = Taps(change(course.network("S", torch.channels_last).eval().requires_grad_(False)))
    student, loss = Taps(model), student_loss(len(course.data.classes), 3, 0.0, 1000.0)
    optimizer, (x, y) = optimizer_for(model, Recipe()), batch(course)
    if compiled:
        student, guide = torch.compile(student), torch.compile(guide)

    def turn():
        watch = Stopwatch(course.device)
        for _ in range(course.steps):
            with mode():
                target = guide(x)
            if mode is torch.inference_mode:
                target = deepcopy(target)  # or autograd refuses to keep it
            total, _ = loss(student(x), target, y)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        return watch.stop()

    return turn


def batch(course):
    x, y = next(iter(course.images(course.batch_size).train_batches(course.batch_size, 0, 0, course.device)))
    return x.contiguous(memory_format=torch.channels_last), y


def tried(course, pairs):
    "Name -> the ratio of each pair, and whether the change is in the package (on request: behind a flag)"

    def foreach(model):
        return torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=5e-4, foreach=True)

    def ours(model):
        return optimizer_for(model, Recipe())

    small = replace(course, depth=16)  # a compiler's patience
    return {
        "attention maps in one pass, the maps alone": (
            attention_step(course, plain_map),
            attention_step(course, attention_map),
            "yes",
        ),
        "fused SGD, the optimizer alone": (
            optimizer_step(course, plain_sgd),
            optimizer_step(course, ours),
            "yes",
        ),
        "foreach SGD, the optimizer alone": (
            optimizer_step(course, plain_sgd),
            optimizer_step(course, foreach),
            "no",
        ),
        "folded batch norm, the teacher alone": (teacher_side(course), teacher_side(course, folded), "no"),
        "inference mode, the teacher alone": (
            teacher_side(course),
            teacher_side(course, mode=torch.inference_mode),
            "no",
        ),
        "folded batch norm, in an AT step of G(N)": (step_side(course), step_side(course, folded), "no"),
        "torch.compile, an AT step of G(N), WRN-16-2": (
            step_side(small),
            step_side(small, compiled=True),
            "on request",
        ),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=float, default=20.0)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument(
        "--only", choices=["tried"], help="keep the bench that is there, try the changes again"
    )
    args = parser.parse_args()
    path = Path(__file__).parent / "bench.json"
    result = json.loads(path.read_text()) if args.only else bench(pairs=args.pairs, limit=args.limit)
    names = [case.name for case in CASES] + ["time to first step"]
    result["missing"] = [name for name in names if name not in [row["row"] for row in result["rows"]]]
    peaks = result["mult_adds_per_second"]
    small = Course(shapes(1280, 200), torch.device("cpu"), depth=16, width=1, steps=4)
    result["small"] = measure(Case("teacher step, WRN-16-1"), small, args.pairs, peaks)
    print(result["small"], flush=True)
    result["tried"], course = [], Course(shapes(640, 200), torch.device("cpu"), batch_size=16, steps=4)
    for name, (before, after, kept) in tried(course, args.pairs).items():
        before()
        first = after()
        row = compared(
            interleave(dict(before=before, after=after), args.pairs), course.batch_size * course.steps
        )
        result["tried"].append(
            dict(
                change=name,
                ratio=row["ratio"],
                low=min(row["ratios"]),
                high=max(row["ratios"]),
                pairs=args.pairs,
                first_turn_s=round(first, 1),
                kept=kept,
            )
        )
        print(result["tried"][-1], flush=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
