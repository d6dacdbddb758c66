"""Generated from nbs/distillation/41_distill.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.distillation import *


import tempfile
from pathlib import Path

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn

from moonshine.data.drawing import shapes
from moonshine.surgery.student import cheapen
from moonshine.training.checkpoints import load_weights
from moonshine.training.recipe import Recipe


class Own(nn.Module):
    "A small network that moonshine does not know"

    def __init__(self, classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.one = nn.Sequential(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.head = nn.Linear(32, classes)

    def forward(self, x):
        return self.head(self.two(self.one(self.stem(x))).mean((2, 3)))


def test_beta_is_the_papers_on_the_papers_maps():
    test_eq(fitting_beta([(32, 32), (16, 16), (8, 8)]), 1000)  # CIFAR
    test_eq(fitting_beta([(56, 56), (28, 28), (14, 14), (7, 7)]), 1000)  # ImageNet
    test_close(fitting_beta([(16, 16), (8, 8), (4, 4), (2, 2)]), 15.625 * 4 * 4 / 3)
    test_eq(fitting_beta([(2, 2)], "paper"), 1000)
    test_eq([fitting_beta([(8, 8)] * 3, most=most) for most in (10.0, 5000.0)], [10, 1000])


def test_a_student_in_one_call():
    torch.manual_seed(0)
    teacher, data = Own(), shapes(train=128, test=64)
    folder = tempfile.mkdtemp()
    student = distill(teacher, data, "G(4)", Recipe(epochs=2, batch_size=32), name="own", directory=folder)
    test_eq([row["epoch"] for row in student.history], [1, 2])
    assert student.history[1]["at"] < student.history[0]["at"], "its maps come closer to the teacher's"
    assert sum(p.numel() for p in student.parameters()) < sum(p.numel() for p in teacher.parameters())

    again = load_weights(Path(folder) / "own.pt", cheapen(Own(), "G(4)"))
    x, _ = next(iter(data.test_batches(4)))
    test_close(again(x).detach(), student(x).detach(), eps=1e-5)


def test_the_method_is_chosen_by_name():
    import contextlib
    import io


    def terms(**options):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            student = distill(Own(), shapes(train=16, test=8), "G(4)", Recipe(epochs=1, batch_size=8), **options)
        names = [name for name in ("ce", "kd", "at") if name in student.history[0]]
        return names, text.getvalue()


    names, text = terms(method="kd-standard+at", temperature=2)
    print(text)
    test_eq(names, ["ce", "kd", "at"])
    assert "method: standard KD with AT with another temperature, α 0.9, β 666.667, T 2" in text
    assert "convention standard (code for at)\nschedule: 1 epoch, learning rate 0.1, constant" in text
    test_eq(terms(method="at", quiet=True)[0], ["ce", "at"])
    test_eq(terms(method="kd+at", alpha=0, quiet=True)[0], ["ce", "at"])
    test_eq(terms(method="kd+at", beta=0, quiet=True)[0], ["ce", "kd"])
    test_eq(terms(method="scratch", quiet=True)[0], ["ce"])
    test_fail(lambda: distill(Own(), None, method="kd-papr"), contains="did you mean kd-paper?")


def test_layers_are_chosen_or_named():
    teacher, data, recipe = Own(), shapes(train=32, test=16), Recipe(epochs=1, batch_size=32)
    student = distill(teacher, data, "G(4)", recipe, quiet=True)
    test_eq(student.attention_layers, ["one", "two"])  # nothing is substituted at the stem's size
    test_eq(distill(teacher, data, "G(4)", recipe, layers=["two.0"], quiet=True).attention_layers, ["two.0"])
    test_fail(
        lambda: distill(teacher, data, "G(4)", recipe, layers=["tow"], quiet=True), contains="no layer 'tow'"
    )
    test_fail(lambda: distill(Own(5), data, quiet=True), contains="the teacher has 5 classes and shapes has 10")
    student = distill(teacher, data, "G(4)", recipe, beta=0, quiet=True)
    test_eq((student.attention_layers, "at" in student.history[0]), ([], False))


def test_the_teacher_is_left_alone():
    teacher, data, recipe = Own().train(), shapes(train=32, test=16), Recipe(epochs=1, batch_size=32)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    distill(teacher, data, "G(4)", recipe, quiet=True)
    assert all(module.training for module in teacher.modules()) and not hasattr(teacher, "attention_layers")
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    test_eq([module for module in teacher.modules() if module._forward_hooks], [])


def test_registered_losses_are_added_by_name():
    teacher, data, recipe = Own(), shapes(train=32, test=16), Recipe(epochs=1, batch_size=32)
    student = distill(teacher, data, "G(4)", recipe, method="scratch", losses=("kd", "se"), quiet=True)
    assert {"ce", "kd", "se"} <= set(student.history[0])
    test_fail(lambda: distill(teacher, data, recipe=recipe, losses="kd", quiet=True), contains="write ('kd',)")
    test_fail(lambda: distill(teacher, data, recipe=recipe, losses=("kdd",), quiet=True), contains="mean kd?")


def test_impossible_weights_are_refused():
    for name, values in dict(
        alpha=(-0.1, 2, "1"), beta=(-1, float("nan")), temperature=(0, float("inf"))
    ).items():
        for value in values:
            test_fail(lambda: distill(Own(), None, **{name: value}), contains=f"{name} is")
    test_fail(lambda: distill(Own(), None, convention="papre"), contains="use code")
