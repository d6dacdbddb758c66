"""Generated from nbs/distillation/28_attention.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.losses.attention import *


import math

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn

from moonshine.losses.base import LOSSES, Loss, Output, Term, build_loss, cross_entropy
from moonshine.losses.kd import kd_loss
from moonshine.models.wide_resnet import wrn
from moonshine.surgery.attention_layers import as_map


def test_mean_squares_and_their_gradients():
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(MeanSquare.apply, x) and torch.autograd.gradgradcheck(MeanSquare.apply, x)
    for kind in (torch.float32, torch.bfloat16):
        a, b = (torch.linspace(-2, 3, 96).view(2, 3, 4, 4).to(kind).requires_grad_() for _ in range(2))
        ours, plain = MeanSquare.apply(a), b.float().pow(2).mean(1)
        test_eq(ours.dtype, torch.float32)
        test_close(ours, plain, eps=1e-5)
        for mean_square in (ours, plain):
            mean_square.sum().backward()
        test_close(a.grad.float(), b.grad.float(), eps=1e-6 if kind == torch.float32 else 0.02)


def test_attention_map_by_hand():
    activation = torch.tensor([[[[3.0, 1.0]], [[1.0, 1.0]]]])  # (1, 2, 1, 2)
    test_close(attention_map(activation), torch.tensor([[5, 1]]) / math.sqrt(26))
    # On "meta" tensors have shapes without values, and there is no autocast to switch off.
    test_eq(attention_map(activation.to("meta")).shape, (1, 2))


def test_only_the_place_matters():
    A = torch.randn(2, 8, 5, 5)


    def same(B):
        return torch.allclose(attention_map(A), attention_map(B), atol=1e-6)


    assert same(10 * A) and same(A.flip(1)) and same(-A)
    assert not same(A.roll(1, dims=3))
    test_close(attention_map(A).norm(dim=1), torch.ones(2), eps=1e-6)


def test_tokens_are_no_map_by_themselves():
    tokens = torch.randn(2, 17, 8)  # a class token and 4×4 patches
    test_fail(lambda: attention_map(tokens), contains="made of a feature map (B, C, H, W), not of (2, 17, 8)")
    test_eq(attention_map(as_map(tokens, (32, 32))).shape, (2, 16))


def test_activations_are_the_group_outputs():
    net = wrn(10, 1).eval()
    x = torch.randn(2, 3, 32, 32)
    logits, (a1, a2, a3) = activations(net, x)
    test_close(logits, net(x))
    test_close(a1, net.block1(net.conv1(x)))
    test_close(a3, net.block3(net.block2(net.block1(net.conv1(x)))))
    test_eq([len(m._forward_hooks) for m in net.modules() if m._forward_hooks], [])  # no hook is left behind


def test_activations_in_inference_mode():
    net, x = wrn(10, 1).eval(), torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        logits, found = activations(net, x)
    test_close(logits, net(x), eps=1e-6)
    test_eq(len(found), 3)


def test_activations_of_torchvision_networks():
    from torchvision.models import mobilenet_v3_small, resnet18, vgg11_bn

    x = torch.randn(2, 3, 64, 64)
    logits, found = activations(resnet18(weights=None).eval(), x, ["layer1", "layer2", "layer3", "layer4"])
    test_eq([tuple(a.shape[1:]) for a in found], [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)])
    test_eq(len(activations(mobilenet_v3_small(weights=None).eval(), x, ["features.3", "features.8"])[1]), 2)
    vgg = vgg11_bn(weights=None).eval()
    test_eq(activations(vgg, x, ["features.2"])[1][0].shape, (2, 64, 64, 64))  # after the ReLU
    test_fail(
        lambda: activations(vgg, x, ["features.1"]),  # the batch norm before it
        contains="overwrites its output in place",
    )
    test_fail(lambda: activations(vgg, x, ["features.99"]), contains="no layer 'features.99'")
    test_fail(lambda: activations(vgg, x), contains="name the layers")


def test_taps_work_when_compiled():
    net = wrn(10, 1).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        plain = activations(net, x)
        compiled_net = activations(torch.compile(net, backend="eager"), x)
        everything = dict(named=["block2"], pooled="fc")
        more = [
            tap(x) for tap in (Taps(net, **everything), torch.compile(Taps(net, **everything), backend="eager"))
        ]
        compiled_taps = torch.compile(Taps(net), backend="eager")(x)
    for other in (compiled_net, compiled_taps):
        test_close(other[0], plain[0], eps=1e-5)
        for a, b in zip(other[1], plain[1]):
            test_close(a, b, eps=1e-5)
    test_close(more[1].pooled, more[0].pooled, eps=1e-5)
    test_close(more[1].named["block2"], more[0].named["block2"], eps=1e-5)
    test_close(net.fc(more[0].pooled), plain[0], eps=1e-5)


def test_at_loss_by_plain_arithmetic():
    def by_hand(s, t, convention):
        total = 0
        for b in range(len(s)):
            maps = []
            for A in (s[b].double().tolist(), t[b].double().tolist()):
                f = [
                    sum(A[c][i][j] ** 2 for c in range(len(A))) / len(A)
                    for i in range(len(A[0]))
                    for j in range(len(A[0][0]))
                ]
                maps.append([v / math.sqrt(sum(w * w for w in f)) for v in f])
            squared = sum((p - q) ** 2 for p, q in zip(*maps))
            total += squared / len(maps[0]) if convention == "code" else math.sqrt(squared)
        return total / len(s)


    torch.manual_seed(0)
    s, t = torch.randn(3, 4, 5, 6), torch.randn(3, 7, 5, 6)
    for convention in ("code", "paper"):
        test_close(at_loss(s, t, convention).item(), by_hand(s, t, convention), eps=1e-6)


def test_at_loss_sees_only_the_shape():
    A = torch.randn(2, 8, 4, 4)
    for convention in ("code", "paper"):
        test_close(at_loss(3 * A.flip(1), A, convention).item(), 0, eps=1e-6)
    test_fail(lambda: at_loss(A, torch.randn(2, 8, 2, 2)), contains="compare layers of one size")


def test_at_loss_passes_the_gradient_check():
    torch.manual_seed(0)
    s = torch.randn(2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    t = torch.randn(2, 5, 3, 3, dtype=torch.float64)
    for convention in ("code", "paper"):
        assert torch.autograd.gradcheck(lambda s: at_loss(s, t, convention), s)


def test_weights_of_the_released_code():
    test_eq(at_weight(1000, 3), 1000)
    test_eq(at_weight(1000, 4), 750)  # ImageNet, four groups
    test_eq(at_weight(1000, 5), 600)  # ERFNet, five layers
    test_eq(at_weight(1000, 5, "paper"), 1000)
    test_eq([round(1000 / n**2, 2) for n in (32, 16, 8)], [0.98, 3.91, 15.62])


def test_parts_are_compared_where_both_end():
    def compared(a, b):
        return compared_layers(wrn(28, 0.5, splits=a), wrn(52, 0.5, splits=b))


    test_eq(compared(1, 1), (["block1.0", "block2.0", "block3.0"],) * 2)
    test_eq(compared(2, 1), (["block1.1", "block2.1", "block3.1"], ["block1.0", "block2.0", "block3.0"]))
    test_eq(compared(1, 4)[1], ["block1.3", "block2.3", "block3.3"])
    test_eq([names[:2] for names in compared(2, 4)], [["block1.0", "block1.1"], ["block1.1", "block1.3"]])
    odd = wrn(10, 0.5)
    odd.attention_layers = ["block1.0"]
    test_fail(
        lambda: compared_layers(odd, wrn(10, 0.5)),
        contains="the teacher has 3 layers to compare and the student 1",
    )


def test_taps_collect_what_the_loss_needs():
    def total(student, teacher, labels):
        maps = student.named["block1.0"], teacher.named["block2.0"]
        return student.pooled.sum() + teacher.pooled.sum() + sum(a.sum() for a in maps)


    pairs = (("block1.0", "block2.0"),)
    term = Term("all", 1.0, total, "everything", ("teacher", "pooled"), pairs)
    loss = attention_transfer(3) + Loss((term,))
    nets, x = [wrn(10, 1), wrn(10, 2)], torch.randn(2, 3, 16, 16)
    taps = taps_for(loss, *nets)
    s, t = (tapped(x) for tapped in taps)
    test_eq([tuple(a.shape) for a in s.activations], [(2, 16, 16, 16), (2, 32, 8, 8), (2, 64, 4, 4)])
    test_eq(
        [tuple(a.shape) for a in (s.named["block1.0"], t.named["block2.0"])], [(2, 16, 16, 16), (2, 64, 8, 8)]
    )
    test_close(t.logits, nets[1].fc(t.pooled), eps=1e-6)
    test_eq(list(loss(s, t, None)[1]), ["at", "all"])
    for tapped in taps:
        tapped.remove()
    hooks = [m for net in nets for m in net.modules() if m._forward_hooks or m._forward_pre_hooks]
    test_eq(hooks, [])


def test_taps_for_labels_alone_collect_nothing():
    taps, none = taps_for(cross_entropy(), wrn(10, 1))
    test_eq((none, taps.handles), (None, []))
    test_fail(lambda: taps_for(attention_transfer(3), wrn(10, 1)), contains="needs a teacher (for at)")
    test_fail(lambda: classifier_of(nn.Conv2d(3, 8, 3)), contains="has no linear layer")


def test_squared_error_by_hand():
    s, t = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    total, values = squared_error(2, beta=10.0)(Output(None, [s, s]), Output(None, [t, s]), None)
    by_hand = sum((a - b) ** 2 for a, b in zip(s.flatten().tolist(), t.flatten().tolist())) / (2 * 3 * 16)
    test_close(values["se"].item(), by_hand, eps=1e-12)
    test_close(total.item(), 15 * by_hand, eps=1e-10)  # 10 · 3/2


def test_four_ways_to_train():
    torch.manual_seed(0)
    s = Output(torch.randn(4, 10), [torch.randn(4, 8, 4, 4)] * 3)
    t = Output(torch.randn(4, 10), [torch.randn(4, 16, 4, 4)] * 3)
    y = torch.randint(0, 10, (4,))
    test_eq(list(student_loss(10, 3, beta=1.0, aux="SE")(s, Output(t.logits, s.activations), y)[1]), ["ce", "se"])
    names = {(0, 0): ["ce"], (0.9, 0): ["ce", "kd"], (0, 1000): ["ce", "at"], (0.9, 1000): ["ce", "kd", "at"]}
    for (alpha, beta), expected in names.items():
        total, values = student_loss(10, 3, alpha, beta)(s, t, y)
        test_eq(list(values), expected)
    test_close(
        total, kd_loss(s.logits, t.logits, y) + 1000 * 3 * at_loss(s.activations[0], t.activations[0]), eps=1e-4
    )
    print(student_loss(10, 3, 0.9, 1000).describe())


def test_impossible_weights_are_refused():
    test_fail(lambda: student_loss(10, 3, beta=-1), contains="beta is -1; it must be 0 or more")
    test_fail(lambda: student_loss(10, 3, alpha=2), contains="alpha is 2; it must be between 0 and 1")
    test_fail(lambda: student_loss(10, 3, temperature=0), contains="temperature is 0; it must be more than 0")
    test_fail(lambda: student_loss(10, 3, convention="cdoe"), contains="unknown loss convention 'cdoe'")
    test_fail(lambda: student_loss(10, 3, aux_convention="cdoe"), contains="unknown loss convention 'cdoe'")


def test_bfloat16_activations_are_squared_in_float32():
    torch.manual_seed(0)
    s, t = torch.randn(4, 32, 8, 8), torch.randn(4, 32, 8, 8)
    exact, rounded = at_loss(s, t), at_loss(s.bfloat16(), t.bfloat16())
    test_eq(rounded.dtype, torch.float32)
    test_close(rounded / exact, 1, eps=0.01)


def test_networks_that_do_not_fit_are_refused():
    x, teacher = torch.randn(2, 3, 16, 16), wrn(10, 1)
    test_eq(check_fit(wrn(10, 0.5), teacher, x), [(16, 16), (8, 8), (4, 4)])
    test_fail(
        lambda: check_fit(wrn(10, 0.5), teacher, x, "SE"),
        contains="SE compares block1.0 of the student, (8, 16, 16)",
    )
    odd = wrn(10, 0.5)
    odd.attention_layers = ["block1.0", "block1.0", "block3.0"]
    test_fail(
        lambda: check_fit(odd, teacher, x),
        contains="AT compares block1.0 of the student, (8, 16, 16), with block2.0",
    )
    test_fail(
        lambda: check_fit(wrn(10, 0.5), teacher, x[:, :, :4, :4]),
        contains="block3.0 has a map of one position at",
    )
    odd.attention_layers[0] = "fc"
    test_fail(lambda: check_fit(odd, teacher, x), contains="layer fc returns (2, 10), not (B, C, H, W)")
    test_eq(
        attention_weights([(32, 32), (16, 16), (8, 8)], 1000),
        "  at, as weights of the squared distance: 0.977 at 32×32, 3.91 at 16×16, 15.6 at 8×8",
    )


def test_dimensions_are_measured():
    student, teacher = wrn(10, 0.5), wrn(10, 1).eval()
    found = dimensions_of(student, teacher, torch.randn(2, 3, 16, 16))
    test_eq((found.classes, found.layers, found.pooled), (10, 3, (32, 64)))
    test_eq(found.student, ((8, 16, 16), (16, 8, 8), (32, 4, 4)))
    test_eq(found.teacher[2], (64, 4, 4))
    test_eq(found.names[0], ("block1.0", "block1.0"))
    assert student.training and not teacher.training, "the modes stay as they were"


def test_every_registered_loss_can_be_used():
    torch.manual_seed(0)
    x, labels = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 3])
    for name in LOSSES:
        loss = try_loss(name, wrn(10, 1, "G(4)"), wrn(10, 1), x, labels)
        test_eq(len(loss.describe().splitlines()), len(loss.terms))
        print(f"{name}: {LOSSES[name].__doc__}", loss.describe(), sep="\n")


def test_energy_inside_has_the_right_ends():
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[:, 2:4, 2:6] = True  # 8 of 64 pixels
    test_close(
        energy_inside(torch.ones(2, 5, 8, 8), masks), torch.full((2,), 8 / 64)
    )  # looking everywhere: chance
    test_close(energy_inside(masks[:, None].float(), masks), torch.ones(2))  # looking at the object only
    test_close(energy_inside((~masks)[:, None].float(), masks), torch.zeros(2))
    test_close(energy_inside(torch.ones(2, 5, 4, 4), masks), torch.full((2,), 8 / 64))  # a smaller map
