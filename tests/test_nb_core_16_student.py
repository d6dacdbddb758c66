"""Generated from nbs/core/16_student.ipynb by tools/export.py. Edit the notebook, not this file."""
import pytest
from moonshine.surgery.student import *


import itertools
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from moonshine.blocks.custom import use_module
from moonshine.costs.counting import paper_parameters, parameters, text_table
from moonshine.errors import InputError
from moonshine.models.wide_resnet import wrn
from moonshine.paper.cost_tables import paper_table
from moonshine.surgery.sites import find_sites, plan


def skeleton(name, **arguments):
    "A network of torchvision on the meta device: shapes without values, which take little time"
    from torchvision.models import get_model

    if "deeplab" in name:
        arguments |= dict(weights_backbone=None)
    if name in ("googlenet", "inception_v3"):
        arguments |= dict(init_weights=False)
    if "regnet" in name:
        return get_model(name, weights=None, **arguments).to("meta")  # it computes with tensors
    with torch.device("meta"):
        return get_model(name, weights=None, **arguments)


NETWORKS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "wide_resnet50_2",
    "vgg16_bn",
    "densenet121",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "convnext_tiny",
    "googlenet",
    "regnet_y_400mf",
    "squeezenet1_1",
    "shufflenet_v2_x1_0",
    "mnasnet1_0",
    "inception_v3",
    "deeplabv3_resnet50",
)


def by_formula(model, shape):
    total = 0

    def count(layer, args, out):
        nonlocal total
        kernel = layer.kernel_size[0] * layer.kernel_size[1]
        total += out.shape[2] * out.shape[3] * kernel * layer.in_channels * layer.out_channels // layer.groups

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d)]
    model.eval()(torch.zeros(1, *shape, device="meta"))
    for hook in hooks:
        hook.remove()
    return total


def by_counter(model, shape):
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, *shape, device="meta"))
    return counter.get_total_flops() // 2


def test_weights_that_cannot_be_drawn_again():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.arange(4.0).reshape(4, 1, 1))

        def forward(self, x):
            return x * self.factor


    net = nn.Sequential(nn.Conv2d(3, 4, 3), Scale(), nn.BatchNorm2d(4))
    net[2].weight.data.uniform_()
    before = net[0].weight.clone()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reinitialize(net)
    test_eq([str(w.message) for w in caught], ["not reinitialized (module has no reset_parameters): 1.factor"])
    assert not torch.equal(net[0].weight, before)
    test_eq(net[1].factor.flatten().tolist(), [0, 1, 2, 3])
    test_eq(net[2].weight.tolist(), [1] * 4)


def test_constants_of_the_constructor_stay():
    prior, zero = nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8)
    nn.init.constant_(prior.bias, -4.6)
    nn.init.zeros_(zero.weight)
    nn.init.normal_(prior.weight, std=1e-3)
    before = prior.weight.clone()
    reinitialize(nn.Sequential(prior, zero), ["0"])
    test_close(prior.weight.std(), before.std(), eps=1e-6)
    test_close(prior.bias, torch.full((8,), -4.6))
    test_eq(zero.weight.tolist(), [0] * 8)
    assert not torch.isclose(prior.weight, before).any()


def test_computed_weights_are_drawn_too():
    from torch.nn.utils import parametrizations, prune

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch advises against the old style
        old_style = nn.utils.weight_norm(nn.Conv2d(4, 8, 3))
    nets = [
        old_style,
        parametrizations.weight_norm(nn.Conv2d(4, 8, 3)),
        nn.utils.spectral_norm(nn.Linear(4, 8)),
        parametrizations.spectral_norm(nn.Conv2d(4, 8, 3)),
        prune.l1_unstructured(nn.Conv2d(4, 8, 3), "weight", 0.5),
    ]
    for net in nets:
        before = [p.clone() for p in net.parameters()]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reinitialize(net)
        assert not any(torch.isclose(a, b).all() for a, b in zip(net.parameters(), before)), net
        x = torch.ones(2, 4) if isinstance(net, nn.Linear) else torch.ones(2, 4, 5, 5)
        assert net(x).isfinite().all()
    test_close(nets[1].weight.std(), (2 / (9 * 8)) ** 0.5, eps=0.03)


def test_the_spec_of_your_own_network_gets_the_block():
    own = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3), nn.ReLU())
    own.spec = dict(network="foreign", architecture="Sequential")
    student = cheapen(own, "G(4)")
    test_eq(student.spec, own.spec | dict(block="G(4)"))
    test_eq(cheapen(cheapen(own, "G(4)"), "S", more_expensive=True).spec["architecture"], "Sequential")


def test_cheapening_the_teacher_gives_table_2():
    with torch.device("meta"):
        teacher, teacher100, classifier100 = wrn(40, 2), wrn(40, 2, num_classes=100), nn.Linear(128, 100)
    rows = [row for row in paper_table(2) if (row["depth"], row["width"]) == ("40", "2")]
    for row in rows:
        student = cheapen(teacher, row["block"])
        misprint = row["block"] == "BG(2,M/16)"  # on CIFAR-10: printed as 234,704
        test_eq(paper_parameters(student), 243_706 if misprint else int(row["cifar10_params"]))
        student.fc = classifier100
        test_eq(paper_parameters(student), int(row["cifar100_params"]))
        if row["block"] == "BG(2,M/8)":
            test_eq(paper_parameters(cheapen(teacher100, row["block"])), paper_parameters(student))
    test_eq([paper_parameters(net) for net in (teacher, teacher100)], [2_248_954, 2_260_564])  # not touched
    print(f"{len(rows)} networks, each with 10 and with 100 classes")


def test_built_and_cheapened_networks_are_interchangeable():
    x = torch.randn(2, 3, 16, 16)
    for text in ("S", "S-2x2", "G(4)", "BG(2,M/8)", "G8B2/Basic", "DConv3D/Basic", "DConv/Old"):
        built, student = wrn(10, 1, text).eval(), cheapen(wrn(10, 1).eval(), text)
        student.load_state_dict(built.state_dict())  # strict: every name and shape
        test_close(student(x), built(x))
        for key in ("spec", "title", "attention_layers"):
            test_eq(getattr(student, key), getattr(built, key))
    test_eq(cheapen(wrn(10, 1, "Conv/Old"), "G(4)").spec["block"], "DConvA4/Old")  # post-activation stays so
    test_eq(cheapen(wrn(10, 1), "BG(2,M/8)", by="convolution").spec["block"], "G8B2/Basic")
    student = cheapen(wrn(10, 1), "G(4)", keep=["block1"])
    test_eq((student.spec, student.title), (None, "WRN-10-1 S with G(4)"))


def test_cheapening_resnet34_gives_table_3():
    teacher = skeleton("resnet34")
    students = {block: cheapen(teacher, block) for block in ("G(4)", "G(N)")}
    print(f"{paper_parameters(teacher):,}")
    for block, student in students.items():
        print(f"{block}: {paper_parameters(student):,}")
    test_eq(paper_parameters(teacher), 21_814_696)
    test_eq([paper_parameters(s) for s in students.values()], [8_177_832, 3_163_752])  # Table 3 of the paper


@pytest.mark.slow
def test_forward_and_backward_in_shapes():
    def outputs(result):
        values = (
            result.values() if isinstance(result, dict) else result if isinstance(result, tuple) else [result]
        )
        return [value for value in values if value is not None]


    for name in NETWORKS:
        size = 299 if name == "inception_v3" else 64  # its auxiliary branch needs so many pixels
        model, x = skeleton(name, num_classes=10).train(), torch.zeros(2, 3, size, size, device="meta")
        expected = [out.shape for out in outputs(model(x))]
        for block in ("G(N/8)", "G(N)"):
            try:
                student = cheapen(model, block)
            except InputError as error:
                assert "replaces nothing" in str(error), (name, error)
                continue
            found = outputs(student(x))
            test_eq((name, [out.shape for out in found]), (name, expected))
            sum(out.sum() for out in found).backward()
            test_eq([key for key, p in student.named_parameters() if p.grad is None], [])


def test_forward_and_backward_in_numbers():
    from torchvision.models import get_model

    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 32)
    for name, block in [("resnet18", "G(N/8)"), ("squeezenet1_1", "G(N)"), ("regnet_y_400mf", "G(N)")]:
        student = cheapen(get_model(name, weights=None, num_classes=10), block).train()
        out = student(x)
        out.square().sum().backward()
        test_eq((name, out.shape), (name, (2, 10)))
        assert all(p.grad.isfinite().all() for p in student.parameters()) and out.isfinite().all()


def test_the_plan_adds_up():
    for name, block in [("resnet18", "BG(2,M/8)"), ("vgg11", "S-2x2"), ("squeezenet1_1", "G(N)")]:
        model = skeleton(name)
        rows, student, shape = plan(model, block, (3, 64, 64)), cheapen(model, block), (3, 64, 64)
        saved = sum(row["mult_adds_before"] - row["mult_adds_after"] for row in rows)
        test_eq(saved, by_counter(model, shape) - by_counter(student, shape))
        test_eq(saved, by_formula(model, shape) - by_formula(student, shape))
        fewer = sum(row["parameters_before"] - row["parameters_after"] for row in rows)
        test_eq(fewer, parameters(model) - parameters(student))
    test_eq("mult_adds_before" in plan(model, "G(4)")[0], False)


def test_one_bottleneck_a_residual_block():
    from torchvision.models import resnet18

    teacher = skeleton("resnet18")
    auto, each = cheapen(teacher, "BG(2,M/8)"), cheapen(teacher, "BG(2,M/8)", by="convolution")
    test_eq(type(auto.layer2[0]).__name__, "PostActivation")
    test_eq((len(plan(teacher, "BG(2,M/8)")), len(plan(teacher, "BG(2,M/8)", by="convolution"))), (1 + 8, 1 + 16))
    assert parameters(auto) < parameters(each) < parameters(teacher)
    teacher = resnet18(weights=None, num_classes=10)
    kept = cheapen(teacher, "BG(2,M/8)", keep_weights=True)
    for name in ("conv1.weight", "layer2.0.downsample.0.weight", "layer2.0.bn1.weight", "fc.weight"):
        assert torch.equal(kept.state_dict()[name], teacher.state_dict()[name])
    whole, single = cheapen(teacher, "G(4)", by="block"), cheapen(teacher, "G(4)")
    whole.load_state_dict(single.state_dict())  # two cheap convolutions: the same network either way
    x = torch.randn(2, 3, 32, 32)
    test_close(whole.eval()(x), single.eval()(x), eps=1e-5)
    test_fail(
        lambda: cheapen(skeleton("resnet50"), "B(2)", by="block"), contains="no residual block that is known"
    )


def test_the_teacher_is_not_touched_and_the_student_starts_from_new_weights():
    from torchvision.models import resnet18

    teacher = resnet18(weights=None, num_classes=10).requires_grad_(False).eval()
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    student, kept = cheapen(teacher, "G(4)"), cheapen(teacher, "G(4)", keep_weights=True)
    assert all(torch.equal(value, teacher.state_dict()[key]) for key, value in before.items())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all(p.requires_grad for p in student.parameters())  # a frozen teacher has a student that learns
    test_eq((teacher.training, student.training, student.layer1[0].conv1.training), (False, False, False))
    ours, theirs = student.state_dict(), teacher.state_dict()
    drawn = [key for key in ours.keys() & theirs.keys() if key.endswith("weight") and ours[key].dim() > 1]
    test_eq(len(drawn), 5)  # the first layer, three projections, the classifier
    test_eq([key for key in drawn if torch.equal(ours[key], theirs[key])], [])  # none is the teacher's
    assert torch.equal(kept.conv1.weight, teacher.conv1.weight) and torch.equal(kept.fc.weight, teacher.fc.weight)
    shared = {p.data_ptr() for p in teacher.parameters()} & {p.data_ptr() for p in kept.parameters()}
    test_eq(shared, set())
    conv = student.layer1[0].conv1.conv1x1.weight  # new layers: the released code's rule
    test_close(conv.std().item(), (2 / 64) ** 0.5, eps=1e-2)


def test_mistakes_are_reported_in_one_line():
    net, pointwise = skeleton("resnet18"), nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    test_fail(
        lambda: cheapen(net, "G(4)", keep=["layer1.0.convl"]),
        contains="no layer 'layer1.0.convl' to keep; did you mean 'layer1.0.conv",
    )
    test_fail(lambda: cheapen(pointwise, "G(4)"), contains="no convolution with a kernel larger")
    test_fail(lambda: cheapen(nn.Linear(3, 3), "G(4)"), contains="Linear has no convolution")
    test_fail(lambda: cheapen(net, "G4"), contains="unknown block")
    test_fail(lambda: cheapen(net, "G(4)", by="blocks"), contains="use auto, convolution or block")
    test_fail(lambda: cheapen(net, "G(4)", placement="mid"), contains="use between, pre or post")
    test_fail(lambda: cheapen("resnet18", "G(4)"), contains="network_from_torchvision")


def test_nothing_replaced_is_an_error():
    test_fail(
        lambda: cheapen(skeleton("mobilenet_v2"), "G(4)"),
        exc=InputError,
        contains="nothing in this MobileNetV2 (1 × first layer, 17 × already depthwise); no other block would",
    )
    narrow = nn.Sequential(nn.Conv2d(3, 30, 3), nn.Conv2d(30, 30, 3), nn.ReLU())
    test_fail(
        lambda: cheapen(narrow, "G(4)"),
        exc=InputError,
        contains="1 × G(4) does not divide its channels; G(5) would fit); G(N) would save 77 %, B(2)",
    )


def test_layers_that_are_kept():
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.Conv2d(16, 30, 3), nn.Sequential(nn.Conv2d(30, 32, 3), nn.Conv2d(32, 16, 3))
    )
    test_eq(cheapen(net, "G(N)", keep="2.1")[2][1].kernel_size, (3, 3))


def test_placement():
    conv = nn.Conv2d(8, 16, 3, bias=True)


    def kinds(placement, block="G(N)"):
        return [type(m).__name__[:4] for m in cheapen(conv, block, placement=placement)]


    test_eq(kinds("between"), ["Conv", "Batc", "ReLU", "Conv"])
    test_eq(kinds("pre"), ["Batc", "ReLU", "Conv", "Batc", "ReLU", "Conv"])
    test_eq(kinds("post"), ["Conv", "Batc", "ReLU", "Conv", "Batc", "ReLU"])
    test_eq(kinds("post", "S-2x2"), ["Conv", "Batc", "ReLU"])
    x = torch.randn(2, 8, 9, 9)
    for placement in ("between", "pre", "post"):
        cheap = cheapen(conv, "G(N)", placement=placement)
        test_eq(cheap(x).shape, conv(x).shape)
        convolutions = {name: m for name, m in cheap.named_children() if isinstance(m, nn.Conv2d)}
        test_eq([name for name, m in convolutions.items() if m.bias is not None], ["conv1x1"])


def test_a_shared_convolution_stays_shared():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, padding=1)
            self.a = nn.Conv2d(8, 8, 3, padding=1)
            self.b = nn.Sequential(self.a, nn.ReLU(), self.a)

        def forward(self, x):
            return self.b(self.a(self.stem(x)))


    student = cheapen(Twice(), "G(2)")
    assert student.a is student.b[0] is student.b[2]
    rows = plan(Twice(), "G(2)", input_shape=(3, 8, 8))
    test_eq([row["layer"] for row in rows], ["stem", "a"])
    test_eq(rows[1]["mult_adds_before"], 3 * 9 * 8 * 8 * 64)  # it is called three times
    test_eq(student(torch.randn(2, 3, 8, 8)).shape, (2, 8, 8, 8))


def test_what_can_not_be_rebuilt_is_left():
    from torch.nn.utils import parametrizations, prune
    from torchvision.ops import DeformConv2d


    class Square(nn.Conv2d):
        def __init__(self, channels):
            super().__init__(channels, channels, 3)

        def forward(self, x):
            return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)


    class Renamed(nn.Conv2d):
        pass


    first, conv, to_prune = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old_style = nn.utils.weight_norm(nn.Conv2d(8, 8, 3, padding=1))
    computed = [parametrizations.weight_norm(conv), old_style, prune.l1_unstructured(to_prune, "weight", 0.5)]
    others = [nn.LazyConv2d(8, 3)] + [
        kind(8, 8, 3) for kind in (nn.ConvTranspose2d, nn.Conv1d, nn.Conv3d, DeformConv2d)
    ]
    net = nn.Sequential(first, Square(8), Renamed(8, 8, 3), *computed, *others)
    reasons = [row["reason"] for row in plan(net, "G(2)")]
    print("\n".join(f"{type(m).__name__:24}{why or '(replaced)'}" for m, why in zip(net, reasons)))
    test_eq([why == "" for why in reasons], [False, False, True] + [False] * 8)
    student = cheapen(net, "G(2)", keep_weights=True)
    test_eq([type(a) is type(b) for a, b in zip(net, student)], [True, True, False] + [True] * 8)
    x = torch.randn(1, 8, 5, 5)
    for n in (3, 4, 5):
        test_close(student[n](x), net[n](x))


def test_a_convolution_becomes_a_chain():
    conv = nn.Conv2d(16, 24, 5, stride=2, padding=2).double().eval()
    student = cheapen(conv, "BG(2,4)")
    test_eq(
        [name for name, _ in student.named_children()],
        ["conv1x1_down", "bn1", "relu1", "conv", "bn2", "relu2", "conv1x1_up"],
    )
    test_eq((student.training, student.conv.weight.dtype), (False, torch.double))
    test_eq(student.replaces, "5×5, 16→24, stride 2")
    x = torch.randn(2, 16, 11, 11).double()
    test_eq(student(x).shape, conv(x).shape)
    test_eq(cheapen(conv.to(torch.bfloat16), "G(N)").convdw.weight.dtype, torch.bfloat16)


def test_structured_layers_and_user_code():
    folder = Path(tempfile.mkdtemp())
    (folder / "mine.py").write_text("import torch\nConv = torch.nn.Conv2d\n")
    own = use_module(folder / "mine.py")
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(8, 8, 3, padding=1, bias=False),
        nn.Conv2d(8, 8, 3),
        nn.Conv2d(8, 8, 5, groups=2, bias=False),
        nn.Conv2d(8, 8, 5, bias=False),
    )
    x = torch.randn(2, 3, 16, 16)
    for block in ("ACDC", "DConv3D", own):
        test_eq(cheapen(net, block, more_expensive=True)(x).shape, net(x).shape)


def test_a_compiled_network():
    net = skeleton("resnet18")
    student = cheapen(torch.compile(net, backend="eager"), "G(4)")
    test_eq(type(student).__name__, "ResNet")
    test_eq(sorted(student.state_dict()), sorted(cheapen(net, "G(4)").state_dict()))
