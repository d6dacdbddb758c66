"""Generated from nbs/paper/53_report.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.paper.report import *


import base64
import json
import math
import re
import tempfile
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

from fastcore.test import test_eq, test_fail
from PIL import Image

from moonshine.errors import InputError
from moonshine.paper.results import BEGUN, costs_of, example_result, put_example
from moonshine.paper.statistics import paired, table_rows
from moonshine.paper.tables import paper_errors

GIVEN = dict(file="t.pt", sha256="ab" * 32, network="WRN-16-2 S", parameters=693498, test_error=9.5)


BLOCKS = ("S-2x2", "G(4)", "G(N/8)", "G(N)", "B(2)", "BG(2,2)", "BG(2,M/8)", "BG(2,M)")


def raised_errors():
    "Results whose errors are the paper's by AT plus 6 points, with three seeds"
    data, printed = dict(data="made-up errors, no images"), paper_errors()
    runs = [
        example_result("S", "scratch", 0, 9.5, role="teacher", **data),
        example_result("S", "at", 0, 13.0, "WRN-16-1", **data),
    ]
    for number, block in enumerate(BLOCKS):
        for seed in range(3):
            error = 6 + printed["WRN-40-2", block, "cifar10", "at"] + 0.2 * seed
            runs.append(example_result(block, "at", seed, error, latency_ms=2 + number / 2, **data))
    return runs


def drawn(axis, who):
    "The points that are drawn in a panel: ours, or the paper's"
    return sorted(
        tuple(at)
        for box in axis.containers
        if box.get_label().startswith(who)
        for at in box.lines[0].get_xydata().tolist()
    )


def test_settings_are_kept_apart_and_say_what_they_are():
    exact = example_result(
        "G(4)",
        network="WRN-40-2",
        preset="paper",
        epochs=200,
        data="CIFAR-10, 50,000 training and 10,000 test images",
    )
    exact["recipe"] = json.loads(json.dumps(exact["recipe"]))  # as it is read back: lists for tuples
    test_eq((unlike([exact]), title([exact])), ([], f"paper preset, {exact['data']}, 200 epochs"))
    short = example_result("G(4)", epochs=8)
    test_eq(
        unlike([short])[:3],
        [
            f"the images are {short['data']}",
            "the teacher's architecture is WRN-16-2 instead of WRN-40-2",
            "epochs is 8 instead of 200",
        ],
    )
    assert title([short]).endswith("8 epochs; not the paper's setting") and "JPEG" in title([short])
    drawn = example_result("G(4)", real=False, data="drawn shapes")
    assert title([drawn]).endswith("not comparable with the paper")
    test_eq([len(group) for group in settings([short, exact, drawn, short | dict(seed=1)])], [2, 1, 1])


def test_what_is_worth_a_second_look_is_noted():
    runs = [
        example_result("S", "scratch", 0, 9.0, role="teacher"),
        example_result("G(4)", "at", 0, 5.9),
        example_result("G(N)", "at", 0, 6.1),
        example_result("B(2)", "at", 0, 88.5),
        example_result("G(N)", "at", 1, 6.1),
        example_result("G(N)", "at", 2, 6.1),
    ]
    runs[-1]["history"] = runs[-2]["history"]
    found = notes([run | dict(file=f"{n}") for n, run in enumerate(runs)])
    test_eq(
        found,
        [
            "1: 5.90% is implausibly better than the teacher's 9.00%",
            "3: 88.50% is no better than chance (90%)",
            "5: the losses of every epoch equal those of 4, though the seeds differ",
        ],
    )


def test_findings_say_how_sure_they_are():
    blocks = ("S-2x2", "G(4)", "G(8)", "G(16)", "G(N)", "B(2)", "B(4)", "BG(2,2)", "BG(2,M)")
    runs = [
        example_result(block, method, 0, 10.0 + number + lead)
        for number, block in enumerate(blocks)
        for method, lead in (("scratch", 0.0), ("at", -1.0 if number < 7 else 0.5))
    ]
    found = findings(runs)
    print(*found, sep="\n")
    mean_d = (7 * -1 + 2 * 0.5) / 9  # −0.667; by hand: s² = (7·0.333² + 2·1.167²)/8 = 0.4375
    half = 2.306 * math.sqrt(0.4375) / 3
    test_eq(
        found[0],
        "AT has lower test error than training from scratch for 7 of 9 students; sign test p = 0.18; "
        f"mean difference −0.67 points "
        f"(95% confidence interval over the students −{-(mean_d - half):.2f} to −{-(mean_d + half):.2f}); "
        "one seed. In the paper's table: 9 of 9.",
    )
    assert any("AT: Spearman's" in line and "over 9 blocks" in line for line in found)
    test_eq(findings(runs[:1]), [])
    three = [
        example_result(row["block"], method, seed, row["last"]["test_error"] + shift + seed / 10)
        for row in runs[1:6:2]
        for seed in (0, 1)
        for method, shift in (("at", 0), ("kd", 1.0), ("kd-paper", -0.5))
    ]
    said = " ".join(findings(three))
    assert (
        "with KD as in the code, AT − KD is −1.00 points" in said
        and "with KD as in the equation, +0.50 points" in said
    )
    assert "changes KD's test error by −1.50 points" in said and "(2 seeds)" in said
    one = findings(
        [
            example_result("G(4)", method, 0, error)
            for method, error in (("at", 9.0), ("kd", 9.5), ("kd-paper", 9.1))
        ]
    )
    assert "one student, so no interval: not distinguishable from no change" in " ".join(one)


def test_the_papers_figures_within_the_interval_are_counted():
    runs = [
        example_result("S", "scratch", 0, 5.0, "WRN-40-2", "teacher")
    ]  # one seed: no interval, and it says so
    for block, middle in (("G(4)", 5.1), ("G(8)", 7.0)):  # by AT the paper has 5.00 and 5.05
        runs += [example_result(block, "at", seed, middle + 0.1 * (seed - 1), "WRN-40-2") for seed in range(3)]
    found = findings(runs)
    test_eq(
        found[-2:],
        [
            "The paper's figure lies within our 95% confidence interval "
            "for 1 of 2 entries with more than one seed.",
            "1 of 3 entries that the paper also has were run with one seed: no interval.",
        ],
    )


def test_the_figure_holds_ours_and_the_papers():
    runs, printed = raised_errors(), paper_errors()
    figure = pareto_panels(runs)
    assert figure.get_figwidth() <= 7 and figure.get_figheight() <= 9
    axes = figure.axes
    test_eq([axis.get_xscale() for axis in axes], ["log"] * 3)
    test_eq([len(drawn(axis, "ours")) for axis in axes], [10] * 3)
    test_eq(
        [len(drawn(axis, "paper")) for axis in axes], [26, 26, 2]
    )  # of the paper's, WRN-16-1 and WRN-16-2 were timed
    test_eq(
        len({error for _, error in drawn(axes[0], "paper")} & set(printed.values())),
        len({e for _, e in drawn(axes[0], "paper")}),
    )
    means = {round(6.2 + printed["WRN-40-2", block, "cifar10", "at"], 6) for block in BLOCKS} | {9.5, 13.0}
    for axis in axes:
        test_eq({round(error, 6) for _, error in drawn(axis, "ours")}, means)
    counted = {costs_of("WRN-16-2", block, 10)["mult_adds"] for block in BLOCKS}
    assert {at for at, _ in drawn(axes[1], "ours")} >= counted
    fills = {box.get_label().split()[0]: box.lines[0].get_markerfacecolor() for box in axes[0].containers}
    test_eq((fills["paper"], fills["ours"] != "white"), ("white", True))
    words = " ".join(axes[1].get_title().split())
    assert "made-up errors" in words and "3 epochs; not the paper's setting" in words and "students: AT" in words


def test_a_given_teacher_stands_in_the_plot_and_in_the_origin():
    runs = [
        example_result(block, "at", given=GIVEN, teacher="t.pt", error=4.0, file=block)
        for block in ("G(4)", "G(N)")
    ]
    (point,) = given_points(runs, {("WRN-16-2", "S"): 3.0})
    test_eq(
        (point["parameters"], point["mult_adds"], point["error"], point["latency_ms"]),
        (693498, costs_of("WRN-16-2", "S", 10)["mult_adds"], 9.5, 3.0),
    )
    (box,) = [box for box in pareto_panels(runs).axes[0].containers if box.get_label() == "ours teacher"]
    test_eq(box.lines[0].get_xydata().tolist(), [[693498, 9.5]])
    test_eq(given_points([example_result("G(4)", given=dict(GIVEN, network="ResNet-34 S"))], {}), [])
    assert (
        all("implausibly better than the teacher's 9.50" in line for line in notes(runs))
        and len(notes(runs)) == 2
    )


def test_drawn_shapes_never_stand_beside_the_papers():
    runs = [
        example_result(block, "scratch", 0, 30.0, real=False, data="drawn shapes", latency_ms=None)
        for block in ("G(4)", "G(N)")
    ]
    axes = pareto_panels(runs).axes
    assert not any(box.get_label().startswith("paper") for axis in axes for box in axis.containers)
    assert "not comparable with the paper" in " ".join(axes[1].get_title().split())
    test_eq([text.get_text() for text in axes[2].texts], ["not measured"])
    found = measured_times([("WRN-10-0.5", "S"), ("WRN-10-0.5", "G(N)")], 1)
    assert len(found) == 2 and all(0 < ms < 1000 for ms in found.values())
    test_eq(
        times([example_result("G(4)", latency_ms=ms) for ms in (1.0, 5.0, 2.0, None)]),
        {("WRN-16-2", "G(4)"): 2.0},
    )


def test_rows_as_text():
    runs = [
        example_result(block, method, 0, 9.0 + (method == "kd"))
        for block in ("G(4)", "G(N)")
        for method in ("at", "kd")
    ]
    first = shown(table_rows(runs)[0])
    test_eq((first["last epoch, %"], first["paper, %"], first["difference"]), ("10.00", "(5.81)", "–"))
    test_eq(pair_row(paired(table_rows(runs), "at", "kd"))["wins, losses, ties"], "2, 0, 0")
    test_eq(aligned([dict(a="1"), dict(b="2")]), [dict(a="1", b="–"), dict(a="–", b="2")])


def test_markdown_by_hand():
    text = markdown([("title", "A"), ("text", "<b> $x$"), ("list", ["a_b"]), ("table", [dict(x="1|2", y="3")])])
    test_eq(text, "# A\n\n\\<b\\> \\$x\\$\n\n- a\\_b\n\n| x | y |\n| --- | --- |\n| 1\\|2 | 3 |\n")


def test_a_page_escapes_what_it_shows():
    bad = "<script>alert(1)</script> {{ 7 * 7 }} $x$ \"'"
    page = web_page([("title", bad), ("text", bad), ("list", [bad]), ("table", [{bad: bad}])], b"png")
    assert "<script" not in page and "49" not in page
    test_eq(page.count("&lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }} $x$ &#34;&#39;"), 6)
    assert page.endswith("</html>\n")


def test_a_report_holds_the_numbers():
    with tempfile.TemporaryDirectory() as folder:
        put_example(folder, example_result("S", "scratch", 0, 6.0, "WRN-40-2", "teacher"), "teacher")
        for seed, error in enumerate((5.0, 5.2, 5.7)):
            put_example(
                folder, example_result("G(N)", "at", seed, error, "WRN-40-2", best=error - 0.5), f"at{seed}"
            )
        put_example(folder, example_result("G(N)", "scratch", 0, 8.0, "WRN-40-2"), "scratch")
        put_example(folder, example_result("B(2)", "at", 0, 7.5, "WRN-40-2"), "b2")
        put_example(folder, example_result("B(4)", "at", 0, 7.5, "WRN-40-2", parameters=1), "planted")
        put_example(folder, example_result("G(8)", "at", 0, 7.5, "WRN-40-2"), "cut").write_text('{"format": 1')
        Path(folder, "going").mkdir()
        Path(folder, "going", BEGUN).write_text("{}")
        made = write_report(folder, Path(folder, "out"))
        text, page = (Path(folder, "out", name).read_text() for name in ("report.md", "report.html"))
        image = Path(folder, "out", "report.png").read_bytes()
        written = sorted(path.name for path in Path(folder, "out").iterdir())
        test_eq(written, ["report.html", "report.md", "report.png"])
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
        "cut/result.json is not a complete JSON file",
        "going",
        "1 of 5 entries of the table have not been run yet",
    ):
        assert words in text and words.replace("'", "&#39;") in page, words
    size = Image.open(BytesIO(image)).size
    test_eq((size[0], size[1] > 400), (1050, True))
    assert base64.b64encode(image).decode() in page and "http" not in page and page.endswith("</html>\n")
    test_eq([line.split()[0] for line in made["refused"]], ["cut/result.json", "planted/result.json"])
    print("\n".join(line for line in lines if line.startswith(("| WRN", "| network"))))


def test_words_from_a_file_stay_words():
    with tempfile.TemporaryDirectory() as folder:
        bad = "<script>alert(1)</script> $\\frac$ {{ 7 * 7 }} | # `x` *y*\n\n# z"
        put_example(folder, example_result("G(4)", data=bad, machine={}, versions={}), "a")
        write_report(folder)
        text, page = Path(folder, "report.md").read_text(), Path(folder, "report.html").read_text()
    assert "<script" not in page and "{{ 7 * 7 }}" in page and "<script>" not in text.replace("\\<", "")
    assert "\n# z" not in text and not re.search(r"(?<!\\)\$", text)
    test_eq({len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| WRN")}, {12})


def test_a_report_is_written_whole_or_not_at_all():
    with tempfile.TemporaryDirectory() as folder:
        test_fail(lambda: write_report(folder), contains="it holds no result.json")
        Path(folder, "a.json").write_text("{")
        test_fail(
            lambda: write_report(folder),
            contains="none of one file can be used; the first: a.json is not a complete JSON file",
        )
        put_example(folder, example_result("G(4)"), "g4")
        out = Path(folder, "out")
        with patch("base64.b64encode", side_effect=MemoryError):
            test_fail(lambda: write_report(folder, out))
        test_eq(out.exists(), False)
        write_report(folder, out)
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        put_example(folder, example_result("G(N)"), "gn")
        with patch("os.replace", side_effect=OSError(28, "No space left on device")):
            test_fail(lambda: write_report(folder, out), contains="what was saved before is unchanged")
        test_eq({path.name: path.read_bytes() for path in out.iterdir()}, before)
