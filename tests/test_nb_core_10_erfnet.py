"""Generated from nbs/core/10_erfnet.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.models.segmentation import *


import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn
from torch.nn import functional as F

from moonshine.blocks.families import Block, convolution_parameters, parse_block


def state_count(module):
    "Numbers in the saved state except batch counters: the paper's rule."
    return sum(v.numel() for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked"))


def test_the_downsampler_puts_convolution_and_pool_side_by_side():
    down, x = Downsampler(16, 64).eval(), torch.randn(2, 16, 8, 12)
    test_eq(down.conv.out_channels, 48)  # 64 - 16
    out, scale = down(x), 1 / (1 + down.bn.eps) ** 0.5  # a fresh batch norm only divides by √(1 + eps)
    test_eq(out.shape, (2, 64, 4, 6))
    test_close(out[:, :48], F.relu(down.conv(x)) * scale, eps=1e-6)  # first the convolution's 48 channels
    test_close(out[:, 48:], F.relu(F.max_pool2d(x, 2)) * scale, eps=1e-6)  # then the 16 that came in


def test_a_transposed_convolution_is_the_gradient_of_a_strided_one():
    up = Upsampler(8, 4)
    x = torch.randn(2, 8, 5, 6)
    image = torch.zeros(2, 4, 10, 12, requires_grad=True)  # what a strided convolution would take in
    small = F.conv2d(image, up.conv.weight, stride=2, padding=1)  # (2, 8, 5, 6)
    (gradient,) = torch.autograd.grad(small, image, x)
    test_close(up.conv(x), gradient + up.conv.bias[:, None, None], eps=1e-5)
    test_eq(up(x).shape, (2, 4, 10, 12))


def test_a_factorized_block_by_hand():
    torch.manual_seed(0)
    unit, x = Factorized(6, dilation=4, dropout=0.3).double().eval(), torch.randn(2, 6, 12, 10).double()
    for bn in (unit.bn1, unit.bn2):
        for value in (bn.running_mean, bn.running_var, bn.weight.data, bn.bias.data):
            value.uniform_(0.5, 2)


    def norm(bn, x):
        mean, variance, weight, bias = (
            v[:, None, None] for v in (bn.running_mean, bn.running_var, bn.weight, bn.bias)
        )
        return (x - mean) / (variance + bn.eps).sqrt() * weight + bias


    p = dict(unit.named_parameters())
    h = F.conv2d(x, p["column1.weight"], p["column1.bias"], padding=(1, 0)).clamp(min=0)
    h = norm(unit.bn1, F.conv2d(h, p["row1.weight"], p["row1.bias"], padding=(0, 1))).clamp(min=0)
    h = F.conv2d(h, p["column2.weight"], p["column2.bias"], padding=(4, 0), dilation=(4, 1)).clamp(min=0)
    h = norm(unit.bn2, F.conv2d(h, p["row2.weight"], p["row2.bias"], padding=(0, 4), dilation=(1, 4)))
    test_close(unit(x), (x + h).clamp(min=0), eps=1e-12)


def test_a_cheapened_block_by_hand():
    torch.manual_seed(0)
    unit = Cheapened(parse_block("G(N)"), 6, dilation=4, dropout=0.3).double().eval()
    for m in unit.modules():
        if isinstance(m, nn.BatchNorm2d):
            for value in (m.running_mean, m.running_var, m.weight.data, m.bias.data):
                value.uniform_(0.5, 2)
    state, x = unit.state_dict(), torch.randn(2, 6, 12, 10).double()


    def norm(name, x):
        mean, variance, weight, bias = (
            state[f"{name}.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias  # ERFNet makes it 1e-3, below


    def separable(name, x, d):
        h = F.conv2d(x, state[f"{name}.convdw.weight"], padding=d, dilation=d, groups=6)
        return F.conv2d(norm(f"{name}.bn", h).clamp(min=0), state[f"{name}.conv1x1.weight"])


    h = norm("bn2", separable("conv2", norm("bn1", separable("conv1", x, 1)).clamp(min=0), 4))
    test_close(unit(x), (x + h).clamp(min=0), eps=1e-12)


def test_dilation_widens_the_view_for_nothing():
    def view(unit, size=41):
        "Height and width of the input positions that influence one output position."
        for parameter in unit.double().eval().parameters():
            parameter.data.abs_()
        x = torch.ones(1, 16, size, size, dtype=torch.double, requires_grad=True)
        (gradient,) = torch.autograd.grad(unit(x)[0, :, size // 2, size // 2].sum(), x)
        rows, columns = gradient[0].sum(0).nonzero().T
        return (rows.max() - rows.min() + 1).item(), (columns.max() - columns.min() + 1).item()


    for d in (1, 2, 4, 8, 16):
        teacher, student = Factorized(16, d), Cheapened(parse_block("G(N)"), 16, d)
        print(f"dilation {d:2}: {state_count(teacher)} and {state_count(student)} numbers, view {view(teacher)}")
        test_eq(view(teacher), (1 + 2 * (1 + d), 1 + 2 * (1 + d)))
        test_eq(view(student), view(teacher))
        test_eq(state_count(teacher), state_count(Factorized(16)))


def test_the_compared_layers_are_the_ends_of_stages():
    rows = ENCODER + DECODER + (("output", 20, 1, 0.0),)
    test_eq(len(rows), 23)
    ends = [
        number
        for number, (row, after) in enumerate(zip(rows, rows[1:]), 1)
        if row[0] == "block" and (after[0] != "block" or after[2] < row[2])
    ]
    test_eq(ends, list(COMPARED))
    from_zero = [rows[number][0] for number in COMPARED]
    test_eq(from_zero, ["down", "block", "up", "up", "output"])  # counted from 0 they are not ends


def test_shapes_of_both_stages():
    for block in ("S", "G(N)"):
        net = erfnet(block, 5).eval()
        x = torch.randn(2, 3, 16, 40)
        test_eq(net(x).shape, (2, 5, 16, 40))
        test_eq(net.encode(x).shape, (2, 5, 2, 5))
        test_eq((net.spec, net.title), (dict(network="erfnet", block=block, num_classes=5), f"ERFNet {block}"))
        test_eq({m.eps for m in net.modules() if isinstance(m, nn.BatchNorm2d)}, {1e-3})
    test_fail(lambda: net(torch.randn(1, 3, 30, 40)), contains="multiples of 8, such as 32×40")
    test_fail(lambda: net.encode(torch.randn(1, 3, 32, 41)), contains="which 32×41 does not allow")


def test_the_totals_of_table_4():
    test_eq(state_count(erfnet("S")), 2_073_428)  # Table 4, ERFNet
    test_eq(state_count(erfnet("G(N)")), 503_956)  # Table 4, ERFNet-G(N)
    channels = [row.channels for row in ENCODER + DECODER if row.kind == "block"]
    test_eq(2 * sum(channels), 3_008)


def test_dilations_and_dropout_are_the_same_in_both():
    rounds = [1] * 5 + [2, 4, 8, 16] * 2 + [1] * 4


    def blocks(net):
        return [m for m in net.modules() if isinstance(m, (Factorized, Cheapened))]


    def spreads(unit):
        return [m.dilation for m in unit.modules() if isinstance(m, nn.Conv2d)]


    test_eq([spreads(unit) for unit in blocks(erfnet())], [[(1, 1), (1, 1), (d, 1), (1, d)] for d in rounds])
    test_eq(
        [spreads(unit) for unit in blocks(erfnet("G(N)"))], [[(1, 1), (1, 1), (d, d), (1, 1)] for d in rounds]
    )
    test_eq([spreads(unit) for unit in blocks(erfnet("B(2)"))], [[(1, 1), (d, d), (1, 1)] for d in rounds])
    for block in ("S", "G(N)"):
        test_eq([unit.dropout.p for unit in blocks(erfnet(block))], [0.03] * 5 + [0.3] * 8 + [0] * 4)


def test_attention_layers_are_there_and_left_alone():
    def catch(net, x):
        caught = {}
        for name in net.attention_layers:

            def hook(module, args, output, name=name):
                caught[name] = (output, output.clone())

            net.get_submodule(name).register_forward_hook(hook)
        net(x)
        return [(name, tuple(now.shape[1:]), torch.equal(now, then)) for name, (now, then) in caught.items()]


    expected = [
        ("encoder.layers.7", (64, 8, 16), True),
        ("encoder.layers.12", (128, 4, 8), True),
        ("encoder.layers.16", (128, 4, 8), True),
        ("decoder.19", (64, 8, 16), True),
        ("decoder.22", (16, 16, 32), True),
    ]
    for block in ("S", "G(N)", "B(2)"):
        net = erfnet(block, 3)
        test_eq(catch(net, torch.randn(2, 3, 32, 64)), expected)
        net = erfnet(block, 3).encoder
        test_eq(catch(net, torch.randn(2, 3, 32, 64)), [(name[8:], *rest) for name, *rest in expected[:3]])


def test_each_stage_leaves_one_part_without_gradient():
    def without_gradient(forward):
        net = erfnet("G(N)", 3)
        forward(net)(torch.randn(2, 3, 16, 16)).sum().backward()
        return {
            name.split(".")[0] + "." + name.split(".")[1] for name, p in net.named_parameters() if p.grad is None
        }


    test_eq(without_gradient(lambda net: net), {"encoder.output"})
    test_eq(without_gradient(lambda net: net.encode), {f"decoder.{number}" for number in range(17, 24)})


def test_every_notation_builds_with_table_1s_weights():
    widths = [row.channels for row in ENCODER + DECODER if row.kind == "block"]
    x = torch.randn(1, 3, 8, 8)
    for text in (
        "G(2)",
        "G(4)",
        "G(16)",
        "G(N/8)",
        "G(N/16)",
        "G(N)",
        "B(2)",
        "B(4)",
        "BG(2,4)",
        "BG(2,M/8)",
        "BG(2,M)",
        "BG(4,M)",
        "S-2x2",
        "Conv/Old",
        "G8B2/Basic",
    ):
        net = erfnet(text, 2).eval()
        weights = sum(
            m.weight.numel()
            for unit in net.modules()
            if isinstance(unit, Cheapened)
            for m in unit.modules()
            if isinstance(m, nn.Conv2d)
        )
        test_eq((text, weights), (text, sum(convolution_parameters(text, N) for N in widths)))
        test_eq(net(x).shape, (1, 2, 8, 8))
        test_eq(net.spec["block"], text)
    test_fail(lambda: erfnet("G(N/32)"), contains="decoder.21.conv1 has 16 channels")
    test_fail(lambda: erfnet("BG(2,M/16)"), contains="decoder.21.conv1 has 8 channels")
    test_fail(lambda: erfnet("G(5)"), contains="encoder.layers.3.conv1 has 64 channels")
    test_fail(lambda: erfnet(Block("module", source="mine.py")), contains="takes no dilation")


def test_class_iou_by_hand():
    labels = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 255]])
    prediction = torch.tensor([[0, 0, 0, 1], [1, 0, 2, 3]])  # the last pixel is not scored
    test_eq(confusion_matrix(prediction, labels, 4).tolist(), [[3, 1, 0, 0], [1, 1, 1, 0], [0] * 4, [0] * 4])
    iou = class_iou(prediction, labels, 4)
    test_eq(iou.dtype, torch.float64)
    test_close(iou[:3], torch.tensor([3 / 5, 1 / 4, 0], dtype=torch.float64), eps=1e-15)
    assert iou[3].isnan()
    test_close(iou.nanmean().item(), (3 / 5 + 1 / 4) / 3, eps=1e-15)  # the mean leaves absent classes out


def test_class_iou_by_sets_of_pixels():
    torch.manual_seed(0)
    prediction, labels = torch.randint(0, 5, (2, 3, 8, 8))


    def sets(x, c):
        return {i for i, value in enumerate(x.flatten().tolist()) if value == c}


    for c, value in enumerate(class_iou(prediction, labels, 5).tolist()):
        a, b = sets(prediction, c), sets(labels, c)
        test_close(value, len(a & b) / len(a | b), eps=1e-15)
    test_fail(lambda: class_iou(torch.zeros(1, 5, 8, 8), labels, 5), contains="logits.argmax(1)")
    test_fail(lambda: class_iou(prediction, labels, 4), contains="outside 0..3")
