"""Generated from nbs/plots/76_story.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.plots.story import *


from fastcore.test import test_close, test_eq

from moonshine.costs.counting import paper_parameters
from moonshine.models.wide_resnet import wrn


def test_the_points_are_those_of_table_2():
    test_close([size_and_error(point)[0] for point in POINTS[:2]], [8.996, 0.878], eps=1e-3)
    test_eq(size_and_error(POINTS[0])[1], 4.79)
    test_eq(size_and_error(POINTS[1])[1], None)
    for point in POINTS:  # the package builds the networks that the table counts
        depth, width, block = point.network
        counted = paper_parameters(wrn(int(depth), int(width), block))
        assert abs(counted / MEGABYTE - size_and_error(point)[0]) < 0.01, point
    test_eq([len(story_points(lesson)) for lesson in range(1, 10)], [1, 2, 3, 4, 4, 6, 6, 6, 6])


def test_every_lesson_has_its_plot():
    for lesson in range(1, 10):
        figure = size_error_plot(lesson)
        assert len(describe_story(lesson)) > 80
        texts = [text for text in figure.axes[0].texts]
        test_eq(len(texts), len(story_points(lesson)))
