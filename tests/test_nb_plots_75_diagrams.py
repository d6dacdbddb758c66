"""Generated from nbs/plots/75_diagrams.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.plots.diagrams import *


from fastcore.test import test_eq
from matplotlib.backends.backend_agg import FigureCanvasAgg

from moonshine.costs.counting import parameters
from moonshine.models.wide_resnet import wrn


def texts_of(figure):
    "The texts of a figure with their boxes in pixels."
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = [text for axes in figure.axes for text in axes.texts] + figure.texts
    return [
        (text, text.get_window_extent(canvas.get_renderer())) for text in found if text.get_text().strip()
    ]


def check_readable(figure):
    "Text of at least 11 pixels at a width of 700, inside the figure, that overlaps no other text."
    boxes = texts_of(figure)
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in boxes:
        assert text.get_fontsize() * 100 / 72 * 700 / width >= 11, text.get_text()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text.get_text()
    for i, (one, a) in enumerate(boxes):
        for other, b in boxes[i + 1 :]:
            assert not a.overlaps(b), (one.get_text(), other.get_text())


def test_the_convolution_is_readable():
    figure = convolution_diagram()
    check_readable(figure)


def test_the_groups_are_readable():
    check_readable(groups_diagram())


def test_the_families_are_readable():
    check_readable(families_diagram())
    words = [text.get_text() for text, _ in texts_of(families_diagram())]
    assert f"{2 * 9 * 64 * 64:,} weights" in words  # S
    assert f"{2 * 64 * 32 + 9 * 32 * 32 // 8:,} weights" in words  # BG(2,8)


def test_the_wide_resnet_is_readable():
    check_readable(wrn_diagram())
    last = 2 * 128 + 128 * 10 + 10  # batch norm and linear layer
    test_eq(sum(part["parameters"] for part in wrn_parts(40, 2)) + last, parameters(wrn(40, 2, "S")))


def test_teacher_and_student_are_readable():
    check_readable(teacher_student_diagram())


def test_the_losses_are_readable():
    check_readable(loss_flow_diagram())
