"""Generated from nbs/course/solutions/1_what_does_a_convolution_cost.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.lesson_1 import *


import torch
from fastcore.test import test_close, test_eq
from torch import nn
from torch.nn import functional as F

from moonshine.costs.counting import mult_adds
from moonshine.lessons.checks import verdict
from moonshine.models.wide_resnet import wrn


def test_the_questions_have_the_right_answers():
    test_eq(weights_of_a_layer(), 36864)
    test_eq(smaller_image(), 4)
    test_eq(group_with_most_weights(), "the third")
    test_eq(parameters_in_a_budget(), 225_000)
    test_close(share_of_the_pointwise_layers(), 87.67, eps=0.01)
    pair = [
        wrn(40, 2, "G(N)").get_submodule(f"block2.0.layer.1.conv1.{part}").weight.numel()
        for part in ("convdw", "conv1x1")
    ]
    test_close(share_of_the_pointwise_layers(), 100 * pair[1] / sum(pair))
    sizes = [mult_adds(wrn(16, 2, block)) for block in ("S", "G(N)")]
    assert 6.5 < sizes[0] / sizes[1] < 7.5, "the question says about 7 times"
    threads = torch.get_num_threads()
    assert 0.1 < speedup() < 5 and speedup() == speedup()  # measured once, and far from 7
    test_eq(torch.get_num_threads(), threads)


def test_a_convolution_agrees_with_pytorch():
    image, weight = torch.rand(3, 7, 6), torch.rand(5, 3, 3, 3)
    test_close(convolve(image, weight), F.conv2d(image[None], weight, padding=1)[0], eps=1e-5)
    assert verdict("1.e1", convolve)[0]
    assert "cross-correlation" in verdict("1.e1", flipped)[1]
    assert "swapped" in verdict("1.e1", transposed)[1]


    def without_padding(image, weight):
        return F.conv2d(image[None], weight)[0]


    assert "expected shape" in verdict("1.e1", without_padding)[1]


def test_activations_are_counted():
    assert verdict("1.e2", 262_144)[0]
    assert "4 bytes" in verdict("1.e2", 65_536)[1] and "alone" in verdict("1.e2", 131_072)[1]


def test_intensity_is_counted():
    for k, groups in ((3, 1), (3, 64), (1, 1)):
        layer = nn.Conv2d(64, 64, k, padding=k // 2, groups=groups, bias=False)
        moved = layer.weight.numel() + 2 * torch.zeros(64, 32, 32).numel()
        test_close(intensity(k, 64, groups, 32), mult_adds(layer, (64, 32, 32)) / moved)
    assert verdict("1.e3", intensity)[0]
    assert "g times fewer" in verdict("1.e3", ungrouped_intensity)[1]
    assert "stored, too" in verdict("1.e3", without_the_output)[1]
    assert "fetched, too" in verdict("1.e3", without_the_weights)[1]


def test_doubling_and_stride():
    assert verdict("1.e4", 4)[0] and "only one" in verdict("1.e4", 2)[1]
    layer = nn.Conv2d(32, 48, 5, padding=2, stride=2, bias=False)
    assert verdict("1.e5", (layer.weight.numel(), mult_adds(layer, (32, 16, 16))))[0]
    assert "output positions" in verdict("1.e5", (38_400, 38_400 * 256))[1]


def test_the_bug_is_found():
    assert verdict("1.e6", dict(out_channels=64, kernel_size=3, padding=1, stride=2))[0]
    assert verdict("1.e6", dict(out_channels=8, kernel_size=3))[0]
    assert "the count is right" in verdict("1.e6", dict(out_channels=64, kernel_size=3, padding=1))[1]
    assert "no convolution" in verdict("1.e6", dict(kernel_size=3))[1]


def test_the_heaviest_layers_are_found():
    weights, work = heaviest_layers()
    print(sorted(weights), sorted(work))
    assert verdict("1.e7", 25 / 18)[0] and "two 3×3" in verdict("1.e7", 25 / 9)[1]
    assert verdict("1.e8", (min(weights), min(work)))[0]
    assert "most multiply-adds" in verdict("1.e8", (min(weights), "fc"))[1]
    test_eq(weights, {"layer4.0.conv2", "layer4.1.conv1", "layer4.1.conv2"})  # 9 · 512 · 512 weights each
