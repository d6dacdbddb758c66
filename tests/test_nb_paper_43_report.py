"""Generated from nbs/paper/43_report.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.paper.report import *


import base64
import json
import math
import random
import re
import tempfile
from dataclasses import asdict
from io import BytesIO
from itertools import product
from pathlib import Path
from unittest.mock import patch

from fastcore.test import test_close, test_eq, test_fail
from PIL import Image

from moonshine.errors import InputError
from moonshine.paper.tables import beats, paper_errors, students
from moonshine.training.recipe import Recipe


WEIGHTS = {
    "scratch": (0.0, 0.0, "code"),
    "kd": (0.9, 0.0, "code"),
    "at": (0.0, 1000.0, "code"),
    "kd-paper": (0.9, 0.0, "paper"),
    "kd+at": (0.9, 1000.0, "code"),
}

GIVEN = dict(file="t.pt", sha256="ab" * 32, network="WRN-16-2 S", parameters=693498, test_error=9.5)


def made_up(
    block, method="at", seed=0, error=10.0, network="WRN-16-2", role="student", epochs=3, best=None, **changes
):
    "A result as a run would leave it: the error falls from 80 % to `best` and ends at `error`"
    alpha, beta, convention = WEIGHTS[method]
    errors = [80.0] * (epochs - 2) + [error if best is None else best, error]
    history = [
        dict(epoch=i + 1, test_error=e, test_top5_error=e / 10, test_loss=e / 20 + seed / 1000)
        for i, e in enumerate(errors)
    ]
    parts = [{k: row[k] for k in ("test_error", "test_top5_error", "test_loss")} for row in history]
    lowest = min(range(epochs), key=lambda i: errors[i])
    return (
        dict(
            format=1,
            table="table2",
            preset="cpu",
            dataset="cifar10",
            real=True,
            data="CIFAR-10 (JPEG), 50,000 training and 10,000 test images",
            network=network,
            block=block,
            role=role,
            method=method,
            convention=convention,
            alpha=alpha,
            beta=beta,
            temperature=4.0,
            seed=seed,
            epochs=epochs,
            recipe=asdict(Recipe(epochs=epochs, seed=seed)),
            fingerprint=checksum(dict(of=[network, block, role, method, seed])),
            teacher=None if method == "scratch" else "T",
            **costs_of(network, block, 10),
            latency_ms=2.0,
            last=parts[-1],
            best=parts[lowest] | dict(epoch=lowest + 1),
            history=history,
            versions=dict(moonshine="0.1.0", torch="2.6", torchvision="0.21", python="3.10"),
            machine=dict(processor="a processor", cores=2, threads=1),
            commit=None,
            command="moonshine reproduce table2",
            seconds=1.0,
        )
        | changes
    )


def put(folder, result, name=None):
    "Seal a result and write it into a folder of its own; returns its path"
    words = [result[key] for key in ("preset", "dataset", "network", "block", "role", "method")]
    name = name or re.sub(r"[^\w.+-]", "_", "-".join([*words, f"seed{result['seed']}"]))
    path = Path(folder, name, "result.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(result, checksum=checksum(result)), indent=1))
    return path


def test_planted_wrong_results_are_flagged():
    good = made_up("G(4)", "at", error=9.0, best=8.0)
    test_eq(wrong(good), [])
    row = good["history"][-1]
    planted = {
        "parameters 100 is not that of WRN-16-2 G(4)": dict(parameters=100),
        "mult_adds 1 is not": dict(mult_adds=1),
        "'WRN-17' is no network": dict(network="WRN-17"),
        "unknown block": dict(block="G(X)"),
        "depth 17 is not 6n + 4": dict(network="WRN-17-1"),
        "is not that of WRN-16-2 G(8)": dict(block="G(8)"),
        "test_error 101 is not between": dict(last=good["last"] | dict(test_error=101.0)),
        "test_error -1 is not between": dict(best=good["best"] | dict(test_error=-1.0)),
        "test_error nan is not between": dict(last=good["last"] | dict(test_error=math.nan)),
        "is worse than the last one's": dict(best=good["best"] | dict(test_error=9.5)),
        "the last error is 8.5, and 9 in the history": dict(last=good["last"] | dict(test_error=8.5)),
        "and 8 in epoch 2 in the history": dict(best=good["best"] | dict(epoch=1)),
        "a history of 2 epochs, not of 3": dict(history=good["history"][:2]),
        "the history skips epochs": dict(history=[*good["history"][:2], row | dict(epoch=7)]),
        "top-5 error is larger": dict(
            history=[good["history"][0] | dict(test_top5_error=99.0), *good["history"][1:]]
        ),
        "errors that are no numbers": dict(last=dict(test_error="9")),
        "alpha 0.9 does not fit at": dict(alpha=0.9),
        "beta 0 does not fit at": dict(beta=0),
        "convention code does not fit kd-paper": dict(method="kd-paper", alpha=0.9, beta=0.0),
        "a teacher by at": dict(role="teacher"),
        "at without a teacher": dict(teacher=None),
        "its teacher is not properly": dict(given=dict(GIVEN, sha256=None)),
        "its teacher's test_error -2 is": dict(given=dict(GIVEN, test_error=-2.0)),
        "seed 4, but the recipe's is 0": dict(seed=4),
        "4 epochs, but the recipe has 3": dict(epochs=4),
        "unknown method 'att'": dict(method="att"),
        "unknown table 'table3'": dict(table="table3"),
    }
    for message, change in planted.items():
        found = wrong(good | change)
        assert any(message in line for line in found), (message, found)
    print(f"{len(planted)} wrong results, all of them flagged")


def test_a_teacher_of_another_origin():
    taught = [made_up("G(4)", method, given=GIVEN, teacher="t.pt", file=method) for method in ("at", "kd")]
    scratch = made_up("G(4)", "scratch", file="s")
    other = made_up("G(N)", "at", given=dict(GIVEN, sha256="cd" * 32), teacher="t.pt", file="o")
    by_run = made_up("G(8)", "at", file="r")
    test_eq([wrong(result) for result in taught], [[], []])
    test_eq(odd_ones([*taught, scratch]), {})
    test_eq(
        odd_ones([scratch, *taught, other, by_run]),
        {name: "learned from another teacher than at: not one comparison" for name in "or"},
    )


def test_damaged_files_are_told_and_never_used():
    with tempfile.TemporaryDirectory() as folder:
        path, good = put(folder, made_up("G(4)"), "a"), put(folder, made_up("G(N)"), "b")
        whole = path.read_bytes()
        test_eq([len(part) for part in read_results(folder)], [2, 0])

        def refused(content):
            path.write_bytes(content)
            results, lines = read_results(folder)
            test_eq(([result["file"] for result in results], len(lines)), (["b/result.json"], 1))
            assert lines[0].startswith("a/result.json ") and "\n" not in lines[0] and folder not in lines[0]
            return lines[0]

        dice = random.Random(0)
        for at in dice.sample(range(len(whole) - 2), 60):
            assert "truncated" in refused(whole[:at])
        solid = [at for at, letter in enumerate(whole) if chr(letter) not in " \n"]
        for at in dice.sample(solid, 100):
            refused(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])  # a bit
        assert "checksum differs" in refused(whole.replace(b'"test_error": 10.0', b'"test_error": 1.0'))
        for content in (b"", b"[]", b"{}", b"7", b"\xff\xfe", b"null", b'"checksum"', b"[" * 100_000):
            refused(content)


def test_results_sealed_again_and_second_results_are_told():
    with tempfile.TemporaryDirectory() as folder:
        for name, change in dict(
            a={}, b={}, c=dict(seed=1, beta=500.0), d=dict(format=2, seed=2), e=dict(parameters=7), f=dict(seed=3)
        ).items():
            put(folder, made_up("G(4)", "at", change.get("seed", 0)) | change, name)
        lacking = made_up("G(4)", seed=9)
        del lacking["seed"]
        lacking["epochs"] = True
        Path(folder, "g.json").write_text(json.dumps(lacking | dict(checksum=checksum(lacking))))
        results, lines = read_results(folder)
        test_eq([result["file"] for result in results], ["a/result.json", "f/result.json"])
        for line, words in zip(
            sorted(lines),
            (
                "b/result.json is a second result of the run in a/result.json",
                "c/result.json has beta 500.0, and a/result.json has 1000.0: not one method",
                "d/result.json has the format 2; this version reads format 1",
                "e/result.json can't be right: parameters 7 is not that of WRN-16-2 G(4)",
                "g.json has no proper seed, epochs",
            ),
            strict=True,
        ):
            assert line.startswith(words), line
        test_fail(lambda: read_results(Path(folder, "nowhere")), contains="is no folder")


def test_what_is_worth_a_second_look_is_noted():
    runs = [
        made_up("S", "scratch", 0, 9.0, role="teacher"),
        made_up("G(4)", "at", 0, 5.9),
        made_up("G(N)", "at", 0, 6.1),
        made_up("B(2)", "at", 0, 88.5),
        made_up("G(N)", "at", 1, 6.1),
        made_up("G(N)", "at", 2, 6.1),
    ]
    runs[-1]["history"] = runs[-2]["history"]
    found = notes([run | dict(file=f"{n}") for n, run in enumerate(runs)])
    test_eq(
        found,
        [
            "1: 5.90 % is implausibly better than the teacher's 9.00 %",
            "3: 88.50 % is no better than guessing (90 %)",
            "5: every epoch has the losses of 4, though the seeds differ",
        ],
    )


def test_t_quantiles_of_the_printed_tables():
    table = {
        1: 12.706,
        2: 4.303,
        3: 3.182,
        4: 2.776,
        5: 2.571,
        6: 2.447,
        7: 2.365,
        8: 2.306,
        9: 2.262,
        10: 2.228,
        11: 2.201,
        20: 2.086,
        24: 2.064,
        29: 2.045,
        30: 2.042,
        60: 2.000,
        120: 1.980,
    }
    for freedom, t in table.items():
        test_close(t_quantile(freedom), t, eps=5.1e-4)
    for freedom, t in {1: 63.657, 2: 9.925, 5: 4.032, 10: 3.169, 30: 2.750}.items():
        test_close(t_quantile(freedom, 0.99), t, eps=5.1e-4)
    test_close(t_quantile(1), math.tan(0.95 * math.pi / 2), eps=1e-9)
    test_close(t_central(1.7, 2), 1.7 / math.sqrt(2 + 1.7**2), eps=1e-12)
    print(f"three seeds: {t_quantile(2):.2f} instead of 1.96; ten seeds: {t_quantile(9):.2f}")


def test_an_interval_by_hand():
    low, high = interval([5.0, 5.2, 5.7])
    test_close([spread([5.0, 5.2, 5.7]), low, high], [0.36056, 4.4043, 6.1957], eps=1e-4)
    test_eq(
        [within(figure, (low, high)) for figure in (4.40, 4.41, 5.3, 6.19, 6.20)],
        [False, True, True, True, False],
    )
    test_eq((interval([5.0]), spread([5.0]), within(5.0, None), within(None, (1, 2))), (None,) * 4)
    test_eq(interval([5.0, 5.0]), (5.0, 5.0))


def test_ninety_five_in_a_hundred_intervals_cover_the_mean():
    dice, count = random.Random(0), 4000
    covered = sum(within(7.0, interval([dice.gauss(7, 0.3) for _ in range(3)])) for _ in range(count))
    print(f"{100 * covered / count:.1f} % of {count} intervals hold the true mean")
    assert abs(covered / count - 0.95) < 4 * math.sqrt(0.95 * 0.05 / count)


def test_rank_correlation_by_hand():
    test_eq(mean_ranks([10, 30, 20, 20]), [1, 4, 2.5, 2.5])
    test_eq(mean_ranks([7, 7, 7]), [2, 2, 2])
    test_eq(mean_ranks([0.1 + 0.2, 0.3]), [1.5, 1.5])
    test_close(spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]), 0.8, eps=1e-12)
    test_close(spearman([10, 20, 20, 30], [1, 2, 3, 4]), 4.5 / math.sqrt(22.5), eps=1e-12)
    test_close(spearman([1, 2, 3], [9, 8, 7]), -1, eps=1e-12)
    test_eq([spearman([1, 2], [1, 2]), spearman([1, 1, 1], [1, 2, 3]), spearman_p([1, 2], [2, 1])], [None] * 3)
    test_close(spearman_p([1, 2, 3, 4], [5, 6, 7, 9]), 2 / 24, eps=1e-12)
    test_close(
        spearman_p([1, 2, 3], [1, 3, 2]), 1, eps=1e-12
    )  # r is 0.5: all six orders reach 0.5, of either sign
    order, t = (
        [2, 1, 4, 3, 6, 5, 8, 7, 10, 9],
        (1 - 60 / 990) * math.sqrt(8 / (1 - (1 - 60 / 990) ** 2)),
    )  # n = 10: ten ranks off by 1
    step, scale = 1e-3, math.gamma(4.5) / (math.sqrt(8 * math.pi) * math.gamma(4))  # t's density, summed
    tails = 2 * sum(scale * (1 + (t + (k + 0.5) * step) ** 2 / 8) ** -4.5 * step for k in range(200_000))
    test_close(spearman_p(range(10), order), tails, eps=1e-8)


def test_the_sign_test_by_hand():
    test_eq([sign_test(7, 2), sign_test(2, 7)], [92 / 512] * 2)
    test_eq([sign_test(3, 3), sign_test(0, 0), sign_test(1, 0)], [1.0] * 3)
    test_eq(sign_test(25, 0), 2 / 2**25)  # the paper's AT against scratch
    for wins, losses in ((5, 0), (6, 3), (4, 5), (10, 2)):  # the definition: count all tosses
        tosses = [sum(toss) for toss in product((0, 1), repeat=wins + losses)]
        far = abs(wins - losses)
        test_close(
            sign_test(wins, losses), sum(abs(2 * heads - wins - losses) >= far for heads in tosses) / len(tosses)
        )
    print(next(f"{k} of 9: p = {sign_test(k, 9 - k):.3f}" for k in range(5, 10) if sign_test(k, 9 - k) < 0.05))


def test_a_table_by_hand():
    runs = [made_up("S", "scratch", 0, 6.0, "WRN-40-2", "teacher")]
    runs += [
        made_up("G(N)", "at", seed, error, "WRN-40-2", best=error - 0.5)
        for seed, error in enumerate((5.0, 5.2, 5.7))
    ]
    runs += [made_up("G(N)", "scratch", 0, 8.0, "WRN-40-2"), made_up("B(2)", "at", 0, 7.5, "WRN-40-2")]
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


def test_the_same_entry_of_the_paper_or_its_nearest():
    test_eq(beside("WRN-40-2", "G(4)", "cifar10", "at", "WRN-40-2"), (5.0, True))
    test_eq(beside("WRN-16-2", "G(4)", "cifar10", "at", "WRN-16-2"), (5.0, False))  # the block, on WRN-40-2
    test_eq(beside("WRN-16-1", "S", "cifar10", "scratch", "WRN-16-2"), (8.81, True))  # nobody taught it
    test_eq(beside("WRN-16-1", "S", "cifar10", "at", "WRN-16-2"), (7.72, False))  # another teacher
    test_eq(beside("WRN-16-2", "S", "cifar100", "scratch", "WRN-16-2"), (27.63, True))
    test_eq(beside("WRN-16-2", "G(4)", "cifar10", "kd-paper", "WRN-16-2"), (None, False))
    drawn = [made_up("S", "scratch", 0, 6.0, "WRN-40-2", "teacher", real=False, data="drawn shapes")]
    test_eq(
        [(row["paper"], row["difference"]) for row in table_rows(drawn)], [(None, None)]
    )  # never beside the paper's
    whole = table_rows([made_up("G(4)", network="WRN-40-2", preset="paper")])
    test_eq((len(whole), sum(row["seeds"] for row in whole)), (1 + 25 * 3, 1))


def test_comparisons_by_hand():
    blocks = ("G(4)", "G(N)", "B(2)", "S-2x2")
    errors = dict(zip(("kd", "at", "kd-paper"), ((10, 11, 12, 13), (9, 10.6, 12.2, 13), (9.4, 10.4, 11.4, 12.4))))
    runs = [
        made_up(block, method, 0, float(error))
        for method in errors
        for block, error in zip(blocks, errors[method])
    ]
    runs += [made_up("G(4)", "at", 1, 9.1), made_up("G(4)", "at", 2, 8.9)]  # the mean stays 9
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
    fewer = paired(table_rows(runs + [made_up("G(8)", "at", 0, 1.0)]), "at", "kd")
    test_eq((fewer["students"], fewer["difference"]), (4, pair["difference"]))  # who has no partner is left out


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
                f"{dataset}: {first} beats {second} in {pair['wins']} of 25, p = {pair['p']:.2g}; "
                f"{pair['difference']:+.2f} points in the mean"
            )


def test_rank_agreement_by_hand():
    runs = [
        made_up(*row)
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


def test_settings_are_kept_apart_and_say_what_they_are():
    exact = made_up(
        "G(4)",
        network="WRN-40-2",
        preset="paper",
        epochs=200,
        data="CIFAR-10, 50,000 training and 10,000 test images",
    )
    exact["recipe"] = json.loads(json.dumps(exact["recipe"]))  # as it is read back: lists for tuples
    test_eq((unlike([exact]), title([exact])), ([], f"paper preset, {exact['data']}, 200 epochs"))
    short = made_up("G(4)", epochs=8)
    test_eq(
        unlike([short])[:3],
        [
            f"the images are {short['data']}",
            "the network that is cheapened is WRN-16-2 instead of WRN-40-2",
            "epochs is 8 instead of 200",
        ],
    )
    assert title([short]).endswith("8 epochs; not the paper's setting") and "JPEG" in title([short])
    drawn = made_up("G(4)", real=False, data="drawn shapes")
    assert title([drawn]).endswith("can't stand beside the paper's")
    test_eq([len(group) for group in settings([short, exact, drawn, short | dict(seed=1)])], [2, 1, 1])


def test_findings_say_how_sure_they_are():
    blocks = ("S-2x2", "G(4)", "G(8)", "G(16)", "G(N)", "B(2)", "B(4)", "BG(2,2)", "BG(2,M)")
    runs = [
        made_up(block, method, 0, 10.0 + number + lead)
        for number, block in enumerate(blocks)
        for method, lead in (("scratch", 0.0), ("at", -1.0 if number < 7 else 0.5))
    ]
    found = findings(runs)
    print(*found, sep="\n")
    mean_d = (7 * -1 + 2 * 0.5) / 9  # −0.667; by hand: s² = (7·0.333² + 2·1.167²)/8 = 0.4375
    half = 2.306 * math.sqrt(0.4375) / 3
    test_eq(
        found[0],
        "AT leaves fewer errors than training from scratch in 7 of 9 students; sign test p = 0.18; −0.67 points in the mean "
        f"(95 % interval over the students −{-(mean_d - half):.2f} to −{-(mean_d + half):.2f}); one seed. In the paper's table: 9 of 9.",
    )
    assert any("AT: Spearman's" in line and "over 9 blocks" in line for line in found)
    test_eq(findings(runs[:1]), [])
    three = [
        made_up(row["block"], method, seed, row["last"]["test_error"] + shift + seed / 10)
        for row in runs[1:6:2]
        for seed in (0, 1)
        for method, shift in (("at", 0), ("kd", 1.0), ("kd-paper", -0.5))
    ]
    said = " ".join(findings(three))
    assert (
        "with KD as the code weighs it, AT − KD is −1.00 points" in said
        and "as the equation has it, +0.50 points" in said
    )
    assert "moves KD's error by −1.50 points" in said and "(2 seeds)" in said
    one = findings(
        [made_up("G(4)", method, 0, error) for method, error in (("at", 9.0), ("kd", 9.5), ("kd-paper", 9.1))]
    )
    assert "one student, so no interval: not told apart from no change" in " ".join(one)


def test_the_papers_figures_within_the_interval_are_counted():
    runs = [made_up("S", "scratch", 0, 5.0, "WRN-40-2", "teacher")]  # one seed: no interval, and it says so
    for block, middle in (("G(4)", 5.1), ("G(8)", 7.0)):  # by AT the paper has 5.00 and 5.05
        runs += [made_up(block, "at", seed, middle + 0.1 * (seed - 1), "WRN-40-2") for seed in range(3)]
    found = findings(runs)
    test_eq(
        found[-2:],
        [
            "The paper's figure lies within our 95 % interval in 1 of 2 entries that were run with more than one seed.",
            "1 of 3 entries that the paper has too were run with one seed: no interval.",
        ],
    )


def test_the_figure_holds_ours_and_the_papers():
    blocks = ("S-2x2", "G(4)", "G(N/8)", "G(N)", "B(2)", "BG(2,2)", "BG(2,M/8)", "BG(2,M)")
    printed = paper_errors()
    runs = [
        made_up("S", "scratch", 0, 9.5, role="teacher", data="made-up errors, no images"),
        made_up("S", "at", 0, 13.0, "WRN-16-1", data="made-up errors, no images"),
    ]
    runs += [
        made_up(
            block,
            "at",
            seed,
            6 + printed["WRN-40-2", block, "cifar10", "at"] + 0.2 * seed,
            latency_ms=2 + number / 2,
            data="made-up errors, no images",
        )
        for number, block in enumerate(blocks)
        for seed in range(3)
    ]
    figure = pareto_panels(runs)
    assert figure.get_figwidth() <= 7 and figure.get_figheight() <= 9
    axes = figure.axes


    def drawn(axis, who):
        return sorted(
            tuple(at)
            for box in axis.containers
            if box.get_label().startswith(who)
            for at in box.lines[0].get_xydata().tolist()
        )


    test_eq([axis.get_xscale() for axis in axes], ["log"] * 3)
    test_eq([len(drawn(axis, "ours")) for axis in axes], [10] * 3)
    test_eq(
        [len(drawn(axis, "paper")) for axis in axes], [26, 26, 2]
    )  # of the paper's, WRN-16-1 and WRN-16-2 were timed
    test_eq(
        len({error for _, error in drawn(axes[0], "paper")} & set(printed.values())),
        len({e for _, e in drawn(axes[0], "paper")}),
    )
    means = {round(6.2 + printed["WRN-40-2", block, "cifar10", "at"], 6) for block in blocks} | {9.5, 13.0}
    for axis in axes:
        test_eq({round(error, 6) for _, error in drawn(axis, "ours")}, means)
    test_eq(
        {at for at, _ in drawn(axes[1], "ours")}
        >= {costs_of("WRN-16-2", block, 10)["mult_adds"] for block in blocks},
        True,
    )
    fills = {box.get_label().split()[0]: box.lines[0].get_markerfacecolor() for box in axes[0].containers}
    test_eq((fills["paper"], fills["ours"] != "white"), ("white", True))
    title_text = " ".join(axes[1].get_title().split())
    assert (
        "made-up errors" in title_text
        and "3 epochs; not the paper's setting" in title_text
        and "by AT" in title_text
    )
    figure


def test_a_given_teacher_stands_in_the_plot_and_in_the_origin():
    runs = [
        made_up(block, "at", given=GIVEN, teacher="t.pt", error=4.0, file=block) for block in ("G(4)", "G(N)")
    ]
    (point,) = given_points(runs, {("WRN-16-2", "S"): 3.0})
    test_eq(
        (point["parameters"], point["mult_adds"], point["error"], point["latency_ms"]),
        (693498, costs_of("WRN-16-2", "S", 10)["mult_adds"], 9.5, 3.0),
    )
    (box,) = [box for box in pareto_panels(runs).axes[0].containers if box.get_label() == "ours teacher"]
    test_eq(box.lines[0].get_xydata().tolist(), [[693498, 9.5]])
    test_eq(given_points([made_up("G(4)", given=dict(GIVEN, network="ResNet-34 S"))], {}), [])
    assert (
        all("implausibly better than the teacher's 9.50" in line for line in notes(runs))
        and len(notes(runs)) == 2
    )


def test_drawn_shapes_never_stand_beside_the_papers():
    runs = [
        made_up(block, "scratch", 0, 30.0, real=False, data="drawn shapes", latency_ms=None)
        for block in ("G(4)", "G(N)")
    ]
    axes = pareto_panels(runs).axes
    assert not any(box.get_label().startswith("paper") for axis in axes for box in axis.containers)
    assert "can't stand beside the paper's" in " ".join(axes[1].get_title().split())
    test_eq([text.get_text() for text in axes[2].texts], ["not measured"])
    found = measured_times([("WRN-10-0.5", "S"), ("WRN-10-0.5", "G(N)")], 1)
    assert len(found) == 2 and all(0 < ms < 1000 for ms in found.values())
    test_eq(times([made_up("G(4)", latency_ms=ms) for ms in (1.0, 5.0, 2.0, None)]), {("WRN-16-2", "G(4)"): 2.0})


def test_a_report_holds_the_numbers():
    with tempfile.TemporaryDirectory() as folder:
        put(folder, made_up("S", "scratch", 0, 6.0, "WRN-40-2", "teacher"))
        for seed, error in enumerate((5.0, 5.2, 5.7)):
            put(folder, made_up("G(N)", "at", seed, error, "WRN-40-2", best=error - 0.5))
        put(folder, made_up("G(N)", "scratch", 0, 8.0, "WRN-40-2"))
        put(folder, made_up("B(2)", "at", 0, 7.5, "WRN-40-2"))
        put(folder, made_up("B(4)", "at", 0, 7.5, "WRN-40-2", parameters=1), "planted")
        put(folder, made_up("G(8)", "at", 0, 7.5, "WRN-40-2"), "cut").write_text('{"format": 1')
        Path(folder, "going").mkdir()
        Path(folder, "going", "run.json").write_text("{}")
        made = report(folder, Path(folder, "out"))
        text, page = (Path(folder, "out", name).read_text() for name in ("report.md", "report.html"))
        image = Path(folder, "out", "report.png").read_bytes()
        test_eq(
            sorted(path.name for path in Path(folder, "out").iterdir()),
            ["report.html", "report.md", "report.png"],
        )
    lines = text.splitlines()
    assert (
        "| WRN-40-2 | G(N) | 304,074 | at | 3 | 5.30 ± 0.36 | 4.80 ± 0.36 | 4.40 to 6.20 | 6.57 | −1.27 | no |"
        in lines
    )
    assert "| WRN-40-2 | B(2) | 437,242 | scratch | – | – | – | – | 6.36 | – | – |" in lines
    assert "| WRN-40-2 | B(2) | 437,242 | at | 1 | 7.50 | 7.50 | – | 5.37 | +2.13 | one seed |" in lines
    assert "| WRN-40-2 | S | 2,248,954 | teacher | 1 | 6.00 | 6.00 | – | 4.79 | +1.21 | one seed |" in lines
    assert "| AT | training from scratch | 1 | 1, 0, 0 | 1 | −2.70 | – | 1 of 1 |" in lines
    for words in (
        "CIFAR-10 (JPEG), 50,000 training",
        "epochs: 3",
        "epochs is 3 instead of 200",
        "at: code",
        "seeds: 0, 1, 2; results: 6",
        "machine: a processor, 2 cores, one thread",
        "torch 2.6",
        "planted/result.json can't be right: parameters 1 is not",
        "cut/result.json is no whole JSON file",
        "going",
        "1 of 5 entries of the table are not run yet",
    ):
        assert words in text and words.replace("'", "&#x27;") in page, words
    size = Image.open(BytesIO(image)).size
    test_eq((size[0], size[1] > 400), (1050, True))
    assert base64.b64encode(image).decode() in page and "http" not in page and page.endswith("</html>\n")
    test_eq([line.split()[0] for line in made["refused"]], ["cut/result.json", "planted/result.json"])
    print("\n".join(line for line in lines if line.startswith(("| WRN", "| network"))))


def test_words_from_a_file_stay_words():
    with tempfile.TemporaryDirectory() as folder:
        put(folder, made_up("G(4)", data="<script>alert(1)</script> | # `x` *y*\n\n# z", machine={}, versions={}))
        report(folder)
        text, page = Path(folder, "report.md").read_text(), Path(folder, "report.html").read_text()
    assert "<script>" not in page and "<script>" not in text.replace("\\<", "") and "\n# z" not in text
    test_eq({len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| WRN")}, {12})


def test_a_report_is_written_whole_or_not_at_all():
    with tempfile.TemporaryDirectory() as folder:
        test_fail(lambda: report(folder), contains="it holds no result.json")
        Path(folder, "a.json").write_text("{")
        test_fail(
            lambda: report(folder),
            contains="none of one file can be used; the first: a.json is no whole JSON file",
        )
        put(folder, made_up("G(4)"))
        out = Path(folder, "out")
        with patch("base64.b64encode", side_effect=MemoryError):
            test_fail(lambda: report(folder, out))
        test_eq(out.exists(), False)
        report(folder, out)
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        put(folder, made_up("G(N)"))
        with patch("os.replace", side_effect=OSError(28, "No space left on device")):
            test_fail(lambda: report(folder, out), contains="what was saved before is unchanged")
        test_eq({path.name: path.read_bytes() for path in out.iterdir()}, before)
