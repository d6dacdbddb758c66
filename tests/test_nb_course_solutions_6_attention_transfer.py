"""Generated from nbs/course/solutions/6_attention_transfer.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.lesson_6 import *


import torch
from fastcore.test import test_close, test_eq
from torch.nn import functional as F

from moonshine.lessons.checks import verdict
from moonshine.lessons.evidence import errors_of
from moonshine.losses import attention
from moonshine.losses.attention import activations


def test_the_questions_have_the_right_answers():
    ours, theirs = torch.randn(4, 6, 8, 8), torch.randn(4, 9, 8, 8)
    loud, plain = (attention.at_loss(a, theirs).item() for a in (10 * ours, ours))
    test_close(loud / plain, ten_times_as_large())
    test_eq(small_against_large(), 16)
    scratch, at = (errors_of("shapes", method=m, threads=1, amp="none") for m in ("scratch", "at"))
    assert all(a < s for s, a in zip(scratch, at)), "6.3 holds for every recorded seed"
    assert 5 < both_against_scratch() < 12
    test_eq(best_beta(), "300")
    test_eq(students_helped(), 25)


def test_the_map_agrees_with_the_package():
    activation = torch.randn(3, 8, 4, 4)
    test_close(attention_map(activation), attention.attention_map(activation), eps=1e-6)
    assert verdict("6.e1", attention_map)[0]
    for wrong, why in MAP_MISTAKES:
        assert why in verdict("6.e1", wrong)[1], (wrong.__name__, verdict("6.e1", wrong))


def test_the_loss_agrees_with_the_package():
    ours, theirs = torch.randn(3, 8, 4, 4), torch.randn(3, 5, 4, 4)
    test_close(at_loss([ours], [theirs]), attention.at_loss(ours, theirs), eps=1e-6)
    assert verdict("6.e2", at_loss)[0]
    for wrong, why in LOSS_MISTAKES:
        assert why in verdict("6.e2", wrong)[1], why


def test_a_step_is_checked():
    assert verdict("6.e3", step)[0]


    def forgets_beta(student, optimizer, x, y, teachers, beta):
        return step(student, optimizer, x, y, teachers, 1.0)


    def forgets_to_step(student, optimizer, x, y, teachers, beta):
        logits, ours = activations(student, x)
        return (F.cross_entropy(logits, y) + beta * at_loss(ours, teachers)).item()


    assert "the loss of the first step" in verdict("6.e3", forgets_beta)[1]
    assert "optimizer.step()" in verdict("6.e3", forgets_to_step)[1]
    assert "beta=7" in verdict("6.e3", lambda *args: step(*args[:5], 100.0))[1]
    assert verdict("6.e3", lambda *args: None)[0] is None


def test_the_short_exercises():
    ours, theirs = torch.randn(4, 6, 8, 8), torch.randn(4, 9, 8, 8)
    seen = {f.__name__: torch.allclose(f(ours), f(-ours)) for f in (not_squared, not_normalized, over_batch)}
    test_eq(seen, dict(not_squared=False, not_normalized=True, over_batch=True))
    assert verdict("6.e4", "not_squared")[0] and "square" in verdict("6.e4", "not_normalized")[1]
    assert verdict("6.e5", 250)[0] and "positions" in verdict("6.e5", 500)[1]
    a, b = torch.eye(64)[0], torch.eye(64)[5]
    assert verdict("6.e6", (a - b).pow(2).sum())[0] and "square it" in verdict("6.e6", 2**0.5)[1]
    assert verdict("6.e7", "position")[0] and not verdict("6.e7", "sign")[0]


def test_both_teachers_at_once():
    test_eq(seeds_won_by_both(), 10)
    assert verdict("6.e8", 10)[0] and "too low" in verdict("6.e8", 5)[1]
