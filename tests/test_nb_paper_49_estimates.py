"""Generated from nbs/paper/49_estimates.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.paper.estimates import *


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
