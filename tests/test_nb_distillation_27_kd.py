"""Generated from nbs/distillation/27_kd.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.losses.kd import *


import math

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch.nn import functional as F

from moonshine.losses.base import Dimensions, Output, build_loss


def test_weights_of_the_soft_term():
    test_eq(soft_weight(4.0, 0.9, 10, "paper"), 28.8)
    test_close(soft_weight(4.0, 0.9, 10, "code"), 2.88)  # CIFAR-10: 10 times smaller
    test_close(soft_weight(4.0, 0.9, 100, "code"), 0.288)  # CIFAR-100: 100 times
    test_close([soft_weight(4.0, 0.9, n, "standard") for n in (10, 100)], [14.4, 14.4])
    test_fail(lambda: soft_weight(4.0, 0.9, 10, "papre"), contains="use code")


def test_kd_loss_by_plain_arithmetic():
    def softmax(z):
        return [math.exp(v) / sum(map(math.exp, z)) for v in z]


    def by_hand(s, t, y, T, alpha, convention):
        total = 0
        for s, t, y in zip(s.tolist(), t.tolist(), y.tolist()):
            p, q = softmax([v / T for v in t]), softmax([v / T for v in s])
            cross_entropy = -sum(a * math.log(b) for a, b in zip(p, q))
            divergence = sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q))
            soft = {
                "paper": 2 * T**2 * alpha * cross_entropy,
                "code": 2 * T**2 * alpha * divergence / len(p),
                "standard": alpha * T**2 * divergence,
            }
            total += (1 - alpha) * -math.log(softmax(s)[y]) + soft[convention]
        return total


    torch.manual_seed(0)
    s, t = (3 * torch.randn(6, 10, dtype=torch.float64) for _ in range(2))
    y = torch.randint(0, 10, (6,))
    for convention in CONVENTIONS:
        for T, alpha in ((4.0, 0.9), (1.0, 0.5), (8.0, 1.0)):
            expected = by_hand(s, t, y, T, alpha, convention) / 6
            test_close(kd_loss(s, t, y, T, alpha, convention).item(), expected, eps=1e-10)
            single = kd_loss(s.float(), t.float(), y, T, alpha, convention)
            test_close(single.item() / expected, 1, eps=1e-5)


def test_kd_loss_is_the_released_line():
    torch.manual_seed(0)
    s, t, y = torch.randn(6, 100), torch.randn(6, 100), torch.randint(0, 100, (6,))
    T, alpha = 4.0, 0.9
    kl = F.kl_div(F.log_softmax(s / T, 1), F.softmax(t / T, 1), reduction="none").mean()  # over batch and classes
    expected = kl * 2 * T * T * alpha + F.cross_entropy(s, y) * (1 - alpha)
    test_close(kd_loss(s, t, y, T, alpha, "code"), expected, eps=1e-5)


def test_kd_loss_in_the_other_conventions_is_pytorchs():
    torch.manual_seed(0)
    s, t, y = torch.randn(6, 100), torch.randn(6, 100), torch.randint(0, 100, (6,))
    T, alpha = 4.0, 0.9
    hard = F.cross_entropy(s, y) * (1 - alpha)
    kl = F.kl_div(F.log_softmax(s / T, 1), F.log_softmax(t / T, 1), reduction="batchmean", log_target=True)
    test_close(kd_loss(s, t, y, convention="standard"), hard + alpha * T * T * kl, eps=1e-5)
    soft = F.cross_entropy(s / T, F.softmax(t / T, 1))
    test_close(kd_loss(s, t, y, convention="paper"), hard + 2 * T * T * alpha * soft, eps=1e-5)


def test_every_position_of_dense_logits_is_a_sample():
    s, t = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 4)
    y = torch.randint(0, 5, (2, 3, 4))
    rows = [x.permute(0, 2, 3, 1).reshape(24, 5) for x in (s, t)]
    for convention in CONVENTIONS:
        test_close(
            kd_loss(s, t, y, convention=convention), kd_loss(*rows, y.flatten(), convention=convention), eps=1e-5
        )
    test_fail(lambda: soft_term(s, t[..., 1:]), contains="are (2, 5, 3, 3) and the student's (2, 5, 3, 4)")
    test_fail(lambda: soft_term(s, t[:, 1:]), contains="the teacher has 4 classes and the student 5")


def test_gradient_is_zero_at_the_teacher():
    t = torch.randn(4, 10)
    for convention in CONVENTIONS:
        s = t.clone().requires_grad_()
        loss = kd_loss(s, t, torch.zeros(4, dtype=torch.long), alpha=1.0, convention=convention)
        loss.backward()
        test_close(s.grad, torch.zeros(4, 10), eps=1e-5)
        print(f"{convention}: loss at the teacher {loss:.4f}")


def test_gradient_by_formula():
    torch.manual_seed(0)
    s, t, T = torch.randn(3, 5, requires_grad=True), torch.randn(3, 5), 4.0
    for convention in CONVENTIONS:
        s.grad = None
        soft_term(s, t, T, convention).backward()
        test_close(s.grad, (torch.softmax(s / T, 1) - torch.softmax(t / T, 1)).detach() / T / 3, eps=1e-6)


def test_temperature_squared_keeps_the_gradient():
    def gradient_size(T):
        s = torch.tensor([[0.1, -0.2, 0.0]], requires_grad=True)
        kd_loss(s, torch.tensor([[0.3, 0.1, -0.4]]), torch.tensor([0]), T, 1.0, "paper").backward()
        return s.grad.norm().item()


    test_close(gradient_size(8.0) / gradient_size(4.0), 1, eps=0.02)
    print([round(gradient_size(T), 4) for T in (1.0, 4.0, 16.0)])


def test_kd_loss_passes_the_gradient_check():
    torch.manual_seed(0)
    s = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    t, y = torch.randn(3, 5, dtype=torch.float64), torch.tensor([0, 3, 4])
    for convention in CONVENTIONS:
        assert torch.autograd.gradcheck(lambda s: kd_loss(s, t, y, convention=convention), s)


def test_terms_add_up_to_kd_loss():
    torch.manual_seed(0)
    s, t, y = torch.randn(6, 10), torch.randn(6, 10), torch.randint(0, 10, (6,))
    for convention in CONVENTIONS:
        loss = distillation_loss(10, convention=convention)
        total, values = loss(Output(s), Output(t), y)
        test_close(total, kd_loss(s, t, y, convention=convention), eps=1e-5)
        test_eq(list(values), ["ce", "kd"])
        by_name = build_loss("kd", Dimensions(10), convention=convention)
        test_close(by_name(Output(s), Output(t), y)[0], total - 0.1 * values["ce"], eps=1e-5)
        print(convention, loss.describe(), sep="\n")


def test_teacher_and_student_must_agree_on_the_classes():
    test_fail(
        lambda: kd_loss(torch.zeros(2, 10), torch.zeros(2, 100), torch.zeros(2, dtype=torch.long)),
        contains="teacher has 100 classes and the student 10",
    )


def test_impossible_weights_are_refused():
    def one_loss(alpha=0.9, temperature=4.0):
        return kd_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.tensor([0, 1]), temperature, alpha)


    def its_terms(alpha=0.9, temperature=4.0):
        return distillation_loss(3, temperature, alpha)


    for make in (one_loss, its_terms):
        make(alpha=0), make(alpha=1)
        for alpha in (-0.1, 1.5, float("nan"), "0.9", None):
            test_fail(lambda: make(alpha=alpha), contains="alpha is")
        for temperature in (0, -1.0, float("inf"), float("nan"), "4"):
            test_fail(lambda: make(temperature=temperature), contains="temperature is")
    test_fail(lambda: check_weights(beta=float("inf")), contains="beta is inf; it must be 0 or more")
