"""Generated from nbs/core/02_layers.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.blocks.layers import *


import torch
from fastcore.test import test_close, test_eq
from torch import nn


def test_groups_are_a_block_diagonal_matrix():
    grouped = nn.Conv2d(6, 6, 1, groups=3, bias=False)
    blocks = grouped.weight[:, :, 0, 0].split(2)  # three 2x2 blocks
    full = nn.Conv2d(6, 6, 1, bias=False)
    full.weight.data = torch.block_diag(*blocks)[:, :, None, None]
    x = torch.randn(2, 6, 5, 5)
    test_close(grouped(x), full(x), eps=1e-5)


def test_a_layer_counts_what_it_builds():
    for layer in [
        Layer("conv", 8, 16, kernel=3, stride=2),
        Layer("convdw", 8, 8, kernel=3, groups=4, dilation=2),
        Layer("corners", 8, 8, kernel=2, dilation=2),
        Layer("column", 8, 8, kernel=(3, 1), dilation=(4, 1)),
    ]:
        built = layer.module()
        test_eq(layer.weights, built.weight.numel())
        test_eq(built(torch.randn(1, 8, 16, 16)).shape[2:], (16 // layer.stride, 16 // layer.stride))
    test_eq([Layer("a", 4, 4, k).label for k in (1, 3, (3, 1))], ["1×1", "3×3", "3×1"])
    test_eq([Layer("a", 4, 4, k).kind for k in (1, 3, (3, 1))], ["pointwise", "spatial", "spatial"])


def test_batch_norms_stand_where_the_layers_ask_for_them():
    three = [
        Layer("a", 4, 2),
        ModuleLayer("shuffle", 2, 2, lambda i, o: nn.ChannelShuffle(2), 0, "shuffle", norm=False),
    ]
    test_eq(list(chain(three)._modules), ["a", "shuffle"])
    test_eq(list(chain([*three, Layer("b", 2, 4)])._modules), ["a", "shuffle", "bn", "relu", "b"])
    longer = chain([Layer("a", 4, 2), Layer("b", 2, 2), Layer("c", 2, 4)])
    test_eq(list(longer._modules), ["a", "bn1", "relu1", "b", "bn2", "relu2", "c"])
    test_eq(type(chain([ModuleLayer("", 4, 4, nn.Linear, 20, "linear")])), nn.Linear)
