"""Generated from nbs/course/solutions/2_groups_bottlenecks_and_the_floor.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.lesson_2 import *


import torch
from fastcore.test import test_close, test_eq
from torch import nn
from torch.nn import functional as F

from moonshine.blocks.families import convolution_parameters
from moonshine.lessons.checks import verdict


def inputs_seen(layers):
    "How many input channels the first output channel depends on."
    x = torch.randn(1, 64, 3, 3, requires_grad=True)
    out = x
    for layer in layers:
        out = layer(out)
    out[0, 0, 1, 1].backward()
    return int((x.grad[0] != 0).any(-1).any(-1).sum())


def test_the_questions_have_the_right_answers():
    test_eq(outputs_that_change(), 4)
    test_close(depthwise_against_full(), 7.89, eps=0.01)
    test_close(bottleneck_against_full(), 2 * 9 * 64**2 / (2 * 64 * 32 + 9 * 32))
    test_eq(stronger_lever(), "the contraction")
    start, groups, contraction = (convolution_parameters(b, 64) for b in ("BG(2,8)", "BG(2,16)", "BG(4,8)"))
    test_eq((start - groups, start - contraction), (576, 2912))
    test_eq(block_that_fits(), "BG(2,4)")


def test_a_grouped_convolution_agrees_with_pytorch():
    x, weight = torch.randn(2, 8, 5, 5), torch.randn(12, 2, 3, 3)
    test_close(grouped_convolution(x, weight, 4), F.conv2d(x, weight, padding=1, groups=4), eps=1e-4)
    assert verdict("2.e1", grouped_convolution)[0]
    assert "neighboring" in verdict("2.e1", interleaved)[1]
    assert "concatenate" in verdict("2.e1", summed)[1]


def test_a_bottleneck_is_checked():
    for block, (b, g) in {"BG(2,8)": (2, 8), "B(4)": (4, 1)}.items():
        count = sum(p.numel() for p in bottleneck(64, b, g).parameters())
        test_eq(count, convolution_parameters(block, 64))
    assert verdict("2.e2", bottleneck)[0]


    def ungrouped(channels, contraction, groups):
        return bottleneck(channels, contraction, 1)


    def with_bias(channels, contraction, groups):
        return nn.Sequential(bottleneck(channels, contraction, groups), nn.Conv2d(channels, channels, 1))


    assert "number of weights for 64 channels" in verdict("2.e2", ungrouped)[1]
    assert "bias=False" in verdict("2.e2", with_bias)[1]
    assert verdict("2.e2", lambda *args: None)[0] is None


def test_a_shuffle_mixes_the_groups():
    assert verdict("2.e6", shuffle)[0]
    assert "same order" in verdict("2.e6", unchanged)[1] and "inverse" in verdict("2.e6", shuffled_back)[1]

    layers = [nn.Conv2d(64, 64, 3, padding=1, groups=8, bias=False) for _ in range(2)]
    test_eq(inputs_seen(layers), 8)
    test_eq(inputs_seen([layers[0], nn.ChannelShuffle(8), layers[1]]), 64)
    x = torch.randn(2, 64, 3, 3)
    test_close(shuffle(x, 8), nn.ChannelShuffle(8)(x))


def test_the_short_exercises():
    assert verdict("2.e3", 25)[0] and "3×3" in verdict("2.e3", 9)[1]
    assert verdict("2.e4", 2)[0] and "G(1)" in verdict("2.e4", 1)[1]
    pieces = [nn.Conv2d(64, 64, 3, padding=1, groups=8, bias=False) for _ in range(10)]
    assert verdict("2.e5", inputs_seen(pieces))[0] and "nothing carries" in verdict("2.e5", 64)[1]
    assert verdict("2.e7", [2, 2, 1, 1])[0] and "one bottleneck" in verdict("2.e7", [2, 2, 2, 2])[1]
    assert verdict("2.e8", largest_that_fits())[0]
    assert "1.06 MB, which is more" in verdict("2.e8", "BG(4,4)")[1]
    assert "fits, but" in verdict("2.e8", "B(8)")[1] and "unknown block" in verdict("2.e8", "BIG")[1]
    print(largest_that_fits(), f"{megabytes_of(largest_that_fits()):.2f} MB")
