"""Generated from nbs/core/09_resnet.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.models.resnet import *


import tempfile
from pathlib import Path
from unittest import mock
from urllib.error import URLError

import torch
import torchvision
from fastcore.test import test_close, test_eq, test_fail
from torch import nn
from torch.nn import functional as F

from moonshine.blocks.custom import use_module
from moonshine.blocks.residual import initialize
from moonshine.models.wide_resnet import wrn


def test_a_convolution_costs_the_same_in_every_group():
    widths = ARCHITECTURES["resnet34"]["widths"]
    costs = [9 * N**2 * (56 // 2**group) ** 2 for group, N in enumerate(widths)]
    print(f"{costs[0]:,} multiplications per convolution in each of the {len(costs)} groups")
    test_eq(len(set(costs)), 1)


def test_spec_and_title():
    with torch.device("meta"):
        net = resnet34("G( 4 )", num_classes=7)  # shapes without numbers: costs no time
    test_eq(net.spec, dict(network="resnet34", block="G(4)", num_classes=7))
    test_eq(net.title, "ResNet-34 G(4)")
    test_eq(net.attention_layers, ["layer1", "layer2", "layer3", "layer4"])


def test_every_block_builds_and_keeps_the_shapes():
    x = torch.zeros(2, 3, 64, 64)
    for text in (
        "S",
        "S-2x2",
        "G(4)",
        "G(N/8)",
        "G(N)",
        "B(2)",
        "BG(2,4)",
        "BG(2,M/8)",
        "G8B2/Basic",
        "Conv/Old",
    ):
        test_eq(resnet18_half(text, 10)(x).shape, (2, 10))
    for build in (resnet18, resnet34):
        test_eq(build("BG(2,M/8)", 10)(x).shape, (2, 10))
    test_fail(lambda: resnet18("G(3)"), contains="layer1.0.conv1 has 64 channels, which G(3) can't split")
    test_fail(lambda: resnet18("G4"), contains="unknown block 'G4'")


def test_a_convolution_of_your_own():
    folder = Path(tempfile.mkdtemp())
    (folder / "mine.py").write_text("import torch\nConv = torch.nn.Conv2d\n")
    (folder / "block.py").write_text(
        "from torch import nn\nConv = nn.Conv2d\n"
        "class Block(nn.Sequential):\n"
        "    def __init__(self, i, o, stride, conv): super().__init__(conv(i, o, 3, stride=stride, padding=1))\n"
    )
    with torch.device("meta"):
        own, full = resnet18(use_module(folder / "mine.py")), resnet18()
        blocks = resnet18(use_module(folder / "block.py"))
    test_eq([p.shape for p in own.parameters()], [p.shape for p in full.parameters()])
    test_eq(type(own.layer1[0]).__name__, "PostActivation")
    test_eq({type(unit).__name__ for unit in blocks.layer4}, {"Block"})


def test_post_activation_by_hand():
    torch.manual_seed(0)
    unit = resnet18("G(4)").layer2[0].eval().double()  # 64 -> 128 channels, stride 2, with a projection


    def bn(m, x):
        return F.batch_norm(x, m.running_mean, m.running_var, m.weight, m.bias, eps=m.eps)


    def pair(chain, x, stride):
        h = F.conv2d(x, chain.convdw.weight, stride=stride, padding=1, groups=4)
        return F.conv2d(bn(chain.bn, h).relu(), chain.conv1x1.weight)


    for m in unit.modules():  # batch norms that do something
        if isinstance(m, nn.BatchNorm2d):
            for tensor in (m.running_mean, m.bias):
                nn.init.normal_(tensor)
            for tensor in (m.running_var, m.weight):
                nn.init.uniform_(tensor, 0.5, 1.5)
    x = torch.randn(2, 64, 8, 8, dtype=torch.float64)
    h = pair(unit.conv2, bn(unit.bn1, pair(unit.conv1, x, 2)).relu(), 1)
    shortcut = bn(unit.downsample[1], F.conv2d(x, unit.downsample[0].weight, stride=2))
    test_close(unit(x), (shortcut + bn(unit.bn2, h)).relu(), eps=1e-10)


def test_outputs_of_groups_are_never_negative():
    def group_outputs(net, layers, x):
        caught = []
        for name in layers:
            net.get_submodule(name).register_forward_hook(lambda m, args, out: caught.append((out, out.clone())))
        net(x)
        return caught


    for block in ("S", "G(N)", "BG(2,M/8)"):
        net = resnet18_half(block)
        caught = group_outputs(net, net.attention_layers, torch.randn(2, 3, 64, 64))
        test_eq([tuple(out.shape[1:]) for out, _ in caught], [(64, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2)])
        for out, at_once in caught:
            assert torch.equal(out, at_once) and out.min() >= 0
    teacher = wrn(10, 1)
    caught = group_outputs(teacher, teacher.attention_layers, torch.randn(2, 3, 32, 32))
    test_eq([bool(out.min() < 0) for out, _ in caught], [True] * 3)


def test_depth_by_counting():
    for build, depth in ((resnet18, 18), (resnet34, 34), (resnet18_half, 18)):
        with torch.device("meta"):
            net = build()
        convs = {name: m for name, m in net.named_modules() if isinstance(m, nn.Conv2d)}
        one = [name for name, m in convs.items() if m.kernel_size == (1, 1)]
        test_eq(len(convs) - len(one) + 1, depth)  # the 7×7, every 3×3, and the linear layer
        test_eq(one, ["layer2.0.downsample.0", "layer3.0.downsample.0", "layer4.0.downsample.0"])


def test_the_five_totals_of_table_3():
    totals = {
        "Res34 T": 21_814_696,
        "Res18": 11_699_112,
        "Res34-G(4)": 8_177_832,
        "Res18-0.5": 3_197_096,
        "Res34-G(N)": 3_163_752,
    }  # paper, Table 3, by its rule of counting
    counted = {}
    for name, (build, block) in TABLE3.items():
        with torch.device("meta"):
            state = build(block).state_dict()
        counted[name] = sum(value.numel() for key, value in state.items() if "num_batches_tracked" not in key)
        print(f"{name:12}{counted[name]:>12,}")
    test_eq(counted, totals)


def test_the_parts_that_stay():
    with torch.device("meta"):
        full, cheap = resnet34(), resnet34("G(N)")
    for part in ("conv1", "bn1", "fc", "layer2.0.downsample", "layer4.0.downsample"):
        test_eq(
            [p.shape for p in cheap.get_submodule(part).parameters()],
            [p.shape for p in full.get_submodule(part).parameters()],
        )
    fc = sum(p.numel() for p in full.fc.parameters())
    test_eq((fc, round(100 * fc / 21_814_696), round(100 * fc / 3_163_752)), (513_000, 2, 16))


def test_map_sizes():
    net, sides = resnet18_half("G(N)").eval(), []
    for name in net.attention_layers:
        net.get_submodule(name).register_forward_hook(lambda m, args, out: sides.append(out.shape[-1]))
    for size in (224, 96, 64, 33, 32, 16):
        sides.clear()
        test_eq(net(torch.zeros(1, 3, size, size)).shape, (1, 1000))
        print(f"{size:>4} pixels:", ", ".join(f"{side}×{side}" for side in sides))
        test_eq(sides, [-(-size // shrink) for shrink in (4, 8, 16, 32)])
    test_fail(lambda: net.train()(torch.zeros(1, 3, 32, 32)), contains="Expected more than 1 value per channel")


def test_the_same_logits_as_torchvision():
    def with_random_batch_norms(net):
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d):
                for tensor in (m.running_mean, m.bias):
                    nn.init.normal_(tensor, std=0.2)
                for tensor in (m.running_var, m.weight):
                    nn.init.uniform_(tensor, 0.5, 1.5)
        return net


    torch.manual_seed(0)
    x = torch.randn(2, 3, 64, 64)
    for build, name in ((resnet18, "resnet18"), (resnet34, "resnet34")):
        theirs = with_random_batch_norms(getattr(torchvision.models, name)(weights=None)).eval()
        ours = load_torchvision(build(), theirs.state_dict()).eval()
        with torch.no_grad():
            a, b = theirs(x), ours(x)
        print(f"{name}: logits up to {a.abs().max():.1f}, largest difference {(a - b).abs().max():.1g}")
        assert a.std() > 0.1 and torch.allclose(a, b, rtol=1e-5, atol=1e-5)


def test_the_same_gradients_as_torchvision():
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(weights=None, num_classes=10).double().train()
    ours = load_torchvision(resnet18(num_classes=10).double(), theirs.state_dict()).train()
    x, y = torch.randn(4, 3, 64, 64, dtype=torch.float64), torch.tensor([3, 1, 4, 1])
    for net in (theirs, ours):
        F.cross_entropy(net(x), y).backward()
    test_close(ours.conv1.weight.grad.norm().item(), theirs.conv1.weight.grad.norm().item(), eps=1e-9)
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    for name, p in ours.named_parameters():
        test_close(p.grad, gradients[torchvision_name(name)], eps=1e-9)
    after = theirs.state_dict()  # running means and variances too
    for name, value in ours.state_dict().items():
        test_close(value, after[torchvision_name(name)], eps=1e-9)


def test_weights_that_do_not_fit_are_refused():
    with torch.device("meta"):
        ours, student, half = resnet18(num_classes=10), resnet18("G(4)", 10), resnet18_half(num_classes=10)
        good = torchvision.models.resnet18(weights=None, num_classes=10).state_dict()
        deeper = torchvision.models.resnet34(weights=None, num_classes=10).state_dict()


    def refused(net, state, message):
        test_fail(lambda: load_torchvision(net, state), contains=message)


    refused(
        ours,
        {name: v for name, v in good.items() if name != "layer3.1.bn2.running_var"},
        "1 tensors missing, e.g. layer3.1.bn2.running_var",
    )
    refused(ours, good | {"extra.weight": torch.zeros(1)}, "1 tensors left over, e.g. extra.weight")
    refused(
        ours, good | {"fc.bias": torch.zeros(5)}, "1 tensors of another shape, e.g. fc.bias ((5,), not (10,))"
    )
    refused(ours, good | {"fc.bias": None}, "fc.bias (NoneType, not (10,))")
    refused(ours, deeper, "left over, e.g. layer1.2.conv1.weight")
    refused(half, good, "of another shape, e.g. layer2.0.conv1.weight")
    refused(student, good, "the weights do not fit ResNet-18 G(4)")
    refused(ours, torchvision.models.resnet, "weights must be a state_dict, not a module")


def test_a_refusal_changes_nothing_and_counters_may_be_absent():
    ours = resnet18_half(num_classes=10)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    theirs = {torchvision_name(name): value + 1 for name, value in before.items()}
    test_fail(lambda: load_torchvision(ours, theirs | {"fc.bias": torch.zeros(5)}), contains="another shape")
    for name, value in ours.state_dict().items():
        assert torch.equal(value, before[name])
    load_torchvision(ours, {name: value for name, value in theirs.items() if "num_batches_tracked" not in name})
    assert torch.equal(ours.layer4[1].conv2.conv.weight, before["layer4.1.conv2.conv.weight"] + 1)


def test_pretrained_without_the_download():
    theirs = torchvision.models.resnet18(weights=None).eval()
    kind = torchvision.models.ResNet18_Weights
    with mock.patch.object(kind, "get_state_dict", lambda self, **kwargs: theirs.state_dict()):
        ours = load_torchvision_weights("resnet18")
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        test_close(ours(x), theirs(x), eps=1e-5)
    test_eq((ours.training, len(ours.classes), ours.classes[0]), (False, 1000, "tench"))
    test_eq(ours.normalization, dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]))


    def offline(self, **kwargs):
        raise URLError("no route to host")


    with mock.patch.object(kind, "get_state_dict", offline):
        test_fail(
            lambda: load_torchvision_weights("resnet18"),
            contains="can't be fetched (URLError: <urlopen error no route",
        )


def test_what_torchvision_has_not_is_refused():
    test_fail(lambda: load_torchvision_weights("resnet43"), contains="did you mean resnet34?")
    test_fail(
        lambda: load_torchvision_weights("resnet18_half"),
        contains="unknown network with trained weights 'resnet18_half'",
    )
    test_fail(
        lambda: load_torchvision_weights("resnet34", "IMAGENET1K_V2"), contains="did you mean IMAGENET1K_V1?"
    )


def test_initial_weights_are_torchvisions():
    net = resnet18_half("G(4)")
    for conv in (net.conv1, net.layer2[0].conv1.convdw, net.layer2[0].conv1.conv1x1, net.layer3[0].downsample[0]):
        expected = (2 / (conv.kernel_size[0] ** 2 * conv.out_channels)) ** 0.5
        test_close(conv.weight.std().item() / expected, 1, eps=0.05)
        drawn = torch.empty_like(conv.weight)
        torch.manual_seed(0)
        nn.init.kaiming_normal_(drawn, mode="fan_out", nonlinearity="relu")
        torch.manual_seed(0)
        initialize(conv)
        test_close(conv.weight, drawn, eps=1e-6)
    test_eq(net.fc.bias.abs().max().item(), 0)
