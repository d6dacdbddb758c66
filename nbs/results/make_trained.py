"""Train the small networks that come with the package: a teacher and its student three ways, on drawn shapes.

    python nbs/results/make_trained.py [--seeds 3] [--folder FOLDER]

Writes `SEED-NAME.pt` and `SEED-NAME.json` for each network into FOLDER (those that are there are not trained
again), then puts the networks of seed 0 and the figures of all seeds into `moonshine/facts/trained`.
"""

import argparse
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

import torch

from moonshine.costs.counting import parameters
from moonshine.data.drawing import shapes
from moonshine.data.images import normalize
from moonshine.losses.attention import activations, at_loss, energy_inside, student_loss
from moonshine.models.wide_resnet import wrn
from moonshine.training import checkpoints
from moonshine.training.loop import fit
from moonshine.training.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent.parent
TEACHER, STUDENT = dict(depth=16, width=1, block="S"), dict(depth=16, width=1, block="G(N)")
TRAIN, TEST = 4000, 1000
RECIPE = dict(epochs=12, batch_size=50, epoch_step=(6, 9, 11))
METHODS = dict(teacher=dict(), scratch=dict(), kd=dict(alpha=0.9), at=dict(beta=1000.0))  # for `student_loss`


def train_one(name, seed, data, teacher, folder):
    """Train one network, unless its files are there; return it."""
    path = folder / f"{seed}-{name}.pt"
    if path.exists():
        return checkpoints.load(path)[0].eval()
    recipe = Recipe(seed=seed, **RECIPE)
    torch.manual_seed(seed)
    model = wrn(**(TEACHER if name == "teacher" else STUDENT))
    loss = student_loss(len(data.classes), 3, **METHODS[name])
    print(f"seed {seed}, {name}: {model.title}\n{loss.describe()}", flush=True)
    history = fit(model, data, loss, recipe, teacher)
    facts = dict(
        name=name,
        seed=seed,
        parameters=parameters(model),
        history=history,
        **measure(model.eval(), teacher or model, data),
    )
    (folder / f"{seed}-{name}.json").write_text(json.dumps(facts))
    checkpoints.save(
        path,
        model,
        recipe=asdict(recipe),
        data=data.name,
        classes=list(data.classes),
        normalization=data.normalization(),
        method=METHODS[name],
    )
    return model


@torch.no_grad()
def measure(model, teacher, data) -> dict:
    """By group, over all test images: the energy on the object, and the distance to the teacher's maps."""
    x = normalize(data.test.images, data.normalization())
    ours, theirs = activations(model, x)[1], activations(teacher, x)[1]
    return dict(
        energy_inside=[energy_inside(a, data.test.masks).mean().item() for a in ours],
        map_distance=[at_loss(a, b).item() for a, b in zip(ours, theirs)],
    )


def collect(folder, seeds):
    """Put what the package needs into it."""
    target = ROOT / "moonshine/facts/trained"
    target.mkdir(parents=True, exist_ok=True)
    for name in METHODS:
        content = checkpoints.read(folder / f"0-{name}.pt")
        checkpoints.write_whole(target / f"{name}.pt", lambda file: torch.save(content, file))
    runs = [
        json.loads((folder / f"{seed}-{name}.json").read_text()) for seed in range(seeds) for name in METHODS
    ]
    facts = dict(
        data="shapes",
        train=TRAIN,
        test=TEST,
        teacher=TEACHER,
        student=STUDENT,
        methods=METHODS,
        recipe=RECIPE,
        seeds=seeds,
        torch=str(torch.__version__),
        machine=f"{platform.machine()} CPU, {torch.get_num_threads()} of {os.cpu_count()} cores",
        runs=runs,
    )
    (target / "runs.json").write_text(json.dumps(facts, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("trained"))
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    data = shapes(TRAIN, TEST)
    for seed in range(args.seeds):
        teacher = None
        for name in METHODS:
            model = train_one(name, seed, data, teacher, args.folder)
            teacher = teacher or model
    collect(args.folder, args.seeds)


if __name__ == "__main__":
    main()
