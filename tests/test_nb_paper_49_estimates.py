"""Generated from nbs/paper/49_estimates.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.paper.estimates import *


import torch
from fastcore.test import test_close, test_eq

from moonshine.costs.counting import text_table
from moonshine.paper.planning import PRESETS, plan_runs
from moonshine.training.recipe import Recipe


def test_a_step_is_measured_once():
    each = image_seconds("WRN-10-1", "S", 10, 32, Recipe(batch_size=16))
    assert 1e-6 < each < 1
    assert image_seconds("WRN-10-1", "S", 10, 32, Recipe(batch_size=16)) == each  # not measured again
    print(f"{1e6 * each:.0f} microseconds per image")


def test_the_estimate_by_hand():
    preset = PRESETS["table2"]["cpu"]
    teacher, scratch, at = plan_runs("table2", "cpu", rows="G(4)", methods="scratch,at", epochs=10)


    def known(*network_and_recipe):
        return 0.003 if network_and_recipe[-1] else 0.001  # training, or a forward pass


    seconds = [run_seconds(run, preset, (1000, 300), 10, measure=known) for run in (scratch, at)]
    test_close(seconds, [10 * (1000 * 0.003 + 300 * 0.001), 10 * (1000 * 0.004 + 300 * 0.001)])
    test_eq(
        [duration(s) for s in (12.34, 720, 86400, 1e8)], ["12.3 seconds", "12 minutes", "24 hours", "1,157 days"]
    )


def test_operations_are_counted_and_views_are_not():
    with OperationCounter() as counter:
        (torch.ones(2, 3)[1:] + 1).mul_(2).flatten()
    test_eq(counter.count, 3)  # ones, + and mul_, but not [1:] and flatten()


def test_the_work_of_a_step():
    TEACHER = ("WRN-40-2", "S")
    scratch, kd, at = (step_work("WRN-40-2", "G(N)", method, TEACHER, 128) for method in ("scratch", "kd", "at"))
    forward, student = forward_work(*TEACHER, 128), forward_work("WRN-40-2", "G(N)", 128)
    test_eq(forward.mult_adds, 128 * 327_599_360)
    test_eq([scratch.mult_adds, kd.mult_adds], [3 * student.mult_adds, 3 * student.mult_adds + forward.mult_adds])
    assert 2 * student.operations < scratch.operations < 4 * student.operations
    assert scratch.operations + forward.operations <= kd.operations < at.operations
    print(f"AT step of a G(N) student: {at.operations} operations, {at.mult_adds / 1e9:.0f}·10⁹ multiply-adds")


def test_an_at_student_of_table_2_takes_half_an_hour():
    paper = PRESETS["table2"]["paper"]
    teacher, scratch, at = plan_runs("table2", "paper", rows="G(N)", methods="scratch,at", seeds=1)
    low, high = gpu_hours([at], paper)
    print(f"G(N) by attention transfer, 200 epochs: {60 * low:.0f} to {60 * high:.0f} minutes on an H100")
    assert 30 < 60 * high < 45  # the benchmark's rate makes it 36 minutes on an H200
    assert low < high <= TOGETHER * low
    assert gpu_seconds(scratch, paper) < gpu_seconds(at, paper)
    assert gpu_seconds(at, paper, H200, 100) < gpu_seconds(at, paper, H100, 100)
    test_eq(hours_text(0.123, 12.3), "0.1 to 12")
    test_eq(hours_text(*gpu_hours([], paper)), "0.0 to 0.0")


def test_a_plan_as_a_table():
    runs = plan_runs("table2", "smoke", seeds=1)
    state = {run.name: "finished" if run.method == "scratch" else "missing" for run in runs}
    rows = plan_rows(runs, state, {run.name: 60 for run in runs}, 10)
    print(recipe_words(runs[0].recipe), text_table(rows), sep="\n")
    test_eq(
        [(row["runs"], row["finished"], row["time"]) for row in rows],
        [(1, 1, "60 seconds"), *[(3, 1, "3 minutes")] * 3],
    )
    test_eq(disk_bytes(runs[:1], 10), 2 * 8 * 77_850)  # WRN-10-1


def test_the_commands_of_table_3():
    text = table3_needs(plan_runs("table3", "paper"), None)
    test_eq(text.count("moonshine train imagenet"), 9)
    assert (
        "student --alpha 0 --beta 1000 --network resnet18_half --conv S "
        "-t paper-imagenet-ResNet-34-S-teacher-seed0" in text
    )


def test_the_plan_of_table_4():
    four = table4_plan()
    print(four)
    assert "2,073,428" in four and "503,956" in four and "segmentation.ipynb" in four
