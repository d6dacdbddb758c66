"""Generated from nbs/extend/2_add_a_loss.ipynb by tools/export.py. Edit the notebook, not this file."""


import copy
import math
import tempfile
from pathlib import Path

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn
from torch.nn import functional as F

from moonshine.data.drawing import shapes
from moonshine.distillation import distill
from moonshine.errors import InputError
from moonshine.losses.attention import dimensions_of, try_loss
from moonshine.losses.base import (
    LOSSES,
    Loss,
    Output,
    Term,
    at_least_float32,
    build_loss,
    cross_entropy,
    register_loss,
)
from moonshine.methods import Method
from moonshine.models.wide_resnet import wrn
from moonshine.training.loop import fit, train
from moonshine.training.progress import epoch_line
from moonshine.training.recipe import Recipe
from moonshine.training.state import optimizer_for


def distances(features: torch.Tensor) -> torch.Tensor:
    "Distances between all pairs of rows of (B, D), divided by the mean of those that are not zero: (B, B)"
    difference = features[:, None] - features[None]  # (B, B, D)
    distance = torch.linalg.vector_norm(difference, dim=2)
    return distance * (distance > 0).sum() / distance.sum()


def angles(features: torch.Tensor) -> torch.Tensor:
    "Cosines of the angles of all triples of rows of (B, D), at the first of the three: (B, B, B)"
    direction = F.normalize(features[None] - features[:, None], dim=2)  # (B, B, D), from i to j
    return direction @ direction.transpose(1, 2)


def compare(relation, student: Output, teacher: Output) -> torch.Tensor:
    "Smooth L1 loss between a relation of the pooled features of student and teacher"
    ours, theirs = (at_least_float32(output.pooled) for output in (student, teacher))
    with torch.autocast(ours.device.type, enabled=False):  # it would multiply matrices in bfloat16
        return F.smooth_l1_loss(relation(ours), relation(theirs))


@register_loss("rkd")
def rkd(dimensions, weight=1.0):
    "Relational knowledge distillation: distances and angles between images in feature space"
    needs = ("teacher", "pooled")

    def distance(student, teacher, labels):
        return compare(distances, student, teacher)

    def angle(student, teacher, labels):
        return compare(angles, student, teacher)

    return Loss(
        (
            Term("rkd_distance", 25 * weight, distance, "difference of the pairwise distances", needs),
            Term("rkd_angle", 50 * weight, angle, "difference of the angles of all triples", needs),
        )
    )


class Hint(nn.Module):
    "Mean squared error between the teacher's feature map and what a 1×1 convolution makes of the student's"

    def __init__(
        self,
        names: tuple,  # the student's layer, the teacher's layer
        student_channels: int,
        teacher_channels: int,
    ):
        super().__init__()
        self.names = names
        self.regressor = nn.Conv2d(student_channels, teacher_channels, 1)

    def forward(self, student, teacher, labels):
        ours, theirs = student.named[self.names[0]], teacher.named[self.names[1]]
        return F.mse_loss(at_least_float32(self.regressor(ours)), at_least_float32(theirs))


@register_loss("fitnets")
def fitnets(
    dimensions,
    weight=100.0,
    layer=-2,  # which of the compared layers; the middle one of three
    weight_decay=None,  # of the regressor; None: as for the network
):
    "FitNets: a regressor predicts the teacher's feature map at one layer from the student's"
    if not dimensions.student:
        raise InputError("fitnets must know the sizes of the feature maps; use dimensions_of")
    ours, theirs = dimensions.student[layer], dimensions.teacher[layer]
    if ours[1:] != theirs[1:]:
        raise InputError(f"fitnets compares {ours} with {theirs}; the last two must be equal")
    names = dimensions.names[layer]
    meaning = f"mean squared error of a 1×1 convolution from {names[0]} to the teacher's {names[1]}"
    hint = Hint(names, ours[0], theirs[0])
    return Loss((Term("hint", weight, hint, meaning, ("teacher",), (names,), weight_decay),))


def test_rkd_by_plain_arithmetic():
    def distances_by_hand(f):
        d = [[math.dist(a, b) for b in f] for a in f]
        positive = [v for row in d for v in row if v > 0]
        return [[v / (sum(positive) / len(positive)) for v in row] for row in d]


    def angle_by_hand(f, i, j, k):
        if i == j or i == k:
            return 0.0  # no direction from an image to itself
        a, b = [q - p for p, q in zip(f[i], f[j])], [q - p for p, q in zip(f[i], f[k])]
        return sum(p * q for p, q in zip(a, b)) / math.hypot(*a) / math.hypot(*b)


    def smooth_l1(a, b):
        return 0.5 * (a - b) ** 2 if abs(a - b) < 1 else abs(a - b) - 0.5


    torch.manual_seed(0)
    s, t = torch.randn(3, 4, dtype=torch.float64), 10 * torch.randn(3, 6, dtype=torch.float64)
    total, values = LOSSES["rkd"](None)(Output(None, pooled=s), Output(None, pooled=t), None)
    ds, dt = distances_by_hand(s.tolist()), distances_by_hand(t.tolist())
    by_pairs = sum(smooth_l1(ds[i][j], dt[i][j]) for i in range(3) for j in range(3)) / 9
    triples = [(i, j, k) for i in range(3) for j in range(3) for k in range(3)]
    by_triples = (
        sum(smooth_l1(angle_by_hand(s.tolist(), *x), angle_by_hand(t.tolist(), *x)) for x in triples) / 27
    )
    test_close(values["rkd_distance"].item(), by_pairs, eps=1e-12)
    test_close(values["rkd_angle"].item(), by_triples, eps=1e-12)
    test_close(total.item(), 25 * by_pairs + 50 * by_triples, eps=1e-10)


def test_rkd_sees_only_relations():
    torch.manual_seed(0)
    f = torch.randn(5, 4, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    values = rkd(None)(Output(None, pooled=f), Output(None, pooled=3 * f @ rotation + 7), None)[1]
    test_close([value.item() for value in values.values()], [0, 0], eps=1e-12)

    twice = torch.cat([f, f[:1]]).requires_grad_()
    rkd(None)(Output(None, pooled=twice), Output(None, pooled=torch.randn(6, 3).double()), None)[0].backward()
    assert twice.grad.isfinite().all()


def test_rkd_is_computed_in_float32():
    torch.manual_seed(0)
    s, t = (Output(None, pooled=torch.randn(8, 16)) for _ in range(2))
    exact = rkd(None)(s, t, None)[0]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = rkd(None)(s, t, None)[0]
    test_eq((mixed.dtype, mixed.item()), (torch.float32, exact.item()))


def test_fitnets_by_plain_arithmetic():
    torch.manual_seed(0)
    hint = Hint(("a", "b"), 2, 3).double()
    s, t = torch.randn(2, 2, 1, 2, dtype=torch.float64), torch.randn(2, 3, 1, 2, dtype=torch.float64)
    weight, bias = hint.regressor.weight[:, :, 0, 0].tolist(), hint.regressor.bias.tolist()
    errors = [
        sum(weight[c][d] * s[b, d, 0, j].item() for d in range(2)) + bias[c] - t[b, c, 0, j].item()
        for b in range(2)
        for c in range(3)
        for j in range(2)
    ]
    value = hint(Output(None, named=dict(a=s)), Output(None, named=dict(b=t)), None)
    test_close(value.item(), sum(e * e for e in errors) / len(errors), eps=1e-12)


def test_fitnets_describes_its_regressor():
    student, teacher, x = wrn(10, 0.5), wrn(10, 1), torch.randn(2, 3, 16, 16)
    loss = cross_entropy() + build_loss("fitnets", dimensions_of(student, teacher, x))
    print(loss.describe())
    assert loss.describe().endswith("trains 544 parameters")
    test_eq(
        [name for name, _ in loss.named_parameters()], [f"parts.hint.regressor.{p}" for p in ("weight", "bias")]
    )
    test_fail(lambda: build_loss("fitnets", dimensions_of(student, teacher, x), layr=0), contains="mean layer?")


def test_distill_with_both():
    torch.manual_seed(0)
    teacher, data, recipe = (
        wrn(10, 0.5),
        shapes(train=64, test=32),
        Recipe(epochs=1, batch_size=32, learning_rate=0.01),
    )
    student = distill(teacher, data, "G(4)", recipe, method="scratch", losses=("rkd", "fitnets"))
    assert {"ce", "rkd_distance", "rkd_angle", "hint"} <= set(student.history[0])


def test_a_method_may_use_a_registered_loss():
    method = Method("rkd", "RKD", "by RKD", "#000000", "X", beta=1.0, aux="rkd")
    test_eq([term.name for term in method.loss(10).terms], ["ce", "rkd_distance", "rkd_angle"])
    test_eq(method.loss(10).needs("pooled"), True)

    method = Method("fitnets", "FitNets", "by FitNets", "#000000", "X", beta=100.0, aux="fitnets")
    test_fail(lambda: method.loss(10, 3), contains="fitnets must know the sizes of the feature maps")
    dimensions = dimensions_of(wrn(10, 0.5, "G(4)"), wrn(10, 0.5), torch.randn(2, 3, 16, 16))
    test_eq([term.name for term in method.loss(10, dimensions=dimensions).terms], ["ce", "hint"])


def test_every_term_is_in_the_epoch_line():
    torch.manual_seed(0)
    student, teacher, data = wrn(10, 0.5, "G(4)"), wrn(10, 0.5), shapes(train=32, test=16)
    dimensions = dimensions_of(student, teacher, next(iter(data.test_batches(2)))[0])
    loss = cross_entropy() + build_loss("rkd", dimensions) + build_loss("fitnets", dimensions)
    recipe = Recipe(epochs=1, batch_size=32, learning_rate=0.01)
    [row] = fit(student, data, loss, recipe, teacher, quiet=True)
    print(epoch_line(row, recipe.epochs))
    for term in loss.terms:
        assert f"{term.name} {row[term.name]:.4g}" in epoch_line(row, recipe.epochs)


def test_the_regressor_is_trained():
    torch.manual_seed(0)
    student, teacher, data = wrn(10, 0.5, "G(4)"), wrn(10, 0.5), shapes(train=32, test=16)
    dimensions = dimensions_of(student, teacher, next(iter(data.test_batches(2)))[0])
    loss = cross_entropy() + build_loss("fitnets", dimensions)
    before = copy.deepcopy(loss.state_dict())
    fit(student, data, loss, Recipe(epochs=1, batch_size=16, learning_rate=0.01), teacher, quiet=True)
    for name, tensor in loss.state_dict().items():
        assert not torch.equal(tensor, before[name]), f"{name} did not move"

    without_decay = build_loss("fitnets", dimensions, weight_decay=0.0)
    groups = optimizer_for(student, Recipe(), without_decay).param_groups
    test_eq([group["weight_decay"] for group in groups], [Recipe().weight_decay, 0.0])
    assert without_decay.describe().endswith("parameters with weight decay 0")


def test_the_regressor_is_stored_and_restored():
    data, folder = shapes(train=32, test=16), tempfile.mkdtemp()


    def run(name, epochs, resume=False):
        torch.manual_seed(0)
        teacher, student = wrn(10, 0.5), wrn(10, 0.5, "G(4)")
        dimensions = dimensions_of(student, teacher, next(iter(data.test_batches(2)))[0])
        loss = cross_entropy() + build_loss("fitnets", dimensions)
        recipe = Recipe(epochs=epochs, batch_size=16, learning_rate=0.01)
        train(student, data, loss, recipe, name, folder, teacher, resume=resume, quiet=True)
        return {**student.state_dict(), **loss.state_dict()}


    whole = run("whole", 2)
    run("parts", 1)
    resumed = run("parts", 2, resume=True)
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), f"{name} differs after resuming"
    stored = torch.load(Path(folder, "parts.pt"), weights_only=True)["loss"]
    test_eq(sorted(stored), ["parts.hint.regressor.bias", "parts.hint.regressor.weight"])


def test_every_registered_loss_can_be_used():
    torch.manual_seed(0)
    x, labels = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 3])
    for name in LOSSES:
        loss = try_loss(name, wrn(10, 0.5, "G(4)"), wrn(10, 0.5), x, labels)
        print(f"{name}: {LOSSES[name].__doc__}", loss.describe(), sep="\n")
    assert {"rkd", "fitnets"} <= set(LOSSES)


def test_a_loss_of_pytorch_is_wrapped():
    def smoothed(student, teacher, labels):
        "Cross-entropy with smoothed labels."
        return F.cross_entropy(at_least_float32(student.logits), labels, label_smoothing=0.1)


    data, recipe = shapes(train=32, test=16), Recipe(epochs=1, batch_size=32, learning_rate=0.01)
    plain = nn.CrossEntropyLoss(label_smoothing=0.1)
    message = "CrossEntropyLoss is not a moonshine Loss; wrap it"
    test_fail(lambda: fit(wrn(10, 0.5), data, plain, recipe, quiet=True), contains=message)
    loss = Loss((Term("smoothed", 1.0, smoothed, "cross-entropy with smoothed labels"),))
    [row] = fit(wrn(10, 0.5), data, loss, recipe, quiet=True)
    test_eq(row["smoothed"], row["train_loss"])


def test_mistakes_are_found_at_registration():
    def unfinished(dimensions, weight):
        "A loss whose weight has no default"


    def another(dimensions):
        "Another loss"


    register_loss("rkd")(rkd)  # running the cell again is no collision
    test_fail(lambda: register_loss("rkd")(another), contains="there is one already")
    test_fail(lambda: register_loss("unfinished")(unfinished), contains="weight must have a default")
