"""Generated from nbs/paper/46_tables.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.paper.tables import *


from itertools import product

from fastcore.test import test_eq, test_fail
from torch import nn

from moonshine.costs.counting import text_table
from moonshine.paper.cost_tables import misprints, paper_table


def test_formulas_are_evaluated_exactly_and_nothing_else_is():
    test_eq(evaluate("N**2*(k**2/b**2 + 2/b)", N=10, k=3, b=2), 325)
    test_eq(evaluate("1/3 + 1/3 + 1/3"), 1)
    for wrong in ("__import__('os')", "N.real", "x + 1", "0.5*N", "-N", "N if N else N", "[N]"):
        test_fail(lambda: evaluate(wrong, N=2), contains="in the formula")
    test_fail(lambda: evaluate("2N"), contains="is not a formula")


def test_table_1_holds_on_a_grid():
    checked = 0
    for N, k, g, b in product((16, 48, 64, 96), (2, 3), (1, 2, 4, 8), (2, 4)):
        if N // b % g:
            continue  # BG(b,g) can't be built
        for row in table1(N, k, g, b):
            test_eq((row["counted"], row["BN counted"], row["note"]), (row["formula"], row["BN formula"], ""))
            checked += 1
    print(f"{checked} residual blocks cost what Table 1 says")
    assert checked > 250


def test_a_wrong_formula_is_seen():
    rows = {row["block"]: row for row in table1(64, 3, 8, 2)}
    assert evaluate("2*N**2*(k**2/g + 2)", N=64, k=3, g=8) != rows["G(g)"]["counted"]
    test_eq(rows["S"]["counted"], 2 * 64 * 64 * 9)  # by hand: two full 3×3 convolutions
    test_eq(rows["BG(b,g)"]["counted"], 64 * 32 + 32 * 4 * 9 + 32 * 64)  # 1×1, 8 groups of 4 channels, 1×1
    test_fail(lambda: table1(groups=5), contains="can't split into groups")


def test_totals_of_tables_3_and_4():
    test_eq({row["model"]: row["parameters"] for row in table3()}, our_counts(3))
    test_eq([row["parameters"] for row in table3()], [21_814_696, 11_699_112, 8_177_832, 3_197_096, 3_163_752])
    test_eq([row["parameters"] for row in table4()], [2_073_428, 503_956])
    test_eq([row["note"] for row in table3() + table4()], [""] * 7)
    print(text_table(table3()), text_table(table4()), sep="\n\n")


def test_one_figure_of_the_four_tables_differs():
    rows = [row for number in TABLES for row in table(number)]
    differ = [row for row in rows if row["note"]]
    print(
        f"{len(rows) - len(differ)} of {len(rows)} rows agree; not {differ[0]['block']} on {differ[0]['dataset']}"
    )
    print(differ[0]["note"])
    test_eq((len(rows), len(differ), differ[0]["block"]), (5 + 52 + 5 + 2, 1, "BG(2,M/16)"))
    test_eq(differ[0]["note"], misprints()[0]["why"])
    test_fail(lambda: table(7), contains="unknown table of the paper 7; known: 1, 2, 3, 4")


def test_the_papers_claims_hold_in_its_own_table():
    for dataset in ("cifar10", "cifar100"):
        test_eq(len(beats("at", "scratch", dataset)), 25)
        test_eq(len(beats("scratch", "kd", dataset)), 10)
    test_eq(beats("kd", "at", "cifar100"), [("WRN-40-2", "G(N)"), ("WRN-40-2", "BG(2,M/16)")])
    test_eq(beats("kd", "at", "cifar10"), [])
    quarter, bottleneck, two = [versus(*pair) for pair in PAIRS]
    test_eq(str(quarter["points"]), "1.26")
    test_eq(round(quarter["parameters"][0] - quarter["parameters"][1], -4), 70_000)
    assert bottleneck["points"] > 0
    test_eq([n // 1000 for n in bottleneck["parameters"]], [292, 693])
    assert abs(two["points"]) <= 0.08 and two["parameters"][0] < 0.61 * two["parameters"][1]


def test_results_beside_the_papers():
    made_up = [
        dict(network="WRN-40-2", block=block, dataset=dataset, method=method, error=error)
        for block, dataset, method, error in (
            ("G(N/8)", "cifar10", "at", 5.0),
            ("DConvG8", "cifar10", "at", 5.1),
            ("G(N/8)", "cifar10", "at", 5.5),
            ("S", "cifar10", "teacher", 4.99),
            ("G8B2", "cifar10", "at", 6.0),
            ("G(N)", "shapes", "at", 30.0),
            ("G(N)", "cifar100", "kd", 30.5),
            ("G(N)", "cifar100", "kd", 31.5),
        )
    ]
    made_up.append(dict(network="MobileNet", block="its own", dataset="cifar10", method="at", error=7))
    made_up.append(dict(network="ResNet-34", block="G(4)", dataset="imagenet", method="at", error=27.08))
    rows = compare(made_up)


    def show(value):
        return "" if value is None else f"{value:g}" if isinstance(value, float) else value


    print(text_table([{name: show(value) for name, value in row.items()} for row in rows]))

    first, teacher, trap, shapes, pair, mobile, imagenet = rows
    test_eq(
        (first["paper"], first["ours"], first["sd"], first["runs"], first["difference"]),
        (5.06, 5.2, 0.26, 3, 0.14),
    )
    test_eq(first["word"], "the paper's is inside the range of the runs")
    test_eq(pair["word"], "the paper's is outside the range of the runs")
    test_eq(
        (teacher["method"], teacher["difference"], teacher["word"], teacher["sd"]),
        ("scratch", 0.2, "one run", None),
    )
    test_eq((trap["block"], trap["word"]), ("G8B2/Basic", "not in the paper"))  # the paper's is G8B2/Bottle
    test_eq([row["word"] for row in (shapes, mobile)], ["not in the paper"] * 2)
    test_eq((imagenet["paper"], imagenet["difference"]), (26.58, 0.5))


def test_results_that_can_not_be_compared():
    good = dict(network="WRN-40-2", block="S", dataset="cifar10", method="at", error=5.0)
    test_eq(compare([]), [])
    test_fail(lambda: compare([{k: v for k, v in good.items() if k != "dataset"}]), contains="lacks dataset")
    test_fail(lambda: compare([good | dict(error=float("nan"))]), contains="must be a number")
    test_fail(lambda: compare([good | dict(error="5 %")]), contains="must be a number")


def test_all_errors_of_tables_2_and_3():
    errors = paper_errors()
    test_eq(len(errors), 2 * (1 + 25 * 3) + 5 + 4)  # the teachers have no kd or at
    test_eq(errors["WRN-40-2", "BG(2,M/8)", "cifar10", "at"], 5.94)
    test_eq(errors["ResNet-18-0.5", "S", "imagenet", "scratch"], 36.96)
    test_eq(len({key for key in errors if key[2] == "imagenet"}), 9)
