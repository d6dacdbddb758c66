"""Generated from nbs/course/solutions/9_cheapen_your_own.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.lesson_9 import *


import torch
from fastcore.test import test_close, test_eq
from torch import nn
from torchvision.models import resnet18

from moonshine.costs.counting import parameters
from moonshine.lessons.checks import verdict
from moonshine.surgery.attention_layers import attention_layers_of
from moonshine.surgery.student import cheapen


def test_four_layers_are_replaced():
    test_eq(layers_replaced(), 4)


def test_almost_three_times_fewer():
    test_close(times_fewer_parameters(), 71706 / 24954, eps=1e-9)


def test_the_pointwise_dominates():
    test_close(share_of_the_pointwise(), 87.67, eps=0.01)


def test_it_is_one_or_the_other():
    assert is_depthwise_faster() in ("faster", "slower") and speedup_of_depthwise() > 0


def test_three_groups_can_be_compared():
    test_eq(groups_that_can_be_compared(), 3)


def test_normalization_matters():
    assert teacher_errors()[0] < 3 and teacher_errors()[1] > 5 * teacher_errors()[0]
    print(teacher_errors())


def test_the_largest_within():
    test_eq(verdict("9.e1", largest_within)[0], True)
    assert "the first block that fits" in verdict("9.e1", first_within)[1]
    assert "the smallest student" in verdict("9.e1", smallest_within)[1]
    test_eq(
        [largest_within(lesson_network(), BLOCKS, budget) for budget in (25_000, 1000)], ["G(4)", "nothing fits"]
    )


def test_the_fitting_beta():
    test_eq(verdict("9.e2", 1000 / 64 * 25 * 2 / 3)[0], True)
    assert "3/2" in verdict("9.e2", 1000 * 25 / 64)[1]


def test_groups_for_thirty():
    test_eq(verdict("9.e3", 5)[0], True)
    assert "doesn't divide" in verdict("9.e3", 4)[1]


def test_the_image_too_small():
    test_eq(verdict("9.e4", 32)[0], True)
    assert "which can be compared" in verdict("9.e4", 64)[1]
    assert "layer3 has a single position" in verdict("9.e4", 16)[1]
    network = resnet18(weights=None, num_classes=10)
    for side in (17, 32, 33):
        test_eq("layer4" in attention_layers_of(network, (3, side, side)), verdict("9.e4", side)[0] is not True)


def test_what_stays():
    test_eq(verdict("9.e5", ["a", "b", "d"])[0], True)
    assert "keeps its stride" in verdict("9.e5", "abcd")[1]
    assert "nothing left to save" in verdict("9.e5", ["a", "b"])[1]


def test_the_summary():
    test_eq(verdict("9.e6", summary)[0], True)
    assert "upside down" in verdict("9.e6", summary_upside_down)[1]
    print(summary(lesson_network(), cheapen(lesson_network(), "G(4)"), (3, 32, 32)))
