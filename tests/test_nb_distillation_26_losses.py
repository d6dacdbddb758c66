"""Generated from nbs/distillation/26_losses.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.losses.base import *


import copy

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn
from torch.nn import functional as F

from moonshine.losses.base import LOSSES


def test_half_precision_is_widened():
    for dtype, wider in {
        torch.bfloat16: torch.float32,
        torch.float16: torch.float32,
        torch.float64: torch.float64,
    }.items():
        test_eq(at_least_float32(torch.zeros(2, dtype=dtype)).dtype, wider)


def test_cross_entropy_is_pytorchs():
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 10), torch.randint(0, 10, (4,))
    total, values = cross_entropy(0.5)(Output(logits), None, labels)
    test_close(total, 0.5 * F.cross_entropy(logits, labels))
    test_eq(list(values), ["ce"])
    test_eq(cross_entropy(0.5).describe(), "  ce: 0.5 × cross-entropy with the labels")
    assert not cross_entropy().needs("teacher")


def test_terms_that_would_fail_later_are_refused():
    test_fail(lambda: cross_entropy() + cross_entropy(), contains="two terms of the loss are named 'ce'")


    def zero(student, teacher, labels):
        return student.logits.sum() * 0


    for name, message in {
        "a b": "invalid term name",
        "values": "invalid term name",
        "epoch": "reserved",
        "test_error": "reserved",
    }.items():
        test_fail(lambda: Loss((Term(name, 1.0, zero, "nothing"),)), contains=message)
    test_fail(lambda: Loss((Term("x", 1.0, zero, "nothing", ("techer",)),)), contains="did you mean teacher?")
    test_fail(lambda: Loss((Term("x", 1.0, 0.5, "nothing"),)), contains="the value of the term 'x' is float")
    test_fail(lambda: Loss((zero,)), contains="made of terms, Loss((Term(...), ...)), not of function")
    for name in FACTS:
        test_fail(lambda: Loss((Term(name, 1.0, zero, "nothing"),)), contains="reserved")


def test_a_value_that_is_no_scalar_tensor_is_refused():
    for result, message in {
        0.5: "'x' returned float; it must return a scalar tensor",
        None: "'x' returned NoneType; it must",
        torch.zeros(4, 10): "'x' returned a tensor (4, 10); it must",
        torch.zeros(1): "'x' returned a tensor (1,); it must",
    }.items():

        def value(student, teacher, labels):
            return result

        loss = Loss((Term("x", 1.0, value, "nothing"),))
        test_fail(lambda: loss(Output(torch.zeros(4, 10)), None, None), contains=message)


def test_a_loss_of_pytorch_must_be_wrapped():
    def plain(logits, labels):
        return F.cross_entropy(logits, labels)


    for wrong, name in ((nn.CrossEntropyLoss(), "CrossEntropyLoss"), (plain, "plain"), (None, "NoneType")):
        test_fail(lambda: check_loss(wrong), contains=f"{name} is not a moonshine Loss; wrap it: Loss((Term(")
        test_fail(lambda: cross_entropy() + wrong, contains=f"{name} is not a moonshine Loss")


    def value(student, teacher, labels):
        return nn.CrossEntropyLoss()(student.logits, labels)


    check_loss(Loss((Term("my_term", 1.0, value, "cross-entropy of PyTorch"),)))


def test_a_loss_may_own_parameters():
    class Biased(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(classes))

        def forward(self, student, teacher, labels):
            return F.cross_entropy(student.logits + self.bias, labels)


    biased = Term("biased", 2.0, Biased(10), "cross-entropy with a trained bias", weight_decay=0.0)
    loss = cross_entropy() + Loss((biased,))
    test_eq([name for name, _ in loss.named_parameters()], ["parts.biased.bias"])
    test_eq([len(group["params"]) for group in loss.parameter_groups(5e-4)], [1])
    test_eq(loss.parameter_groups(5e-4)[0]["weight_decay"], 0.0)
    print(loss.describe())
    assert loss.describe().endswith(
        "2 × cross-entropy with a trained bias; trains 10 parameters with weight decay 0"
    )
    total, _ = loss(Output(torch.randn(4, 10)), None, torch.tensor([1, 2, 3, 4]))
    total.backward()
    assert biased.value.bias.grad.abs().sum() > 0, "the optimizer has something to do"


def test_a_copied_loss_computes_with_its_own_parameters():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, student, teacher, labels):
            return (self.scale * student.logits).sum()


    loss = Loss((Term("scaled", 1.0, Scaled(), "scaled sum of the logits"),))
    other = copy.deepcopy(loss)
    other.load_state_dict({"parts.scaled.scale": torch.tensor(3.0)})
    x = Output(torch.ones(1, 2))
    test_eq([one(x, None, None)[0].item() for one in (loss, other, other.double())], [2.0, 6.0, 6.0])


def test_losses_are_chosen_by_name():
    test_eq(build_loss("ce", Dimensions(10), weight=0.1).describe(), "  ce: 0.1 × cross-entropy with the labels")
    test_fail(lambda: build_loss("cee", Dimensions(10)), contains="did you mean ce?")
    test_fail(lambda: build_loss("ce", Dimensions(10), wieght=1), contains="did you mean weight?")


def test_a_factory_must_return_a_loss():
    @register_loss("forgetful")
    def forgetful(dimensions):
        "A loss whose factory forgets to return it"


    test_fail(lambda: build_loss("forgetful", Dimensions(10)), contains="'forgetful' returned NoneType; it must")
    del LOSSES["forgetful"]


def test_unusable_losses_are_not_registered():
    def described(dimensions, weight=1.0):
        "A loss"


    def without_default(dimensions, weight):
        "A loss"


    def another_order(weight=1.0):
        "A loss"


    before = dict(LOSSES)
    for name, factory, message in [
        ("ce", described, "there is one already"),
        ("my loss", described, "lower-case letters"),
        ("mine", lambda dimensions: None, "docstring"),
        ("mine", without_default, "weight must have a default"),
        ("mine", another_order, "`dimensions`"),
    ]:
        test_fail(lambda: register_loss(name)(factory), contains=message)
    test_eq(LOSSES, before)


    def same_again(scale):
        "Run a cell that defines a loss."
        found = dict(cross_entropy=cross_entropy)
        exec(f"def mine(dimensions):\n    'A loss'\n    return cross_entropy({scale})", found)
        return found["mine"]


    for _ in range(2):  # running a cell again is no collision
        register_loss("mine")(same_again(0.5))
    test_fail(lambda: register_loss("mine")(same_again(0.25)), contains="there is one already")
    del LOSSES["mine"]
