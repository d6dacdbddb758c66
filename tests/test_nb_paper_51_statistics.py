"""Generated from nbs/paper/51_statistics.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.paper.statistics import *


import json
import math
import random
import tempfile
from itertools import permutations, product
from pathlib import Path

import numpy as np
from fastcore.test import test_close, test_eq, test_fail

from moonshine.paper.results import example_result, put_example
from moonshine.paper.tables import beats, students


run = dict(study="scarce", block="G(N/8)", depth=16, width=2, seed=1, test_error=31.5)
weights = dict(alpha=0.9, temperature=4.0, beta=1000.0)
result = example_result("G(N/8)", "kd-paper+at", 1, 31.5, preset="scarce")


def a_row(machine, student, method, seed, error):
    return dict(machine=machine, student=student, method=method, seed=seed, test_error=error)


compared_rows = [
    a_row("gpu", "S", "at", 0, 30.0),
    a_row("gpu", "S", "kd", 0, 33.0),
    a_row("cpu", "G(4)", "at", 0, 31.0),
    a_row("cpu", "G(4)", "kd", 0, 32.0),
    a_row("cpu", "S", "at", 0, 10.0),  # no partner on this machine
]


def test_an_interval_by_hand():
    low, high = interval([5.0, 5.2, 5.7])
    test_close([spread([5.0, 5.2, 5.7]), low, high], [0.36056, 4.4043, 6.1957], eps=1e-4)
    test_eq(
        [within(figure, (low, high)) for figure in (4.40, 4.41, 5.3, 6.19, 6.20)],
        [False, True, True, True, False],
    )
    test_eq((interval([5.0]), spread([5.0]), within(5.0, None), within(None, (1, 2))), (None,) * 4)
    test_eq(interval([5.0, 5.0]), (5.0, 5.0))


def test_t_quantiles_of_the_printed_tables():
    def quantile(freedom, level=0.95):
        "Recovered from the width of an interval around 0"
        values = [1.0, -1.0] if freedom == 1 else [1.0, -1.0] + [0.0] * (freedom - 1)
        s, n = spread(values), len(values)
        return interval(values, level)[1] * math.sqrt(n) / s


    table = {
        1: 12.706,
        2: 4.303,
        3: 3.182,
        4: 2.776,
        5: 2.571,
        9: 2.262,
        10: 2.228,
        24: 2.064,
        30: 2.042,
        120: 1.980,
    }
    for freedom, t in table.items():
        test_close(quantile(freedom), t, eps=5.1e-4)
    for freedom, t in {1: 63.657, 2: 9.925, 5: 4.032, 10: 3.169, 30: 2.750}.items():
        test_close(quantile(freedom, 0.99), t, eps=5.1e-4)
    test_close(quantile(1), math.tan(0.95 * math.pi / 2), eps=1e-9)
    print(f"three seeds: {quantile(2):.2f} instead of 1.96; ten seeds: {quantile(9):.2f}")


def test_ninety_five_in_a_hundred_intervals_cover_the_mean():
    dice, count = random.Random(0), 4000
    covered = sum(within(7.0, interval([dice.gauss(7, 0.3) for _ in range(3)])) for _ in range(count))
    print(f"{100 * covered / count:.1f}% of {count} intervals cover the true mean")
    assert abs(covered / count - 0.95) < 4 * math.sqrt(0.95 * 0.05 / count)


def test_rank_correlation_by_hand():
    test_eq(ranks([10, 30, 20, 20]).tolist(), [1, 4, 2.5, 2.5])
    test_eq(ranks([7, 7, 7]).tolist(), [2, 2, 2])
    test_eq(ranks([0.1 + 0.2, 0.3]).tolist(), [1.5, 1.5])
    test_close(spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]), 0.8, eps=1e-12)
    test_close(spearman([10, 20, 20, 30], [1, 2, 3, 4]), 4.5 / math.sqrt(22.5), eps=1e-12)
    test_close(spearman([1, 2, 3], [9, 8, 7]), -1, eps=1e-12)
    test_eq([spearman([1, 2], [1, 2]), spearman([1, 1, 1], [1, 2, 3]), spearman_p([1, 2], [2, 1])], [None] * 3)
    test_close(spearman_p([1, 2, 3, 4], [5, 6, 7, 9]), 2 / 24, eps=1e-12)
    test_close(
        spearman_p([1, 2, 3], [1, 3, 2]), 1, eps=1e-12
    )  # r is 0.5: all six orders reach 0.5, of either sign


def test_a_permutation_test_by_hand():
    def share_as_far(a, b):
        far = [abs(spearman(a, order)) for order in permutations(b)]
        return sum(each >= abs(spearman(a, b)) - 1e-9 for each in far) / len(far)


    for order in ([2, 1, 4, 3, 5], [5, 3, 4, 1, 2], [1, 2, 3, 5, 4]):
        test_close(spearman_p(range(5), order), share_as_far(range(5), order), eps=1e-12)

    order, r = [2, 1, 4, 3, 6, 5, 8, 7, 10, 9], 1 - 60 / 990  # n = 10: ten ranks off by 1
    t = r * math.sqrt(8 / (1 - r**2))
    step, scale = 1e-3, math.gamma(4.5) / (math.sqrt(8 * math.pi) * math.gamma(4))
    tails = 2 * sum(scale * (1 + (t + (k + 0.5) * step) ** 2 / 8) ** -4.5 * step for k in range(200_000))
    test_close(spearman_p(range(10), order), tails, eps=1e-8)


def test_the_sign_test_by_hand():
    test_close([sign_test(7, 2), sign_test(2, 7)], [92 / 512] * 2, eps=1e-12)
    test_eq([sign_test(3, 3), sign_test(0, 0), sign_test(1, 0)], [1.0] * 3)
    test_close(sign_test(25, 0) * 2**24, 1, eps=1e-9)  # the paper's AT against scratch
    for wins, losses in ((5, 0), (6, 3), (4, 5), (10, 2)):  # the definition: count all tosses
        tosses = [sum(toss) for toss in product((0, 1), repeat=wins + losses)]
        far = abs(wins - losses)
        test_close(
            sign_test(wins, losses),
            sum(abs(2 * heads - wins - losses) >= far for heads in tosses) / len(tosses),
            eps=1e-12,
        )
    print(next(f"{k} of 9: p = {sign_test(k, 9 - k):.3f}" for k in range(5, 10) if sign_test(k, 9 - k) < 0.05))


def test_the_same_entry_of_the_paper_or_its_nearest():
    test_eq(beside("WRN-40-2", "G(4)", "cifar10", "at", "WRN-40-2"), (5.0, True))
    test_eq(beside("WRN-16-2", "G(4)", "cifar10", "at", "WRN-16-2"), (5.0, False))  # the block, on WRN-40-2
    test_eq(beside("WRN-16-1", "S", "cifar10", "scratch", "WRN-16-2"), (8.81, True))  # nobody taught it
    test_eq(beside("WRN-16-1", "S", "cifar10", "at", "WRN-16-2"), (7.72, False))  # another teacher
    test_eq(beside("WRN-16-2", "S", "cifar100", "scratch", "WRN-16-2"), (27.63, True))
    test_eq(beside("WRN-16-2", "G(4)", "cifar10", "kd-paper", "WRN-16-2"), (None, False))


def test_a_table_by_hand():
    runs = [example_result("S", "scratch", 0, 6.0, "WRN-40-2", "teacher")]
    runs += [
        example_result("G(N)", "at", seed, error, "WRN-40-2", best=error - 0.5)
        for seed, error in enumerate((5.0, 5.2, 5.7))
    ]
    runs += [
        example_result("G(N)", "scratch", 0, 8.0, "WRN-40-2"),
        example_result("B(2)", "at", 0, 7.5, "WRN-40-2"),
    ]
    rows = {(row["block"], row["method"]): row for row in table_rows(runs)}
    test_eq(
        list(rows), [("S", "scratch"), ("G(N)", "scratch"), ("G(N)", "at"), ("B(2)", "scratch"), ("B(2)", "at")]
    )
    at, gap = rows["G(N)", "at"], rows["B(2)", "scratch"]
    test_close(
        [at["last"], at["sd"], *at["interval"], at["best"], at["difference"]],
        [5.3, 0.36056, 4.4043, 6.1957, 4.8, 5.3 - 6.57],
        eps=1e-4,
    )  # the paper's G(N) by AT: 6.57
    test_eq(
        (at["paper"], at["same"], at["inside"], at["seeds"], at["parameters"]), (6.57, True, False, 3, 304_074)
    )
    test_eq(
        (gap["seeds"], gap["last"], gap["interval"], gap["paper"], gap["difference"]), (0, None, None, 6.36, None)
    )
    test_eq(
        (rows["B(2)", "at"]["sd"], rows["B(2)", "at"]["interval"], rows["B(2)", "at"]["inside"]),
        (None, None, None),
    )


def test_tables_with_drawn_images_and_with_gaps():
    drawn = [example_result("S", "scratch", 0, 6.0, "WRN-40-2", "teacher", real=False, data="drawn shapes")]
    test_eq(
        [(row["paper"], row["difference"]) for row in table_rows(drawn)], [(None, None)]
    )  # never next to the paper's
    whole = table_rows([example_result("G(4)", network="WRN-40-2", preset="paper")])
    test_eq((len(whole), sum(row["seeds"] for row in whole)), (1 + 25 * 3, 1))


def test_comparisons_by_hand():
    blocks = ("G(4)", "G(N)", "B(2)", "S-2x2")
    errors = dict(zip(("kd", "at", "kd-paper"), ((10, 11, 12, 13), (9, 10.6, 12.2, 13), (9.4, 10.4, 11.4, 12.4))))
    runs = [
        example_result(block, method, 0, float(error))
        for method in errors
        for block, error in zip(blocks, errors[method])
    ]
    runs += [example_result("G(4)", "at", 1, 9.1), example_result("G(4)", "at", 2, 8.9)]  # the mean stays 9
    rows = table_rows(runs)
    pair = paired(rows, "at", "kd")
    test_eq(
        [pair[key] for key in ("students", "wins", "losses", "ties", "p", "seeds")], [4, 2, 1, 1, 1.0, (1, 3)]
    )
    test_close([pair["difference"], pair["sd"], *pair["interval"]], [-0.3, 0.52915, -1.1420, 0.5420], eps=1e-4)
    test_eq((pair["paper_wins"], pair["paper_students"]), (4, 4))
    question = open_question(rows)
    test_close(
        [question[key]["difference"] for key in ("code", "equation", "weight")], [-0.3, 0.3, -0.6], eps=1e-9
    )
    test_eq([question[key]["wins"] for key in ("code", "equation", "weight")], [2, 1, 4])  # −0.4, 0.2, 0.8, 0.6
    test_eq((paired(rows, "kd+at", "at"), open_question(table_rows(runs[:8]))), (None, None))
    fewer = paired(table_rows(runs + [example_result("G(8)", "at", 0, 1.0)]), "at", "kd")
    test_eq(
        (fewer["students"], fewer["difference"]), (4, pair["difference"])
    )  # a student without a partner is left out


def test_the_papers_table_through_the_same_arithmetic():
    for dataset in ("cifar10", "cifar100"):
        rows = [
            dict(
                network=network,
                block=block,
                role="student",
                method=method,
                seeds=1,
                last=float(row[f"{dataset}_{method}"]),
                paper=None,
            )
            for (network, block), row in students().items()
            if row["role"] == "student"
            for method in ("scratch", "kd", "at")
        ]
        for first, second in (("at", "scratch"), ("kd", "scratch"), ("at", "kd")):
            pair = paired(rows, first, second)
            test_eq(
                (pair["wins"], pair["losses"]),
                (len(beats(first, second, dataset)), len(beats(second, first, dataset))),
            )
            print(
                f"{dataset}: {first} has lower test error than {second} for {pair['wins']} of 25 students, "
                f"p = {pair['p']:.2g}; mean difference {pair['difference']:+.2f} points"
            )


def test_rank_agreement_by_hand():
    runs = [
        example_result(*row)
        for row in (
            ("S-2x2", "at", 0, 12.0),
            ("G(4)", "at", 0, 10.0),
            ("G(N)", "at", 0, 20.0),
            ("B(2)", "at", 0, 11.0),
            ("S", "at", 0, 1.0, "WRN-16-1"),
            ("G(4)", "kd", 0, 9.0),
        )
    ]
    found = rank_agreement(table_rows(runs), "WRN-16-2")
    test_eq([(row["method"], row["blocks"]) for row in found], [("at", 4)])
    test_close(found[0]["rho"], 0.8, eps=1e-12)


def test_a_row_of_either_source():
    row = row_of_run(run | weights | dict(kd="paper"), "a GPU")
    same = dict(student="WRN-16-2 G(N/8)", method="kd-paper+at", seed=1, test_error=31.5, regime="scarce")
    test_eq(row, same | weights | dict(machine="a GPU"))
    test_eq(row_of_run(run | dict(alpha=0.0, temperature=4.0, beta=0.0, kd=""), "")["method"], "scratch")
    test_eq(row_of_run(run | weights | dict(kd="", alpha=0.0), "")["method"], "at")
    test_eq(row_of_result(result), row | dict(machine="a processor"))


def test_two_sources_are_pooled():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "about.json").write_text('{"device": "a GPU"}')
        lines = [run | weights | dict(kd="paper", beta=beta) for beta in (1000.0, 300.0)]
        Path(folder, "runs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        put_example(Path(folder, "cpu"), result, "a")
        rows, refused = pooled(folder, Path(folder, "cpu"))
        test_eq(([row["machine"] for row in rows], refused), (["a GPU", "a GPU", "a processor"], []))
        test_eq([row["beta"] for row in as_written(rows)], [1000.0, 1000.0])
        test_eq(pooled(folder, Path(folder, "none"))[0], rows[:2])


def test_pairs_and_a_nested_bootstrap_by_hand():
    test_eq(differences(compared_rows, "at", "kd"), {"S": [-3.0], "G(4)": [-1.0]})
    test_fail(
        lambda: differences(compared_rows + compared_rows[:1], "at", "kd"),
        contains="two runs of gpu / S / 0 / at",
    )
    test_eq(nested_bootstrap({"S": [-3.0], "G(4)": [-1.0]}), (-3.0, -1.0))
    test_eq(nested_bootstrap({"S": [-3.0, -1.0]}), None)
    test_close(interval([-3.0, -1.0])[1], -2 + 12.7062, eps=1e-3)
    wide = nested_bootstrap({"a": [0.0, 4.0], "b": [1.0, 3.0]})  # equal means: the seeds alone
    assert wide[0] < 1.1 and wide[1] > 2.9


def test_few_students_make_a_bootstrap_too_narrow():
    dice, covered, count = np.random.default_rng(0), dict(t=0, bootstrap=0), 400
    for trial in range(count):
        students_of = dice.normal(-2, 1.5, 5)  # the true difference is −2 points
        groups = {at: list(dice.normal(center, 1, 2)) for at, center in enumerate(students_of)}
        t = interval([np.mean(group) for group in groups.values()])
        covered["t"] += within(-2.0, t)
        covered["bootstrap"] += within(-2.0, nested_bootstrap(groups, draws=400, seed=trial))
    share_of = {name: n / count for name, n in covered.items()}
    print("five students, two seeds:", {name: f"{100 * share:.0f}%" for name, share in share_of.items()})
    assert 0.92 < share_of["t"] < 0.98 and share_of["bootstrap"] < 0.93


def test_a_comparison_by_hand():
    found = compared(compared_rows, "at", "kd")
    test_eq([found[key] for key in ("students", "pairs", "wins", "losses", "p")], [2, 2, 2, 0, 0.5])
    test_eq((found["difference"], compared(compared_rows, "at", "scratch")), (-2.0, None))
    one = compared([row for row in compared_rows if row["student"] == "S"], "at", "kd")
    test_eq((one["students"], one["interval"], one["bootstrap"]), (1, None, None))
