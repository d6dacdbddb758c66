"""Generated from nbs/distillation/40_methods.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.methods import *


import subprocess
import sys

import torch
from fastcore.test import test_close, test_eq, test_fail

from moonshine.losses.attention import student_loss
from moonshine.losses.base import Output
from moonshine.losses.kd import kd_loss


def test_methods_can_be_told_apart():
    for what in ("name", "label", "phrase", "color", "marker"):
        test_eq(len({getattr(method, what) for method in METHODS.values()}), len(METHODS))
    test_eq(list(METHODS), [method.name for method in METHODS.values()])
    test_fail(lambda: method_called("kd-papr"), contains="did you mean kd-paper?")


def test_parts_of_a_method_are_changed():
    test_eq(method_with(RECOMMENDED), METHODS[RECOMMENDED])
    test_eq(method_with(RECOMMENDED, alpha=0).label, "standard KD with AT with another alpha")
    test_eq([term.name for term in method_with("kd+at", alpha=0).loss(10, 3).terms], ["ce", "at"])
    test_eq([term.name for term in method_with("kd+at", beta=0).loss(10, 3).terms], ["ce", "kd"])
    plain = method_with("kd-standard+at", convention="paper")
    test_eq((plain.convention, plain.aux_convention), ("paper", None))
    test_eq(method_with("kd-standard+at", temperature=2).aux_convention, "code")
    test_fail(lambda: method_with("kd-papr"), contains="did you mean kd-paper?")
    test_fail(lambda: method_with("kd", alpha=2), contains="alpha is 2; it must be between 0 and 1")


def test_every_method_makes_its_loss():
    torch.manual_seed(0)
    s, t = (Output(torch.randn(4, 10), [torch.randn(4, 8, 4, 4)] * 3) for _ in range(2))
    y = torch.randint(0, 10, (4,))
    for method in METHODS.values():
        loss = method.loss(10, 3)
        total, values = loss(s, t if method.needs_teacher else None, y)
        test_eq(list(values), ["ce"] + ["kd"] * bool(method.alpha) + ["at"] * bool(method.beta))
        test_eq(loss.needs("teacher"), method.needs_teacher)
        by_hand = kd_loss(s.logits, t.logits, y, method.temperature, method.alpha, method.convention)
        test_close(total, by_hand + method.beta * values.get("at", 0), eps=1e-4)


def test_recorded_settings_stay():
    recorded = {
        "scratch": dict(alpha=0.0, beta=0.0, convention="code"),
        "kd": dict(alpha=0.9, beta=0.0, convention="code"),
        "at": dict(alpha=0.0, beta=1000.0, convention="code"),
        "kd-paper": dict(alpha=0.9, beta=0.0, convention="paper"),
        "kd+at": dict(alpha=0.9, beta=1000.0, convention="code"),
    }
    for name, settings in recorded.items():
        test_eq(METHODS[name].settings(), dict(**settings, temperature=4.0))


def test_a_method_of_your_own():
    mine = Method(
        "mild", "mild KD", "by mild KD", "#000000", "X", alpha=0.5, temperature=2.0, convention="standard"
    )
    test_eq(mine.loss(10).describe(), student_loss(10, 0, 0.5, 0.0, 2.0, "standard").describe())


def test_impossible_weights_are_refused():
    def weighed(**weights):
        return Method("m", "m", "m", "#000000", "X", **weights)


    test_fail(lambda: weighed(alpha=1.5), contains="alpha is 1.5; it must be between 0 and 1")
    test_fail(lambda: weighed(beta=-1.0), contains="beta is -1.0; it must be 0 or more")
    test_fail(lambda: weighed(temperature=0), contains="temperature is 0; it must be more than 0")
    for name in ("alpha", "beta", "temperature"):
        for wrong in (float("nan"), float("inf"), "1", None):
            test_fail(lambda: weighed(**{name: wrong}), contains=f"{name} is")


def test_the_table_is_read_without_pytorch():
    code = "import sys, moonshine.methods; assert 'torch' not in sys.modules"
    test_eq(subprocess.run([sys.executable, "-c", code]).returncode, 0)
