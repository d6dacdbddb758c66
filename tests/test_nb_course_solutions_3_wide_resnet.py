"""Generated from nbs/course/solutions/3_wide_resnet.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.lesson_3 import *


import torch
from fastcore.test import test_eq
from torch import nn
from torch.nn import functional as F

from moonshine.costs.counting import paper_parameters, parameters
from moonshine.lessons.checks import verdict
from moonshine.models.wide_resnet import wrn
from moonshine.plots.figures import entries


def test_the_questions_have_the_right_answers():
    test_eq(blocks_per_group(), 6)
    test_eq(deeper_or_wider(), "WRN-16-2 (wider)")
    assert 7 < network_against_network() < 7.89
    network = wrn(40, 2, "S")
    statistics = sum(2 * m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    test_eq((statistics, paper_parameters(network) - parameters(network)), (5408, 5408))
    assert 45 < exact_totals() < 52
    test_eq(better_from_scratch(), "WRN-40-2 with BG(2,4)")


def test_a_block_is_checked():
    assert verdict("3.e1", ResidualBlock)[0]
    for forward, why in BLOCK_MISTAKES:
        broken = type("Broken", (ResidualBlock,), dict(forward=forward))
        assert why in verdict("3.e1", broken)[1], verdict("3.e1", broken)
    stub = type("Stub", (ResidualBlock,), dict(forward=lambda self, x: None))
    assert verdict("3.e1", stub)[0] is None
    package = wrn(16, 1, "S").block2[0].layer[0]  # the block that the package builds has as many parameters
    test_eq(parameters(package), parameters(ResidualBlock(16, 32, 2)))


def test_the_short_exercises():
    assert verdict("3.e2", 12)[0] and "one group" in verdict("3.e2", 4)[1]
    assert verdict("3.e3", "WRN-16-2")[0] and "outside" in verdict("3.e3", "WRN-12-2")[1]
    more = parameters(wrn(40, 2, "S", num_classes=100)) - parameters(wrn(40, 2, "S"))
    assert verdict("3.e4", more)[0] and "bias" in verdict("3.e4", 11_520)[1]
    assert verdict("3.e5", "bias = False")[0] and "what they have" in verdict("3.e5", "bias=True")[1]
    assert verdict("3.e6", best_within())[0] and not verdict("3.e6", "G(N)")[0]
    print(best_within())
