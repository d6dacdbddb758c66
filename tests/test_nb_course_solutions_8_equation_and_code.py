"""Generated from nbs/course/solutions/8_equation_and_code.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.lesson_8 import *


import torch
from fastcore.test import test_close, test_eq
from torch.nn import functional as F

from moonshine.lessons.checks import verdict
from moonshine.losses.attention import at_loss, at_weight, attention_map, student_loss
from moonshine.losses.kd import kd_loss, soft_weight


def test_the_program_divides_by_the_classes():
    test_close(soft_weight_on_cifar100(), 0.288)


def test_a_constant_has_no_gradient():
    test_close(ratio_of_soft_gradients(), 1, eps=1e-9)


def test_the_slope_of_a_distance_is_constant():
    test_close(gradient_that_remains(), 1, eps=1e-6)
    test_close(map_gradient("code", 0.01) / map_gradient("code", 0.1), 0.1, eps=1e-6)
    test_close(map_gradient("code", 0.5), 2 * 0.5 / 64, eps=1e-9)


def test_four_layers_get_three_quarters():
    test_eq(beta_with_four_layers(), 750)
    test_eq(at_weight(1000.0, 3), 1000)


def test_small_maps_weigh_more():
    test_close(weight_of_the_largest_map(), 0.977, eps=1e-3)


def test_all_nine_students_are_better():
    test_eq(students_better_by_the_equation(), 9)
    longer = GAINS[LONG]
    test_eq(sum(a < b for a, b in zip(longer["kd-paper"], longer["kd"])), 3)


def test_ninety_classes():
    test_eq(parameters_of_ninety_classes(), 90 * 129)


def test_the_program_kd():
    test_eq(verdict("8.e1", program_kd)[0], True)
    assert "divides by the classes too" in verdict("8.e1", batchmean_kd)[1]
    assert "the 2 is missing" in verdict("8.e1", without_two)[1]
    assert "dimension 1" in verdict("8.e1", over_the_batch)[1]
    student, teacher = example_logits()
    labels = teacher.argmax(1)
    test_close(program_kd(student, teacher, labels), kd_loss(student, teacher, labels).item(), eps=1e-6)


def test_the_matching_alpha():
    test_eq(verdict("8.e2", 28.8 / 60.8)[0], True)
    test_eq(verdict("8.e2", 0.47)[0], True)
    assert "ratio of the two" in verdict("8.e2", 0.09)[1]
    for classes in (10, 100):
        alpha = matching_alpha(0.9, classes)
        test_close(
            soft_weight(4, alpha, classes, "paper") / (1 - alpha), soft_weight(4, 0.9, classes, "code") / 0.1
        )
    test_close(matching_alpha(0.9, 10), 0.4737, eps=1e-4)


def test_the_at_losses():
    test_eq(verdict("8.e3", both_at)[0], True)
    assert "norm for each image" in verdict("8.e3", norm_of_the_batch)[1]
    assert "mean over the positions too" in verdict("8.e3", summed_squares)[1]
    a, b = example_activations()
    for value, convention in zip(both_at(a, b), ("paper", "code")):
        test_close(value.item(), at_loss(a, b, convention).item(), eps=1e-9)


def test_the_swapped_divergence():
    test_eq(verdict("8.e4", ([0.0, 0.0], [5.0, 0.0]))[0], True)
    assert "less than twice" in verdict("8.e4", ([5.0, 0.0], [0.0, 0.0]))[1]
    assert "both divergences are 0" in verdict("8.e4", ([1.0, 0.0], [1.0, 0.0]))[1]
    print(divergences([0.0, 0.0], [5.0, 0.0]))


def test_weight_with_larger_images():
    test_eq(verdict("8.e5", 1 / 4)[0], True)
    assert "both double" in verdict("8.e5", 0.5)[1]


def test_departures_that_matter():
    test_eq(verdict("8.e6", ["a", "c"])[0], True)
    assert "has no gradient" in verdict("8.e6", ["a", "b", "c"])[1]
    assert "3/3" in verdict("8.e6", "acd")[1]


def test_the_audit():
    test_eq(verdict("8.e7", audit)[0], True)
    assert "3 / number of layers" in verdict("8.e7", audit_without_layers)[1]
    assert "number of classes" in verdict("8.e7", audit_without_classes)[1]
    terms = student_loss(10, 2, alpha=0.9, beta=1000.0).terms
    ours = audit(0.9, 1000.0, 4.0, 10, [(1, 1), (1, 1)], "code")
    test_close([term.weight for term in terms], ours[:3], eps=1e-9)
