"""`moonshine report` on a folder of results, as a person meets it.

The results here are made up, in a temporary folder: networks and costs are real, and the errors are chosen
so that every number in the report can be worked out by hand.
"""

import base64
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import asdict

import pytest
from conftest import ROOT
from PIL import Image

from moonshine.cli.program import main
from moonshine.costs.counting import paper_parameters
from moonshine.models.wide_resnet import wrn
from moonshine.paper import report
from moonshine.paper.results import costs_of, read_result, read_results
from moonshine.training.recipe import Recipe

METHODS = {
    "scratch": (0.0, 0.0, "code"),
    "kd": (0.9, 0.0, "code"),
    "at": (0.0, 1000.0, "code"),
    "kd-paper": (0.9, 0.0, "paper"),
}
BLOCKS = ("S-2x2", "G(4)", "G(N/8)", "G(N)", "B(2)", "BG(2,2)", "BG(2,M/8)", "BG(2,M)")
DATA = "CIFAR-10 (JPEG), 50,000 training and 10,000 test images"


def seal(content):
    """Add the checksum as the interface has it: SHA-256 over JSON with sorted keys and no spaces."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return {**content, "checksum": hashlib.sha256(text.encode()).hexdigest()}


def result(block, method, seed, error, network="WRN-16-2", role="student", **changes):
    """A run of two epochs that ends at `error`."""
    alpha, beta, convention = METHODS[method]
    history = [
        {"epoch": epoch, "test_error": e, "test_top5_error": e / 10, "test_loss": e / 30 + seed}
        for epoch, e in ((1, 70.0), (2, error))
    ]
    last = {name: history[-1][name] for name in ("test_error", "test_top5_error", "test_loss")}
    fixed = {
        "format": 1,
        "table": "table2",
        "preset": "cpu",
        "dataset": "cifar10",
        "data": DATA,
        "real": True,
        "temperature": 4.0,
        "epochs": 2,
        "latency_ms": 3.0,
        "seconds": 1800.0,
        "commit": "abc",
        "command": "moonshine",
    }
    fixed |= {"versions": {"torch": "2.6.0", "moonshine": "0.1.0"}, "machine": {"processor": "P", "cores": 4}}
    fixed |= costs_of(network, block, 10)
    return (
        fixed
        | {
            "network": network,
            "block": block,
            "role": role,
            "method": method,
            "convention": convention,
            "alpha": alpha,
            "beta": beta,
            "seed": seed,
            "recipe": asdict(Recipe(epochs=2, seed=seed)),
            "fingerprint": f"{network}{block}{method}{seed}",
            "teacher": None if method == "scratch" else "T",
            "history": history,
            "last": last,
            "best": last | {"epoch": 2},
        }
        | changes
    )


def write(folder, name, content):
    path = folder / name / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(seal(content), indent=1))
    return path


@pytest.fixture
def runs(tmp_path):
    """A teacher and nine students by scratch, KD twice, and AT, with one seed; G(N) by AT with three."""
    write(tmp_path, "teacher", result("S", "scratch", 0, 8.0, role="teacher"))
    rows = [("WRN-16-1", "S"), *[("WRN-16-2", block) for block in BLOCKS]]
    for number, (network, block) in enumerate(rows):
        errors = {
            "scratch": 12.0 + number,
            "kd": 11.5 + number,
            "at": (11.0 if number < 8 else 12.5) + number,
            "kd-paper": 10.5 + number,
        }
        for method, error in errors.items():
            write(tmp_path, f"{number}-{method}", result(block, method, 0, error, network))
    for seed, shift in ((1, -0.6), (2, 0.6)):
        write(tmp_path, f"4-at-{seed}", result("G(N)", "at", seed, 15.0 + shift))
    return tmp_path


def findings(folder):
    lines = (folder / "report.md").read_text().split("## Findings")[1].split("##")[0].strip().splitlines()
    return [line.removeprefix("- ") for line in lines]


def test_the_report_says_what_the_results_show(runs, capsys):
    assert main(["report", str(runs)]) == 0
    said = capsys.readouterr()
    text, page = (runs / "report.md").read_text(), (runs / "report.html").read_text()
    found = findings(runs)
    # AT − scratch is −1 eight times and +0.5 once, so the mean is −7.5/9.
    # s² = (8·(1/6)² + (4/3)²)/8 = 0.25; 2.306·0.5/3 = 0.384
    assert (
        "AT has lower test error than training from scratch for 8 of 9 students; sign test p = 0.039; "
        "mean difference −0.83 points (95% confidence interval over the students −1.22 to −0.45); "
        "1 to 3 seeds. In the paper's table: 9 of 9."
    ) in found
    # AT − KD: −0.5 eight times, +1.0 once; AT − KD by the equation: +0.5 eight times, +2.0 once.
    # KD by the equation − KD is always −1.0.
    question = next(line for line in found if line.startswith("AT against KD"))
    assert "over the same 9 students" in question
    assert "AT − KD is −0.33 points" in question and "with KD as in the equation, +0.67 points" in question
    assert "changes KD's test error by −1.00 points" in question and "not distinguishable" not in question
    assert any(
        re.match(
            r"AT has lower test error than KD by the equation for 0 of 9 students; sign test p = 0\.0039",
            line,
        )
        for line in found
    )
    assert any(
        "WRN-16-2, AT: Spearman's rank correlation with the paper's is" in line and "over 8 blocks" in line
        for line in found
    )
    # 15.0 ± 0.6 over three seeds: 4.3027·0.6/√3 = 1.4905
    size = f"{paper_parameters(wrn(16, 2, 'G(N)')):,}"
    assert (
        f"| WRN-16-2 | G(N) | {size} | at | 3 | 15.00 ± 0.60 | 15.00 ± 0.60 "
        "| 13.51 to 16.49 | (6.57) | – | – |" in text
    )
    # scratch needs no teacher, so WRN-16-1 is the paper's own entry
    assert "| WRN-16-1 | S | 175,994 | scratch | 1 | 12.00 | 12.00 | – | 8.81 | +3.19 | one seed |" in text
    for words in (
        DATA,
        "epochs: 2",
        "at: code",
        "kd-paper: paper",
        "seeds: 0, 1, 2",
        "results: 39",
        "P, 4 cores",
        "torch 2.6.0",
        "hours",
    ):
        assert words in text and words in page, words
    assert all(line in said.out for line in found) and said.err == ""


def test_the_image_is_whole_and_in_the_page(runs):
    made = report.write_report(runs, runs / "out")
    assert [path.name for path in made["files"]] == ["report.png", "report.md", "report.html"]
    with Image.open(runs / "out" / "report.png") as image:
        image.load()
        assert image.format == "PNG" and image.width == 1050 and 450 < image.height < 700
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50  # something is drawn
    page = (runs / "out" / "report.html").read_text()
    embedded = re.search(r'base64,([^"]+)"', page)[1]
    assert base64.b64decode(embedded) == (runs / "out" / "report.png").read_bytes()
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "<script" not in page


def test_the_same_results_make_the_same_report(runs):
    for name in ("a", "b"):
        report.write_report(runs, runs / name)
    for file in ("report.md", "report.html", "report.png"):
        assert (runs / "a" / file).read_bytes() == (runs / "b" / file).read_bytes()


def test_what_is_damaged_or_planted_is_told_and_left_out(runs, capsys):
    for name, change in {
        "0-at": {"parameters": 12345},
        "1-at": {"best": {"test_error": 99.0, "test_top5_error": 1.0, "epoch": 2}},
        "2-at": {"last": {"test_error": 1.0, "test_top5_error": 1.0}},
    }.items():
        path = runs / name / "result.json"
        content = json.loads(path.read_text())
        del content["checksum"]
        path.write_text(json.dumps(seal(content | change)))
    cut = runs / "3-at" / "result.json"
    cut.write_bytes(cut.read_bytes()[:500])
    flipped = runs / "5-at" / "result.json"
    flipped.write_text(flipped.read_text().replace('"seed": 0', '"seed": 1'))
    write(runs, "again", result("B(4)", "at", 0, 9.0) | {"network": "WRN-16-2"})
    write(runs, "again-2", result("B(4)", "at", 0, 1.0))
    assert main(["report", str(runs)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 6 and all(line.startswith("moonshine: not used: ") for line in told)
    text = (runs / "report.md").read_text()
    for name, words in {
        "0-at": "12,345 is not that of WRN-16-1 S",
        "1-at": "worse than the last",
        "2-at": "in the history",
        "3-at": "truncated",
        "5-at": "checksum",
        "again-2": "second result",
    }.items():
        line = next(line for line in told if f" {name}/result.json" in line)
        assert words in line and words in text, line
    assert "AT has lower test error than training from scratch for 3 of 4 students" in text


def test_drawn_shapes_are_not_set_beside_the_paper(tmp_path):
    for number, block in enumerate(("G(4)", "G(N)", "B(2)")):
        for method in ("scratch", "at"):
            write(
                tmp_path,
                f"{number}-{method}",
                result(
                    block,
                    method,
                    0,
                    30.0 + number + (method == "at"),
                    data="drawn shapes",
                    real=False,
                    preset="smoke",
                ),
            )
    report.write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "not comparable with the paper" in text and "| paper" not in text and "Spearman" not in text
    assert "In the paper's table" not in text
    assert (
        "AT has lower test error than training from scratch for 0 of 3 students; sign test p = 0.25" in text
    )


def test_two_settings_are_never_mixed(tmp_path):
    for epochs, error in ((2, 20.0), (3, 10.0)):
        changes = {} if epochs == 2 else {"epochs": 3, "recipe": asdict(Recipe(epochs=3))}
        run = result("G(4)", "scratch", 0, error) | changes
        if epochs == 3:
            run["history"] = [
                run["history"][0],
                *[row | {"epoch": row["epoch"] + 1} for row in run["history"]],
            ]
            run["best"] = run["best"] | {"epoch": 3}
        write(tmp_path, str(epochs), run)
    report.write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| 1 | 20.00 |" in text and "| 1 | 10.00 |" in text and "15.00" not in text
    assert Image.open(tmp_path / "report.png").height > 800  # three panels for each


def test_mistakes_are_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for arguments, words in (
        ([str(tmp_path)], "holds no result.json"),
        ([str(tmp_path / "none")], "is not a folder"),
        ([str(tmp_path / "file")], "is not a folder"),
    ):
        assert main(["report", *arguments]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and words in err and "Traceback" not in err
    write(tmp_path, "a", result("G(4)", "scratch", 0, 9.0))
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "file" / "below")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_report_needs_no_pyplot():
    code = "import sys, moonshine.paper.report; assert 'matplotlib.pyplot' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_committed_result_is_readable():
    """Those of runs by the one reader, first version included; the others as their notebooks expect."""
    folder = ROOT / "nbs" / "results"
    tables = sorted(folder.glob("table2*/*.json"))
    for path in tables:
        found = read_result(path)
        assert found["images"] and found["data"].endswith("test images") and found["history"], path
    assert len(tables) == 87 and read_results(folder / "table2_cpu")[1] == []
    others = {
        "bench.json": {"machine", "rows", "parts"},
        "bench_cuda_quick.json": {"machine", "rows", "parts"},
        "browser.json": {},
        "demo.json": {"data", "seeds", "recipe", "rows", "message", "wall"},
        "drawn_latency.json": {"machine", "rows"},
        "faults.json": {},
        "panel_latency.json": {"machine"},
        "precision.json": {"teacher", "student", "recipe", "runs"},
        "redraw.json": {"machine", "rows"},
        "segmentation.json": {},
        "trained_real.json": {},
    }
    assert sorted(path.name for path in folder.glob("*.json")) == sorted(others)
    for name, keys in others.items():
        assert set(json.loads((folder / name).read_text())) >= set(keys), name


def test_a_planted_script_and_a_formula_stay_text(tmp_path):
    bad = "<script>alert(1)</script> $\\frac{1}$ {{ 7 * 7 }}"
    write(tmp_path, "a", result("G(4)", "scratch", 0, 9.0, data=bad))
    report.write_report(tmp_path)
    text, page = (tmp_path / "report.md").read_text(), (tmp_path / "report.html").read_text()
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page and "{{ 7 * 7 }}" in page
    assert "\\<script" in text and not re.search(r"(?<!\\)[$<]", text)
