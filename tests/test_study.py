"""The study of weights trains as the package does: benchmarks/study_weights.py against `fit`."""

import sys
from statistics import mean

import pytest
import torch
from conftest import ROOT

from moonshine.data.images import Data, ImageSet
from moonshine.losses.attention import attention_transfer
from moonshine.losses.base import cross_entropy
from moonshine.losses.kd import distillation_loss
from moonshine.methods import MEASURED, RECOMMENDED
from moonshine.models.wide_resnet import wrn
from moonshine.paper.statistics import as_written, pooled
from moonshine.training.loop import evaluate, fit
from moonshine.training.recipe import Recipe

RESULTS = ROOT / "nbs" / "results"
RECIPE = Recipe(epochs=2, batch_size=50, epoch_step=(1,), seed=3)
NETWORK = dict(depth=10, width=1, block="S")


@pytest.fixture
def study(monkeypatch):
    """Give a test the module, which is a program and no part of the package."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield __import__("study_weights")
    sys.modules.pop("study_weights", None)


@pytest.fixture(scope="module")
def data():
    """100 training images and 20 test images of random pixels, in ten classes."""
    random = torch.Generator().manual_seed(0)

    def images(count):
        pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=random)
        return ImageSet(pixels, torch.randint(0, 10, (count,), generator=random))

    return Data("random", images(100), images(20), tuple("abcdefghij"), (0.5,) * 3, (0.25,) * 3)


def new_network(seed):
    """A network with the initial weights of a seed."""
    torch.manual_seed(seed)
    return wrn(**NETWORK).to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "method",
    [
        {},
        dict(beta=1000.0),
        dict(alpha=0.9, kd="code"),
        dict(alpha=0.9, kd="paper", beta=1000.0),
        dict(alpha=0.9, kd="standard"),
    ],
    ids=lambda method: " ".join(map(str, method.values())) or "scratch",
)
def test_two_epochs_are_those_of_fit(study, data, method):
    teacher = new_network(7).eval()
    one = dict(study="scarce", seed=RECIPE.seed, **NETWORK, **study.NOTHING | method)
    step = study.Step(one, data, teacher, RECIPE, amp="none")
    step.begin(one)
    step.replay(step.steps)

    model = new_network(RECIPE.seed)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    loss = distillation_loss(10, 4.0, method["alpha"], method["kd"]) if "kd" in method else cross_entropy()
    if "beta" in method:
        loss += attention_transfer(3, method["beta"])  # by the code's convention, whatever that of KD
    fit(model, data, loss, RECIPE, teacher, quiet=True)

    assert step.steps == 4
    for name, value in model.state_dict().items():
        difference = (step.model.state_dict()[name] - value).abs().max().item()
        assert difference <= 1e-3, name
    moved = max((value - start[name]).abs().max() for name, value in model.state_dict().items())
    assert moved > 0.01, "there was something to compare"
    theirs = evaluate(model, data)
    assert step.evaluate()["test_loss"] == pytest.approx(theirs["test_loss"], abs=1e-2)


def test_a_second_run_of_a_step_is_a_first_one(study, data):
    """A step is used for every run of its kind: nothing of the run before may be left."""
    runs = [dict(study="scarce", seed=seed, **NETWORK, **study.NOTHING) for seed in (0, 3)]
    step = study.Step(runs[0], data, None, RECIPE, amp="none")
    used = []
    for one in (*runs, runs[0]):
        step.begin(one)
        step.replay(step.steps)
        used.append([value.clone() for value in step.model.state_dict().values()])
    assert all(map(torch.equal, used[0], used[2])) and not all(map(torch.equal, used[0], used[1]))


def test_what_the_help_says_was_measured():
    """The numbers in the help text of `moonshine distill` are those of the result files."""
    runs = as_written(pooled(RESULTS / "weights_study", RESULTS / "scarce_cpu")[0])
    few = [row for row in runs if (row["regime"], row["student"]) == ("scarce", "WRN-16-2 G(N/8)")]
    for method, name in ((RECOMMENDED, "the default"), ("at", "at"), ("scratch", "scratch")):
        errors = [row["test_error"] for row in few if row["method"] == method]
        seeds = f"({len(errors)}" if name != "the default" else f"({len(errors)} seeds"
        assert f"{name} {mean(errors):.1f} % {seeds})" in MEASURED, (name, mean(errors), len(errors))
