"""Generated from nbs/core/08_wide_resnet.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.models.wide_resnet import *


import torch
from fastcore.test import test_close, test_eq, test_fail

from moonshine.blocks.families import parse_block


def test_shapes_on_the_way_through():
    net = wrn(16, 2)
    x = torch.randn(2, 3, 32, 32)
    test_eq(net(x).shape, (2, 10))
    h1 = net.block1(net.conv1(x))
    h2 = net.block2(h1)
    h3 = net.block3(h2)
    test_eq([tuple(h.shape[1:]) for h in (h1, h2, h3)], [(32, 32, 32), (64, 16, 16), (128, 8, 8)])
    test_eq(wrn(10, 0.5, num_classes=7)(x).shape, (2, 7))


def test_depth_by_counting():
    net = wrn(40, 2)
    three = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
    one = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (1, 1)]
    test_eq((len(three), len(one)), (1 + 3 * 6 * 2, 3))


def test_a_student_has_its_teachers_widths():
    teacher, student = wrn(40, 2), wrn(40, 2, "BG(2,M/8)")
    test_eq(student.fc.in_features, teacher.fc.in_features)
    test_eq(len(student.block1[0].layer), len(teacher.block1[0].layer))


    def weights(net):
        return sum(p.numel() for p in net.parameters())


    test_eq(weights(teacher), 2_243_546)
    fewer = weights(teacher) / weights(student)
    print(f"{weights(teacher):,} -> {weights(student):,} weights: {fewer:.1f} times fewer")


def test_the_same_network_in_parts():
    torch.manual_seed(0)
    whole = wrn(16, 1).eval()
    torch.manual_seed(0)
    parts = wrn(16, 1, splits=2).eval()
    x = torch.randn(2, 3, 32, 32)
    test_eq(parts.attention_layers, ["block1.0", "block1.1", "block2.0", "block2.1", "block3.0", "block3.1"])
    test_close(whole(x), parts(x), eps=1e-6)


def test_impossible_networks_are_refused():
    test_fail(lambda: wrn(17, 1), contains="depth 17 is not 6n + 4; the nearest is 16")
    test_fail(lambda: wrn(16, 0.01), contains="width 0.01 leaves no channels")
    test_fail(lambda: wrn(16, 1, splits=3), contains="3 parts do not divide the 2 blocks")
    test_fail(
        lambda: wrn(16, 2, parse_block("G16B4", "Bottle")), contains="block1.0.layer.0.conv1 has 8 channels"
    )
