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
    test_eq(exact_totals(), 51)
    test_eq(better_from_scratch(), "WRN-40-2 with BG(2,4)")
    best = best_within(175_994)
    test_eq((best["label"], best_at_the_same_size()), ("BG(2,16)", 6.77))
    assert error_from_scratch("S, 16-1") - best["error"] > 2


def test_a_block_is_checked():
    assert verdict("3.e1", ResidualBlock)[0]
    for forward, why in BLOCK_MISTAKES:
        broken = type("Broken", (ResidualBlock,), dict(forward=forward))
        assert why in verdict("3.e1", broken)[1], verdict("3.e1", broken)
    stub = type("Stub", (ResidualBlock,), dict(forward=lambda self, x: None))
    assert verdict("3.e1", stub)[0] is None
    package = wrn(16, 1, "S").block2[0].layer[0]  # the block that the package builds has as many parameters
    test_eq(parameters(package), parameters(ResidualBlock(16, 32, 2)))


def test_a_network_is_checked():
    assert verdict("3.e2", WideResNet)[0]
    for block, name in ((ResidualBlock, "S"),):
        test_eq(parameters(WideResNet(40, 2, block)), parameters(wrn(40, 2, name)))
    assert len(convolutions(wrn(40, 2, "S"))) == 40  # the depth is the number of convolutions


    class TooDeep(WideResNet):
        def __init__(self, depth, width, block, classes=10):
            super().__init__(depth + 6, width, block, classes)


    class NoStride(WideResNet):
        def __init__(self, depth, width, block, classes=10):
            super().__init__(depth, width, block, classes)
            for part in self.modules():
                if isinstance(part, nn.Conv2d):
                    part.stride = (1, 1)


    class NoReLU(WideResNet):
        def forward(self, x):
            return self.linear(self.features[:-1](x).mean((2, 3)))


    class NoNorm(WideResNet):
        def __init__(self, depth, width, block, classes=10):
            super().__init__(depth, width, block, classes)
            self.features = nn.Sequential(*self.features[:-2], nn.ReLU())


    class Stub(nn.Module):
        def forward(self, x): ...


    def stub(depth, width, block):
        return Stub()


    assert "16 convolutions, not 10" in verdict("3.e2", TooDeep)[1]
    assert "stride is wrong" in verdict("3.e2", NoStride)[1]
    assert "ReLU come before the mean" in verdict("3.e2", NoReLU)[1]
    assert "batch norm after the last group" in verdict("3.e2", NoNorm)[1]
    assert verdict("3.e2", stub)[0] is None


def test_a_fake_block_is_recognized():
    def without_the_second_relu(block, x):
        out = F.relu(block.bn1(x))
        rest = x if block.shortcut is None else block.shortcut(out)
        return rest + block.conv2(block.bn2(block.conv1(out)))


    def too_small(block, x):
        return ResidualBlock.forward(block, x)[..., :1]


    def fake(forward):
        return type("Fake", (ResidualBlock,), dict(forward=forward))


    assert verdict("3.e6", fake(without_the_second_relu))[0]
    for forward, why in BLOCK_MISTAKES[::2]:
        assert verdict("3.e6", fake(forward))[0], why
    assert "computes the same" in verdict("3.e6", ResidualBlock)[1]
    assert "shape gives it away" in verdict("3.e6", fake(too_small))[1]
    assert verdict("3.e6", fake(lambda self, x: None))[0] is None


def test_the_short_exercises():
    assert verdict("3.e3", 12)[0] and "one group" in verdict("3.e3", 4)[1]
    assert verdict("3.e4", "WRN-16-2")[0] and "outside" in verdict("3.e4", "WRN-12-2")[1]
    more = parameters(wrn(40, 2, "S", num_classes=100)) - parameters(wrn(40, 2, "S"))
    assert verdict("3.e5", more)[0] and "bias" in verdict("3.e5", 11_520)[1]
    assert verdict("3.e7", best_within(200_000)["label"])[0] and "fits, but" in verdict("3.e7", "BG(2,M)")[1]
    assert "0.8 MB hold" in verdict("3.e7", "BG(2,2)")[1]
    test_eq(best_within(200_000)["label"], "BG(2,M/8)")
