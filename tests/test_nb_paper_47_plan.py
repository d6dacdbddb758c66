"""Generated from nbs/paper/47_plan.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.paper.planning import *


from dataclasses import replace

from fastcore.test import test_eq, test_fail

from moonshine.methods import METHODS
from moonshine.paper.tables import paper_table
from moonshine.training.recipe import Recipe


def test_the_25_students_of_table_2():
    rows = table2_students()
    test_eq((len(rows), len(set(rows))), (25, 25))
    print(*(f"{network} {block}" for network, block in rows[:8]), sep=", ")


def test_the_papers_recipe_is_exact():
    paper = PRESETS["table2"]["paper"]
    test_eq(paper.recipe, Recipe(200, 128, 0.1, 0.2, (60, 120, 160), 0.9, 5e-4))
    rows = [(f"WRN-{row['depth']}-{row['width']}", row["block"]) for row in paper_table(2)]
    test_eq(sorted([paper.teacher, *paper.students]), sorted(rows))
    cpu = PRESETS["table2"]["cpu"]
    test_eq(
        (cpu.teacher, len(cpu.students), cpu.recipe.epochs, cpu.recipe.epoch_step),
        (("WRN-16-2", "S"), 9, 8, (2, 5, 6)),
    )
    test_eq(
        [Recipe().scaled_to(epochs).epoch_step for epochs in (1, 2, 20, 200)],  # at 0.3, 0.6 and 0.8 of the run
        [(1, 1, 1), (1, 1, 2), (6, 12, 16), (60, 120, 160)],
    )
    large = PRESETS["table3"]["paper"].recipe
    test_eq([round(large.rate(epoch), 6) for epoch in (29, 30, 60, 99)], [0.1, 0.01, 0.001, 0.0001])


def test_networks_by_their_names():
    test_eq(
        [build(*row).title for row in (("WRN-16-2", "G(N/8)"), ("ResNet-18-0.5", "S"))],
        ["WRN-16-2 G(N/8)", "ResNet-18-0.5 S"],
    )
    test_fail(lambda: build("WRN-16", "S"), contains="is not a network of the tables")


def test_rows_are_asked_for_by_name():
    cpu, paper = PRESETS["table2"]["cpu"], PRESETS["table2"]["paper"]
    test_eq(
        pick_rows(cpu, "BG(2,M/8), 16-1,G(N)"),
        (("WRN-16-2", "BG(2,M/8)"), ("WRN-16-1", "S"), ("WRN-16-2", "G(N)")),
    )
    test_eq(pick_rows(paper, "DConvG8,WRN-40-2 G(4)"), (("WRN-40-2", "G(N/8)"), ("WRN-40-2", "G(4)")))
    test_eq(pick_rows(cpu, "teacher"), (("WRN-16-2", "S"),))
    test_eq(len(pick_rows(paper, None)), 26)
    test_fail(lambda: pick_rows(cpu, "BG(2,M/9)"), contains="unknown row 'BG(2,M/9)'; did you mean BG(2,M/8)")
    test_fail(lambda: pick_rows(cpu, "16-3"), contains="did you mean 16-1")


def test_names_in_a_text():
    test_eq(names_in("scratch,at,at", METHODS, "method"), ["scratch", "at"])
    test_fail(lambda: names_in("scrach", METHODS, "method"), contains="did you mean scratch")
    test_eq(planned_recipe(PRESETS["table2"]["paper"], 20, "bf16", False).epoch_step, (6, 12, 16))
    test_fail(lambda: planned_recipe(PRESETS["table2"]["paper"], 0, "none", False), contains="epochs is 0")


def test_the_plan_by_hand():
    runs = plan_runs("table2", "smoke", rows="G(4),10-0.5", methods="scratch,at", seeds=2)
    test_eq(
        [run.name for run in runs],
        [
            "smoke-cifar10-WRN-10-1-S-teacher-seed0",
            "smoke-cifar10-WRN-10-1-G_4-scratch-seed0",
            "smoke-cifar10-WRN-10-1-G_4-at-seed0",
            "smoke-cifar10-WRN-10-0.5-S-scratch-seed0",
            "smoke-cifar10-WRN-10-0.5-S-at-seed0",
            "smoke-cifar10-WRN-10-1-G_4-scratch-seed1",
            "smoke-cifar10-WRN-10-1-G_4-at-seed1",
            "smoke-cifar10-WRN-10-0.5-S-scratch-seed1",
            "smoke-cifar10-WRN-10-0.5-S-at-seed1",
        ],
    )
    test_eq([run.teacher for run in runs], [None, *[None, runs[0].name] * 4])
    test_eq({run.recipe.seed - run.seed for run in runs}, {0})
    own = plan_runs("table2", "smoke", seeds=2, own_teachers=True)
    test_eq([run.teacher for run in own if run.method == "at" and run.seed == 1], [own[1].name] * 3)
    test_eq(len(plan_runs("table2", "paper")), 1 + 25 * 3 * 3)
    test_eq(len(plan_runs("table2", "cpu", methods="scratch", rows="G(4)")), 1)  # no teacher is needed
    test_eq(len(plan_runs("table3", "paper")), 1 + 4 * 2)
    taught = plan_runs("table2", "cpu", rows="G(4)", teacher="mine.pt")  # nor here: it exists already
    test_eq(
        [(run.method, run.teacher, run.given) for run in taught],
        [("scratch", None, None), ("kd", None, "mine.pt"), ("at", None, "mine.pt")],
    )
    for wrong in (dict(own_teachers=True), dict(rows="G(4),teacher")):
        test_fail(
            lambda: plan_runs("table2", "cpu", teacher="mine.pt", **wrong),
            contains="--teacher is the teacher of all",
        )


def test_machines_can_share_seeds():
    shared = dict(table="table2", preset="smoke", rows="G(4)", methods="at")
    test_eq([run.seed for run in plan_runs(**shared, seeds=2, first_seed=3)], [0, 3, 4])  # the teacher's is 0
    own = plan_runs(**shared, seeds=2, first_seed=3, own_teachers=True)
    test_eq(
        [(run.role, run.seed) for run in own], [("teacher", 3), ("teacher", 4), ("student", 3), ("student", 4)]
    )
    test_eq([run.teacher[-5:] for run in own[2:]], ["seed3", "seed4"])
    test_fail(lambda: plan_runs(**shared, first_seed=-1), contains="first_seed is -1")


def test_every_run_has_a_name_of_its_own():
    names = [
        run.name
        for table, presets in PRESETS.items()
        for preset, chosen in presets.items()
        for dataset in chosen.datasets
        for run in plan_runs(table, preset, dataset, methods=",".join(METHODS), seeds=2, own_teachers=True)
    ]
    test_eq(len(names), len(set(names)))
    assert all(
        set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+") for name in names
    )
    print(len(names), "names, e.g.", next(name for name in names if "BG_2_M-8" in name))
    for wrong, message in (
        (dict(table="table22"), "did you mean table2"),
        (dict(preset="cup"), "did you mean cpu"),
        (dict(methods="scrach,at"), "did you mean scratch"),
        (dict(seeds=0), "seeds is 0"),
        (dict(dataset="cifar1000"), "did you mean cifar100"),
        (dict(epochs=0), "epochs is 0"),
    ):
        test_fail(lambda: plan_runs(**wrong), contains=message)


def test_shards_are_a_partition():
    runs = plan_runs("table2", "cpu", seeds=2)
    for count in (1, 2, 3, 7, 80):
        shares = [share(runs, number, count) for number in range(1, count + 1)]
        test_eq(sorted(run.name for part in shares for run in part), sorted(run.name for run in runs))
        sizes = [sum(run.role == "student" for run in part) for part in shares]
        assert max(sizes) - min(sizes) <= 1
    part = [run for run in share(runs, 2, 3) if run.role == "student"]  # shard 2/3, split into 4 parts
    assert part[1::4] == share(runs, 2 + 1 * 3, 3 * 4)
    test_eq(parse_shard("2/5"), (2, 5))
    for wrong in ("0/3", "4/3", "2", "1/0", "a/b"):
        test_fail(lambda: parse_shard(wrong), contains="is not a valid shard")
