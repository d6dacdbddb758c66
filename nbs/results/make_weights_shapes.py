"""Measure how the demonstration's student depends on the weights of its losses: β of AT, α and T of KD.

    python nbs/results/make_weights_shapes.py [--seeds 3] [--shard 1/2] [--threads 1] [--out FILE]

Appends one JSON line per finished run to `weights_shapes.jsonl` beside this file, seed by seed, the runs that
tell most first. Runs that are in the file are not run again, so the command can be stopped and repeated,
and `--shard 1/2` and `--shard 2/2` share the work between two processes that write the same file.
"""

import argparse
import json
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from moonshine.demonstration import RECIPE, STUDENT, TEST, TRAIN, demo_data, new_student
from moonshine.losses.attention import student_loss
from moonshine.paper.planning import parse_shard
from moonshine.pretrained import trained_network
from moonshine.training.loop import fit
from moonshine.training.provenance import processor
from moonshine.training.recipe import Recipe

OUT = Path(__file__).with_name("weights_shapes.jsonl")
NOTHING = dict(alpha=0.0, temperature=4.0, kd="", beta=0.0)
CONVENTIONS = ("code", "paper", "standard")
BETAS = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
ALPHAS = (0.3, 0.5, 0.7, 0.9, 1.0)  # at T = 4
TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 16.0)  # at α = 0.9


def methods() -> list[dict]:
    """The weights to try, those that tell most first: the usual ones, then β, then α, then T."""
    kd = {convention: dict(kd=convention, alpha=0.9) for convention in CONVENTIONS}
    with_maps = ({}, kd["paper"], kd["standard"])
    usual = [{}, dict(beta=1000.0), *kd.values()]
    usual += [how | dict(beta=1000.0) for how in with_maps[1:]]
    by_beta = [how | dict(beta=beta) for beta in BETAS for how in with_maps]
    by_alpha = [dict(kd=convention, alpha=alpha) for alpha in ALPHAS for convention in CONVENTIONS]
    by_temperature = [how | dict(temperature=t) for t in TEMPERATURES for how in kd.values()]
    every = [NOTHING | how for how in usual + by_beta + by_alpha + by_temperature]
    return [how for at, how in enumerate(every) if how not in every[:at]]


def described(how: dict, seed: int, recipe: Recipe) -> dict:
    """What identifies a run: student, seed, weights, recipe, images."""
    kept = ("epochs", "batch_size", "learning_rate", "schedule", "warmup")
    shown = {key: getattr(recipe, key) for key in kept}
    return dict(study="shapes", **STUDENT, seed=seed, **how, **shown, images=TRAIN, test_images=TEST)


@cache
@torch.no_grad()
def teacher_error() -> float:
    """The teacher's error on the test images, in percent."""
    wrong = count = 0
    for x, labels in demo_data().test_batches():
        wrong += (trained_network("teacher")(x).argmax(1) != labels).sum().item()
        count += len(labels)
    return round(100 * wrong / count, 2)


def measure(run: dict, recipe: Recipe) -> dict:
    """Train one student; return its errors after the last epoch."""
    student = new_student(run["seed"])
    loss = student_loss(
        len(demo_data().classes),
        3,
        run["alpha"],
        run["beta"],
        run["temperature"],
        run["kd"] or "code",
        aux_convention="code",
    )
    start = time.perf_counter()
    last = fit(student, demo_data(), loss, recipe, trained_network("teacher"), quiet=True)[-1]
    seconds = round(time.perf_counter() - start, 1)
    errors = {key: round(last[key], 4) for key in ("test_error", "test_loss", "train_error", "train_loss")}
    made = dict(processor=processor(), threads=torch.get_num_threads(), torch=str(torch.__version__))
    return dict(**run, **errors, teacher_error=teacher_error(), seconds=seconds, **made)


def finished(path: Path, keys) -> list[dict]:
    """What identifies the runs in the file; a line that was cut short is not a run."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append({key: json.loads(line)[key] for key in keys})
        except (ValueError, KeyError):
            continue
    return found


def append(path: Path, row: dict) -> None:
    """Add a line in one write, so that two processes can share the file."""
    whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
    with path.open("a") as file:
        file.write(("" if whole else "\n") + json.dumps(row) + "\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    parser.add_argument("--first_seed", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--shard", default="1/1", help="i/n: run every n-th run, from the i-th")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument("--epochs", type=int, help="for a trial (default: the recipe's)")
    parser.add_argument("--limit", type=int, help="stop after so many runs (default: all)")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = RECIPE if args.epochs is None else replace(RECIPE, epochs=args.epochs, warmup=0)
    number, count = parse_shard(args.shard)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    mine = [(how, seed) for seed in seeds for how in methods()][number - 1 :: count][: args.limit]
    for at, (how, seed) in enumerate(mine, 1):
        run = described(how, seed, recipe)
        if run in finished(args.out, run):
            continue
        row = measure(run, replace(recipe, seed=seed))
        append(args.out, row)
        print(
            f"{at}/{len(mine)}  seed {seed} {how}: {row['test_error']:.2f} %, {row['seconds']} s", flush=True
        )


if __name__ == "__main__":
    main()
