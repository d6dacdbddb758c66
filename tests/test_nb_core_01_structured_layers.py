"""Generated from nbs/core/01_structured_layers.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.blocks.structured import *


import math

import torch
from fastcore.test import test_close, test_eq
from torch import nn
from torch.nn import functional as F


def test_the_cosine_transform_is_orthonormal():
    for size in (1, 2, 7, 16):
        test_close(
            cosine_transform(size) @ cosine_transform(size).T, torch.eye(size, dtype=torch.float64), eps=1e-12
        )
    test_close(
        cosine_transform(2),
        torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / math.sqrt(2),
        eps=1e-12,
    )


def test_a_shuffle_loses_no_channel():
    for size in (1, 2, 5, 8, 33):
        test_eq(riffle(size).sort().values.tolist(), list(range(size)))


def test_acdc_against_dense_matrices():
    torch.manual_seed(0)
    layer = ACDC(6, 4).double()
    layer.a.data.normal_(), layer.d.data.normal_()
    x = torch.randn(3, 6, 2, 2, dtype=torch.float64)
    C = cosine_transform(6)
    expected = x.permute(0, 2, 3, 1)  # channels last: (B, H, W, 6)
    for i in range(12):
        if i:
            expected = expected.relu()[..., [0, 3, 1, 4, 2, 5]]
        dense = torch.linalg.inv(C) @ torch.diag(layer.d[i]) @ C @ torch.diag(layer.a[i])
        expected = expected @ dense.T
    test_close(layer(x), expected[..., :4].permute(0, 3, 1, 2), eps=1e-5)  # the stored transform is float32


def test_acdc_counts_and_widths():
    for inp, out in [(16, 16), (16, 32), (32, 16)]:
        layer = ACDC(inp, out)
        test_eq(sum(p.numel() for p in layer.parameters()), 2 * 12 * max(inp, out))
        test_eq(ACDC.weight_count(inp, out), 2 * 12 * max(inp, out))
        test_eq(layer(torch.randn(2, inp, 3, 3)).shape, (2, out, 3, 3))
        test_eq(list(layer.state_dict()), ["a", "d"])  # the fixed parts are not saved


def test_the_channels_as_depth_by_hand():
    layer, x = ChannelsAsDepth(5, 2), torch.randn(3, 5, 2, 2)
    w, padded = layer.weight.flatten(1), F.pad(x, (0, 0, 0, 0, 1, 1))  # (2, 3); (3, 7, 2, 2)
    expected = [sum(w[o, j] * padded[:, j : j + 5].mean(1) for j in range(3)) for o in range(2)]
    test_close(layer(x), torch.stack(expected, 1), eps=1e-5)
    test_eq(ChannelsAsDepth.weight_count(5, 2), layer.weight.numel())


def test_depth_mixing_has_rank_three():
    probe = torch.eye(32)[:, :, None, None]  # each channel alone
    matrix = ChannelsAsDepth(32, 32)(probe)[:, :, 0, 0].detach()  # (32 in, 32 out)
    test_eq(torch.linalg.matrix_rank(matrix, rtol=1e-5).item(), 3)
