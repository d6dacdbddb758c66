"""Generated from nbs/plots/75_diagrams.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.plots.diagrams import *


import numpy as np
from fastcore.test import test_close, test_eq, test_fail
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from moonshine.blocks.families import convolution_parameters
from moonshine.costs.counting import mult_adds, paper_parameters, parameters
from moonshine.methods import METHODS
from moonshine.models.wide_resnet import wrn
from moonshine.paper.tables import students


def check_readable(figure):
    "Fail if a diagram has a problem, is not 700 pixels wide, or isn't described"
    test_eq(reading_problems(figure), [])
    test_eq(figure.bbox.width, 700)
    assert figure.alt.endswith(".") and 40 < len(figure.alt) < 500


def sheet_with(*texts, shade="white"):
    "A sheet with texts at the middle of its height, shaded on the left"
    figure = Diagram(1, "Some words on a sheet, for a test of whether they can be read.")
    axis = figure.sheet()
    box(axis, 0, 0, 3.5, 1, shade)
    for x, text, size in texts:
        words(axis, x, 0.5, text, size)
    return figure


def test_an_unreadable_figure_is_noticed():
    check_readable(sheet_with((1, "fine", 9), (4, "fine as well", 9)))
    faults = {
        "has 9.7 pixels, not 11": sheet_with((1, "tiny", 7)),
        "leaves the figure": sheet_with((6.9, "a long word", 9)),
        "'one' touches 'two'": sheet_with((1, "one", 9), (1.1, "two", 9)),
        "'dark' has a contrast of": sheet_with((1, "dark", 9), shade="#555555"),
        "'half on it' has a contrast of": sheet_with((3.5, "half on it", 9), shade="#555555"),
    }
    for what, figure in faults.items():
        (problem,) = reading_problems(figure)
        assert what in problem, problem
    test_close(luminance((1, 1, 1)), 1)
    test_close([luminance(color) for color in np.eye(3)], [0.2126, 0.7152, 0.0722], eps=1e-9)


def test_the_text_alternative_is_stored_with_the_image():
    data, metadata = figure_output(Diagram(1.5), "A white sheet.")
    test_eq(data["text/plain"], "A white sheet.")
    test_eq(metadata, {"image/png": dict(alt="A white sheet.", width=700)})
    test_eq(np.frombuffer(data["image/png"][16:24], ">u4").tolist(), [1050, 225])  # the PNG's own header
    photograph = Figure(figsize=(2, 2))
    photograph.add_axes([0, 0, 1, 1]).imshow(np.random.default_rng(0).random((200, 200, 3)))
    kinds = [figure_output(figure, "")[0]["image/png"][25] for figure in (sheet_with((1, "fine", 9)), photograph)]
    test_eq(kinds, [3, 2])  # color types of a PNG: a palette for the drawing, full color for the photograph


def test_a_convolution_shows_one_value_of_one_channel():
    figure = convolution_diagram()
    check_readable(figure)
    solids = [part for part in figure.axes[0].patches if not isinstance(part, FancyArrowPatch)]
    filled = [to_rgb(part.get_facecolor()) for part in solids]
    test_eq(filled.count(to_rgb(SPATIAL[0])), 1)  # the highlighted output value
    test_eq(filled.count(to_rgb(SPATIAL[1])), 4)  # its window, and three faces of its kernel


def test_the_drawn_wiring_is_that_of_a_real_convolution():
    import torch
    from torch import nn

    for channels, groups in ((8, 1), (8, 4), (8, 8), (12, 3)):
        layer = nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False)
        image = torch.zeros(1, channels, 5, 5, requires_grad=True)
        seen = []
        for out in range(channels):
            (grad,) = torch.autograd.grad(layer(image)[0, out].sum(), image)
            seen += [(i, out) for i in grad.abs().sum((0, 2, 3)).nonzero()[:, 0].tolist()]
        test_eq(sorted(seen), sorted(wiring(channels, groups)))
        test_eq(len(wiring(channels, groups)) * 9, layer.weight.numel())
    test_fail(lambda: wiring(8, 3), contains="choose a divisor")


def test_groups_are_readable_and_count_what_they_draw():
    for channels, groups in ((8, 4), (8, 2), (8, 8), (6, 3), (12, 4)):
        figure = groups_diagram(channels, groups)
        check_readable(figure)
        said = [text.get_text() for text in figure.axes[0].texts]
        test_eq(said.count(f"reaches {channels} of {channels}"), 2)
        assert f"reaches {channels // groups} of {channels}" in said
        test_eq(said.count(f"k×k: {channels**2 // groups} of {channels**2}"), 2)


def test_a_bottleneck_shows_the_weights_of_its_layers():
    for arguments in ((64, 2, 8), (64, 2, "M/8"), (64, 4, "M"), (128, 2, "M/16"), (32, 2, 4)):
        figure = bottleneck_diagram(*arguments)
        check_readable(figure)
        said = [text.get_text() for text in figure.axes[0].texts]
        numbers = [int(text.split("\n")[1].replace(",", "")) for text in said if text[1] == "×"]
        N, b, g = arguments
        test_eq(sum(numbers[:3]), convolution_parameters(f"B({b})", N))
        test_eq(sum(numbers[3:]), convolution_parameters(f"BG({b},{g})", N))
    test_fail(lambda: bottleneck_diagram(64, 2, 5), contains="can't split into groups")
    test_fail(lambda: bottleneck_diagram(64, 3, 1), contains="can't contract")


def test_one_bottleneck_stands_for_two_convolutions():
    for channels, g, b in ((64, 8, 2), (64, 16, 4), (128, 4, 2)):
        figure = families_diagram(channels, g, b)
        check_readable(figure)
        said = [text.get_text() for text in figure.axes[0].texts]
        captions = ("1st convolution", "2nd convolution", "one bottleneck")
        test_eq([said.count(text) for text in captions], [2, 2, 2])
        test_eq([said.count(text) for text in ("3×3", "1×1")], [2 + 2 + 1 + 1, 2 + 2 + 2])
        for name in ("S", f"G({g})", f"B({b})", f"BG({b},{g})"):
            assert f"{convolution_parameters(name, channels):,} weights" in said


def test_the_trap_is_counted_from_the_networks():
    figure = g8b2_diagram()
    check_readable(figure)
    said = [text.get_text() for text in figure.axes[0].texts]
    (printed,) = [row["cifar10_params"] for key, row in students().items() if key[1] == "BG(2,M/8)"]
    test_eq([text.split()[1] for text in said if "parameters" in text], ["383,482", f"{int(printed):,}"])
    test_eq([said.count(text) for text in ("2nd bottleneck: surplus", "one bottleneck")], [1, 1])
    bars = [part.get_width() for part in figure.axes[0].patches if type(part).__name__ == "Rectangle"]
    test_close((bars[0] + bars[2]) / bars[1], 383_482 / 195_322, eps=1e-6)


def test_the_parts_add_up_to_the_network():
    for depth, width, block in ((40, 2, "S"), (16, 1, "G(N)"), (22, 1.5, "B(2)")):
        parts, network = wrn_parts(depth, width, block), wrn(depth, width, block)
        test_eq(sum(part["parameters"] for part in parts), parameters(network))
        test_eq(sum(part["mult_adds"] for part in parts), mult_adds(network))
        test_eq([part["side"] for part in parts], [32, 32, 16, 8, 1])
        test_eq(sum(part["blocks"] for part in parts) * 2 + 4, depth)


def test_a_wrn_is_readable_at_any_size():
    for depth, width, block in ((40, 2, "S"), (16, 1, "S"), (10, 4, "G(N)"), (100, 2, "B(2)")):
        figure = wrn_diagram(depth, width, block)
        check_readable(figure)
        squares = [part for part in figure.axes[0].patches if type(part).__name__ == "Rectangle"]
        test_eq(len(squares), 3 * (depth - 4) // 6 + 2 * 5)  # blocks, and two bars for each of five parts


def test_teacher_and_student_have_the_sizes_of_real_networks():
    for student, depth, width in (("G(N)", 40, 2), ("BG(2,M/8)", 40, 2), ("G(N/8)", 16, 2)):
        figure = teacher_student_diagram(student, depth, width)
        check_readable(figure)
        said = [text.get_text() for text in figure.axes[0].texts]
        for block in ("S", student):
            assert f"{4 * paper_parameters(wrn(depth, width, block)) / 1e6:.1f} MB" in said
        test_eq((said.count("AT"), said.count("KD")), (3, 1))
    test_eq(f"{megabytes(wrn(40, 2)):.1f}", "9.0")


def test_gradients_flow_as_drawn():
    import torch

    from moonshine.losses.attention import Taps
    from moonshine.training.loop import train_step

    check_readable(loss_flow_diagram())
    torch.manual_seed(0)
    teacher, student = wrn(10, 1), wrn(10, 1, "G(N)")
    images, labels = torch.randn(4, 3, 32, 32), torch.arange(4)
    loss = METHODS["kd-standard+at"].loss(10, 3)
    stay = torch.optim.SGD(student.parameters(), lr=0.0)
    train_step(Taps(student), Taps(teacher), images, labels, loss, stay)
    assert all(weights.grad is None for weights in teacher.parameters())
    assert all(weights.grad is not None for weights in student.parameters())
    with torch.no_grad():
        target = Taps(teacher)(images)
    values = loss(Taps(student)(images), target, labels)[1]
    test_eq(set(values), {"ce", "kd", "at"})  # the hard, the soft and the attention loss
    for value in values.values():
        (grad,) = torch.autograd.grad(value, student.conv1.weight, retain_graph=True)
        assert grad.abs().max() > 0


def test_a_gradient_arrow_runs_back_beside_each_forward_one():
    arrows = [part for part in loss_flow_diagram().axes[0].patches if isinstance(part, FancyArrowPatch)]
    heads = [part for part in arrows if type(part.get_arrowstyle()).__name__ == "CurveFilledB"]
    solid_back = [part for part in heads if part.get_linewidth() == 2.2]
    dashed = [part for part in heads if part.get_linestyle() not in ("-", "solid")]
    test_eq(len(solid_back), 8 + 1)  # 2 to each of three losses and to the student, and the legend's
    test_eq(len(dashed), 4 + 1)  # to the teacher's boxes and the teacher


def test_every_diagram_has_a_description():
    from moonshine.plots import diagrams

    for name in (
        "CONVOLUTION",
        "GROUPS",
        "BOTTLENECK",
        "FAMILIES",
        "G8B2",
        "WRN",
        "TEACHER_STUDENT",
        "LOSS_FLOW",
    ):
        figure = getattr(diagrams, f"{name.lower()}_diagram")()
        check_readable(figure)
        test_eq(getattr(diagrams, f"{name}_ALT"), figure.alt)
    assert not hasattr(diagrams, "OTHER_ALT")
