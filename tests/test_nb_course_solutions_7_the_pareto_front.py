"""Generated from nbs/course/solutions/7_the_pareto_front.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.lesson_7 import *


import math

from fastcore.test import test_close, test_eq

from moonshine.lessons.checks import verdict
from moonshine.paper.tables import beats
from moonshine.plots.figures import entries, pareto_front


def test_ten_students_fit():
    test_eq(students_that_fit(), 10)
    test_eq({point["family"] for point in fitting()}, {"B", "BG", "S"})


def test_half_of_the_networks_are_on_the_front():
    test_eq(networks_on_the_front(), 13)
    front = front_of(entries(dataset="cifar10", method="at"))
    test_eq({point["family"] for point in front}, {"teacher", "G", "BG"})


def test_depthwise_costs_more_than_a_point():
    test_close(price_of_depthwise(), 1.26)
    for dataset in ("cifar10", "cifar100"):
        for method in ("scratch", "kd", "at"):
            grouped = [point for point in entries(dataset=dataset, method=method) if point["family"] == "G"]
            worst = max(grouped, key=lambda point: point["error"])
            test_eq(worst["label"], "G(N)")  # in all six columns


def test_eight_bottlenecks_dominate_depthwise():
    test_eq(students_that_dominate_depthwise(), 8)
    assert all(label.startswith("BG(2,") for label in dominators("G(N)"))


def test_all_three_smaller_networks_are_dominated():
    test_eq(smaller_networks_dominated(), 3)


def test_the_best_that_fits_is_not_the_largest():
    test_eq(best_that_fits(), "BG(2,M/8)")
    test_eq(max(fitting(), key=lambda point: point["parameters"])["label"], "BG(2,4)")


def test_kd_helps_about_half():
    test_eq((students_that_kd_helps(), len(beats("scratch", "kd", "cifar10"))), (13, 10))
    test_eq(len(beats("at", "scratch", "cifar10")), 25)


def test_the_p_value_is_that_of_scipy():
    from scipy.stats import binomtest

    for won, lost in ((13, 10), (25, 0), (23, 2), (1, 1), (2, 0)):
        test_close(sign_test(won, lost), binomtest(won, won + lost).pvalue, eps=1e-12)
    test_close(p_value_of_kd(), 0.678, eps=1e-3)


def test_the_lowest_of_ten_is_lucky():
    import torch

    draws = torch.randn(200_000, 10, generator=torch.Generator().manual_seed(0))
    test_close(expected_lowest(10), -draws.amin(1).mean().item(), eps=0.01)
    test_close(expected_lowest(1), 0, eps=1e-6)
    test_close(expected_lowest(2), 1 / math.sqrt(math.pi), eps=1e-4)
    test_close(luck_of_the_lowest_of_ten(), 0.308, eps=1e-3)


def test_dominated_of_five():
    test_eq(verdict("7.e1", ["A", "C"])[0], True)
    test_eq(verdict("7.e1", {"C", "A"})[0], True)
    assert "more parameters" in verdict("7.e1", ["A"])[1]
    assert "on the front" in verdict("7.e1", ["B", "D", "E"])[1]


def test_the_front():
    test_eq(verdict("7.e2", naive_front)[0], True)
    assert "ties in one respect" in verdict("7.e2", strict_front)[1]
    assert "no point dominates itself" in verdict("7.e2", self_beaten_front)[1]
    table = [(point["parameters"], point["error"]) for point in entries(dataset="cifar100", method="kd")]
    test_eq(sorted(pareto_front(table)), naive_front(table))


def test_wins_needed():
    test_eq(verdict("7.e3", 6)[0], True)
    assert "two sides" in verdict("7.e3", 5)[1]


def test_the_sign_test():
    test_eq(verdict("7.e4", sign_test)[0], True)
    assert "both directions" in verdict("7.e4", one_sided)[1]
    assert "exactly this result" in verdict("7.e4", exactly_this)[1]
    assert "at most 1" in verdict("7.e4", not_capped)[1]


def test_exposing_points():
    test_eq(verdict("7.e5", [(200, 5.9), (200, 6.1)])[0], True)
    test_eq(verdict("7.e5", [(200, 5.9), (300, 5.9)])[0], True)
    assert "discards one of these too" in verdict("7.e5", [(200, 5.9), (300, 6.1)])[1]
    assert "neither of these" in verdict("7.e5", [(200, 6.1), (300, 5.9)])[1]
    assert "equal points" in verdict("7.e5", [(1, 1), (1, 1)])[1]


def test_depthwise_on_the_rest():
    test_eq(verdict("7.e6", True)[0], True)
    assert "is a BG block" in verdict("7.e6", False)[1]


def test_the_recommendation():
    test_eq(verdict("7.e7", recommendation)[0], True)
    assert "not always the one" in verdict("7.e7", largest_only)[1]


    def careless(megabytes, dataset):
        return recommendation(max(megabytes, 0.4), dataset)


    assert "nothing fits into 0.1 MB" in verdict("7.e7", careless)[1]
    print(recommendation(0.9, "cifar10"), recommendation(0.9, "cifar100"))


def test_the_best_epoch_is_optimistic():
    test_eq(len(optimism()), 12)
    assert min(optimism()) >= 0 and 0.05 < sum(optimism()) / 12 < 0.12
    print(optimism())
