"""Generated from nbs/plots/76_story.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.plots.story import *


from fastcore.test import test_close, test_eq, test_fail
from matplotlib.colors import to_rgb

from moonshine.methods import METHODS
from moonshine.models.wide_resnet import wrn
from moonshine.paper.tables import students
from moonshine.plots.diagrams import luminance, megabytes, reading_problems
from moonshine.pretrained import trained_facts


def test_points_are_recorded_data():
    row = students()["WRN-40-2", "BG(2,M/8)"]
    point = paper_point("40-2", "BG(2,M/8)", "at")
    test_eq((point.error, point.megabytes), (float(row["cifar10_at"]), int(row["cifar10_params"]) * 4 / 1e6))
    test_close(point.megabytes, megabytes(wrn(40, 2, "BG(2,M/8)")), eps=1e-9)
    test_close(paper_point("40-2", "BG(2,M/16)", "at").megabytes, megabytes(wrn(40, 2, "BG(2,M/16)")), eps=1e-9)
    test_eq(paper_point("40-2", "S", "scratch").name, "teacher WRN-40-2")
    facts = {row["name"]: row for row in trained_facts("cifar10")["runs"]}
    for name, row in facts.items():
        errors, point = list(row["recorded_by_seed"].values()), our_point(name)
        assert min(errors) <= point.error <= max(errors) and (point.sd is None) == (len(errors) == 1)
        if "kd" in name:
            test_eq(METHODS[point.method].convention, row["method"]["kd"])
        test_eq(METHODS[point.method].alpha, row["method"].get("alpha", 0.0))
        test_eq(METHODS[point.method].beta, row["method"].get("beta", 0.0))
    test_fail(lambda: paper_point("28-10", "S", "at"), contains="Table 2 has no")
    test_fail(lambda: our_point("kt"), contains="known: teacher, scratch")


def test_the_story_grows_and_answers_its_questions():
    counts = {lesson: len(story_points(lesson)) for lesson in range(1, 10)}
    test_eq(counts, {1: 1, 2: 3, 3: 4, 4: 7, 5: 7, 6: 15, 7: 37, 8: 37, 9: 37})
    (teacher,) = story_points(1)
    test_eq((round(teacher.megabytes, 1), teacher.error), (9.0, 4.79))
    test_eq([point.name for point in story_points(2) if point.error is None], ["BG(2,4)", "G(N)"])
    assert all(point.error is not None for point in story_points(3))
    by_at = {point.name for point in story_points(7) if (point.method, point.source) == ("at", "paper")}
    test_eq(len(by_at), 25)  # all students of the table
    small = [p for p in story_points(9) if p.source == "paper" and p.megabytes <= BUDGET]
    test_eq(max(small, key=lambda point: point.megabytes).name, "BG(2,4)")  # the largest one that fits
    test_eq(min(small, key=lambda point: point.error).name, "BG(2,M/8)")  # the best one that fits
    test_fail(lambda: story_points(10), contains="lessons 1 to 9")


def test_the_plot_is_readable_and_comparable_in_every_lesson():
    for lesson in range(1, 10):
        points = story_points(lesson)
        figure = size_error_plot(points, front=lesson > 6)
        test_eq(reading_problems(figure), [])
        assert figure.bbox.width == 700 and 40 < len(figure.alt) < 500
        paper = figure.axes[1]
        test_eq((paper.get_xlim(), paper.get_ylim(), paper.get_xscale()), (SIZES, LIMITS["paper"], "log"))
        inches = paper.get_position().transformed(figure.transFigure).bounds[2:]
        test_close(inches, (620, 310), eps=1e-6)
        marks = [
            (line.get_xdata()[0], line.get_ydata()[0], line)
            for axis in figure.axes[1:]
            for line in axis.lines
            if line.get_marker() in [method.marker for method in METHODS.values()]
        ]
        test_eq(len(marks), sum(point.error is not None for point in points))
        for size, error, line in marks:
            found = [point for point in points if (point.megabytes, point.error) == (size, error)]
            assert any(METHODS[point.method].marker == line.get_marker() for point in found)
            open_marker = line.get_markerfacecolor() == "white"
            assert all(open_marker == (point.source == "ours") for point in found)


def test_the_newest_points_are_in_full_color_and_named():
    points = [
        Point("old", 2.0, 6.0, "kd", lesson=1),
        Point("new", 1.0, 5.0, "at", lesson=2),
        Point("guess", 3.0, None, lesson=2),
    ]
    figure = size_error_plot(points)
    drawn = {line.get_ydata()[0]: line for line in figure.axes[1].lines if line.get_marker() in ("s", "^")}
    test_eq(to_rgb(drawn[5.0].get_color()), to_rgb(METHODS["at"].color))
    assert luminance(to_rgb(drawn[6.0].get_color())) > luminance(to_rgb(METHODS["kd"].color)) + 0.2
    said = [text.get_text() for text in figure.axes[1].texts]
    assert {"new 5.00 %", "old", "?", "guess\n3.00 MB"} <= set(said)
    test_eq(
        figure.alt,
        "Test error against size on CIFAR-10. New: new trained by attention transfer, 1.00 MB, "
        "test error 5.00 %; guess, 3.00 MB, test error not known yet. 1 earlier point is shown paler.",
    )
    test_fail(lambda: size_error_plot([Point("huge", 50.0, 5.0)]), contains="outside the plot")
    test_fail(lambda: size_error_plot([Point("x", 1.0, 5.0, "ad")]), contains="method")
    test_fail(lambda: size_error_plot([]), contains="no points")
