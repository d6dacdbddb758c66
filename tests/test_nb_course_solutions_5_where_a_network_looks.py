"""Generated from nbs/course/solutions/5_where_a_network_looks.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.lesson_5 import *


import torch
from fastcore.test import test_close, test_eq
from torch.nn import functional as F

from moonshine.lessons.checks import verdict
from moonshine.losses.attention import attention_map
from moonshine.pretrained import test_images


def test_the_questions_have_the_right_answers():
    A = torch.randn(2, 3, 4, 4)
    test_close(attention_map(10 * A).norm() / attention_map(A).norm(), ten_times(), eps=1e-4)
    assert 100 / 64 < brightest() < 100
    test_close(attention_map(A), attention_map(A[:, [2, 0, 1]]), eps=1e-6)
    assert 70 < perfect_map() < 90
    area = 100 * test_images(200).masks.float().mean().item()
    assert area < other_masks() < perfect_map()
    test_eq(group_one(), "the untrained network")
    test_eq(farthest(), "kd")


def test_a_map_on_paper():
    assert verdict("5.e1", [v / 30**0.5 for v in (5, 2, 1, 0)])[0]
    assert "scale it" in verdict("5.e1", [5, 2, 1, 0])[1]
    assert "squares sum to 1" in verdict("5.e1", [0.625, 0.25, 0.125, 0])[1]


def test_energy_is_checked():
    images = test_images(20)
    from moonshine.losses.attention import energy_inside

    activation = torch.rand(20, 3, 8, 8)
    test_close(energy_on_object(activation, images.masks), energy_inside(activation, images.masks), eps=1e-5)
    assert verdict("5.e2", energy_on_object)[0]
    for wrong, why in ENERGY_MISTAKES:
        assert why in verdict("5.e2", wrong)[1], why


def test_the_short_exercises():
    assert verdict("5.e3", (0, "larger"))[0] and "favors" in verdict("5.e3", (0, "smaller"))[1]
    middle = torch.zeros(200, 1, 32, 32)
    middle[:, :, 8:24, 8:24] = 1
    assert verdict("5.e4", percent(middle))[0]
    assert "uniform" in verdict("5.e4", percent(torch.ones(200, 1, 32, 32)))[1]
    assert verdict("5.e5", "position")[0] and not verdict("5.e5", "sign")[0]
    assert verdict("5.e6", (128 * 64, 64))[0] and "positions" in verdict("5.e6", (8192, 128))[1]
    assert sum(bool(verdict("5.e7", group)[0]) for group in (1, 2, 3)) == 1 and verdict("5.e7", 0)[0] is False
