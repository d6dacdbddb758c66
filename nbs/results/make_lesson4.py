"""Train the students of lesson 4 with several seeds: with the right loss, with broken ones, and from scratch.

    python nbs/results/make_lesson4.py                 seeds 0 to 4; about 7 minutes on one core
    python nbs/results/make_lesson4.py --seeds 1       seed 0 only

Each run is a line of lesson4.jsonl. A run that is already there is not repeated. The setting is the lesson's:
a WRN-10-1 with G(N/8), 250 drawn images in batches of 25, SGD with a cosine schedule, one thread.
"""

import argparse
import json
from pathlib import Path

import torch
from torch.nn import functional as F

from moonshine.data.drawing import shapes
from moonshine.lessons.lesson_4 import soft_loss
from moonshine.models.wide_resnet import wrn
from moonshine.pretrained import network_input, test_images, trained_network
from moonshine.training.provenance import processor

OUT = Path(__file__).with_name("lesson4.jsonl")


def no_square(s, t, T):
    """Forget T²."""
    return F.kl_div(F.log_softmax(s / T, 1), F.softmax(t / T, 1), reduction="batchmean")


def wrong_axis(s, t, T):
    """Softmax over the batch instead of the classes."""
    return T**2 * F.kl_div(F.log_softmax(s / T, 0), F.softmax(t / T, 0), reduction="batchmean")


def teacher_not_softened(s, t, T):
    """Soften the student only."""
    return T**2 * F.kl_div(F.log_softmax(s / T, 1), F.softmax(t, 1), reduction="batchmean")


LOSSES = dict(
    right=soft_loss, no_square=no_square, wrong_axis=wrong_axis, teacher_not_softened=teacher_not_softened
)
# (soft loss or None for training from scratch, epochs, learning rate)
CONDITIONS = [
    (None, 30, 0.05),
    ("right", 30, 0.05),
    (None, 15, 0.05),
    *((loss, 15, 0.05) for loss in LOSSES),
    # Is the gain of KD that of a larger step? The soft loss weighs 14.4 times as much.
    *((None, 30, rate) for rate in (0.1, 0.2, 0.5)),
]


def train(loss: str | None, epochs: int, rate: float, seed: int, data: tuple) -> float:
    """Train one student as lesson 4 does, and return its test error in percent."""
    x, y, t, x_test, y_test = data
    torch.manual_seed(seed)
    student = wrn(10, 1, "G(N/8)")
    optimizer = torch.optim.SGD(student.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (len(x) // 25))
    for _ in range(epochs):
        student.train()
        for batch in torch.randperm(len(x)).split(25):
            s = student(x[batch])
            hard = F.cross_entropy(s, y[batch])
            total = 0.1 * hard + 0.9 * LOSSES[loss](s, t[batch], 4.0) if loss else hard
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        return 100 * (student.eval()(x_test).argmax(1) != y_test).float().mean().item()


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    images, few = test_images(), shapes(train=250, test=10).train
    x = network_input(few.images)
    with torch.no_grad():
        t = trained_network("teacher")(x)
    data = x, few.labels, t, network_input(images.images), images.labels
    lines = OUT.read_text(encoding="utf-8").splitlines() if OUT.exists() else []
    done = {(row["loss"], row["epochs"], row["lr"], row["seed"]) for row in map(json.loads, lines)}
    for seed in range(seeds):
        for loss, epochs, rate in CONDITIONS:
            if (loss, epochs, rate, seed) in done:
                continue
            error = round(train(loss, epochs, rate, seed, data), 2)
            row = dict(loss=loss, epochs=epochs, lr=rate, seed=seed, test_error=error)
            row |= dict(torch=torch.__version__, processor=processor())
            with OUT.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


if __name__ == "__main__":
    main()
