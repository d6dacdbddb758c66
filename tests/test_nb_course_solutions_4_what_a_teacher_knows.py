"""Generated from nbs/course/solutions/4_what_a_teacher_knows.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.lesson_4 import *


import torch
from fastcore.test import test_close
from torch.nn import functional as F

from moonshine.lessons.checks import verdict
from moonshine.losses.kd import kd_loss


def test_the_questions_have_the_right_answers():
    assert 0 < left_for_others() < 1
    assert most_star_like() in RIVALS
    assert 0 < discs_and_hexagons() <= 12
    logits, _ = teachers_logits()
    assert abs(cross_entropy_of_a_perfect_student() - F.cross_entropy(logits / 4, softened(4)).item()) < 1e-4
    assert 3 < from_16_to_32() < 4.5
    assert 5 < seeds_won() <= 10
    s = torch.randn(20, 10, requires_grad=True)  # 4.6, with a peaked and a flat teacher
    peaked = torch.eye(10)[torch.arange(20) % 10] * 12
    F.kl_div(F.log_softmax(s + peaked, 1), F.softmax(peaked, 1), reduction="batchmean").backward()
    assert s.grad[peaked == 0].abs().mean() < 1e-2


def test_soften_agrees_with_pytorch():
    logits = torch.randn(6, 10)
    test_close(soften(logits, 3), torch.softmax(logits / 3, 1), eps=1e-6)
    assert verdict("4.e1", soften)[0]
    assert "axis 1" in verdict("4.e1", over_the_batch)[1]
    assert "no effect" in verdict("4.e1", no_temperature)[1]
    assert "divide" in verdict("4.e1", inverse_temperature)[1]


    def overflowing(logits, T):
        powers = (logits / T).exp()
        return powers / powers.sum(1, keepdim=True)


    assert "overflow" in verdict("4.e1", overflowing)[1]


def test_the_soft_loss_agrees_with_the_package():
    s, t = torch.randn(6, 10), torch.randn(6, 10)
    by_pytorch = 16 * F.kl_div(F.log_softmax(s / 4, 1), F.softmax(t / 4, 1), reduction="batchmean")
    test_close(soft_loss(s, t, 4.0), by_pytorch, eps=1e-5)
    test_close(soft_loss(s, t, 4.0), kd_loss(s, t, torch.zeros(6, dtype=int), 4.0, 1.0, "standard"), eps=1e-5)
    assert verdict("4.e2", soft_loss)[0]
    for wrong, why in SOFT_MISTAKES:
        assert why in verdict("4.e2", wrong)[1], why
    assert verdict("4.e2", lambda s, t, T: None)[0] is None


def test_a_step_is_checked():
    assert verdict("4.e3", step)[0]


    def forgets_to_clear(student, optimizer, x, y, t, alpha=0.9, T=4.0):
        s = student(x)
        loss = (1 - alpha) * F.cross_entropy(s, y) + alpha * soft_loss(s, t, T)
        loss.backward()
        optimizer.step()
        return loss.item()


    def forgets_to_step(student, optimizer, x, y, t, alpha=0.9, T=4.0):
        s = student(x)
        return ((1 - alpha) * F.cross_entropy(s, y) + alpha * soft_loss(s, t, T)).item()


    assert "zero_grad" in verdict("4.e3", forgets_to_clear)[1]
    assert "optimizer.step()" in verdict("4.e3", forgets_to_step)[1]
    assert "alpha=0.25" in verdict("4.e3", lambda *args, alpha=0.9, T=4.0: step(*args, 0.9, T))[1]
    assert "T=2.0" in verdict("4.e3", lambda *args, alpha=0.9, T=4.0: step(*args, alpha))[1]
    assert verdict("4.e3", lambda *args: None)[0] is None


def test_the_worst_mistake():
    assert verdict("4.e4", WORST)[0]
    for other in MISTAKES:
        assert other == WORST or "not yet" in verdict("4.e4", other)[1]
    assert "answer with one of" in verdict("4.e4", "the first")[1]


def test_the_gradient_agrees_with_autograd():
    s = torch.tensor([[4.0, 0.0, 0.0]], requires_grad=True)
    t = torch.tensor([[8.0, 4.0, 0.0]])
    soft_loss(s, t, 4.0).backward()
    assert verdict("4.e5", s.grad[0])[0]
    assert "the sign" in verdict("4.e5", -s.grad[0])[1] and "without T²" in verdict("4.e5", s.grad[0] / 16)[1]


def test_the_last_exercises():
    assert verdict("4.e6", 8)[0] and "higher temperature" in verdict("4.e6", 2)[1]
    assert verdict("4.e7", "entropy of the soft targets")[0] and not verdict("4.e7", "hard loss")[0]
    assert verdict("4.e8", 8)[0] and "both means" in verdict("4.e8", 4)[1]
