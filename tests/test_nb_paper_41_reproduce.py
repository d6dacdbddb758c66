"""Generated from nbs/paper/41_reproduce.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.paper.runner import *


import contextlib
import hashlib
import io
import json
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from fastcore.test import test_close, test_eq, test_fail

from moonshine.data.datasets import shapes
from moonshine.methods import METHODS
from moonshine.paper.tables import paper_table
from moonshine.training.recipe import Recipe


def small_plan(**changes):
    "A teacher and three students on few images: (runs, name -> run, material)"
    runs = [
        replace(run, recipe=replace(run.recipe, batch_size=32, epochs=2, epoch_step=(1,)))
        for run in plan("table2", "smoke", rows="G(4)", methods="scratch,kd,at", seeds=1, **changes)
    ]
    return runs, {run.name: run for run in runs}, material(shapes(96, 32), "drawn shapes", False)


class AfterSteps:
    "Asks a run to stop once so many steps have been made, as a signal would"

    def __init__(self, steps):
        self.steps = steps

    @property
    def signal(self):
        self.steps -= 1
        return signal.SIGTERM if self.steps < 0 else None

    @signal.setter
    def signal(self, value):
        pass  # the run notes which signal all its processes agreed on


def without_times(history):
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in history]


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
        [Recipe().scaled_to(epochs).epoch_step for epochs in (1, 2, 20, 200)],  # 0.3, 0.6, 0.8 of them
        [(1, 1, 1), (1, 1, 2), (6, 12, 16), (60, 120, 160)],
    )
    large = PRESETS["table3"]["paper"].recipe
    test_eq([round(large.rate(epoch), 6) for epoch in (29, 30, 60, 99)], [0.1, 0.01, 0.001, 0.0001])


def test_networks_by_their_names():
    test_eq(
        [build(*row).title for row in (("WRN-16-2", "G(N/8)"), ("ResNet-18-0.5", "S"))],
        ["WRN-16-2 G(N/8)", "ResNet-18-0.5 S"],
    )
    test_fail(lambda: build("WRN-16", "S"), contains="is no network of the tables")


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


def test_the_plan_by_hand():
    runs = plan("table2", "smoke", rows="G(4),10-0.5", methods="scratch,at", seeds=2)
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
    own = plan("table2", "smoke", seeds=2, own_teachers=True)
    test_eq([run.teacher for run in own if run.method == "at" and run.seed == 1], [own[1].name] * 3)
    test_eq(len(plan("table2", "paper")), 1 + 25 * 3 * 3)
    test_eq(len(plan("table2", "cpu", methods="scratch", rows="G(4)")), 1)  # no teacher is needed
    test_eq(len(plan("table3", "paper")), 1 + 4 * 2)
    taught = plan("table2", "cpu", rows="G(4)", teacher="mine.pt")  # nor here: it is there already
    test_eq(
        [(run.method, run.teacher, run.given) for run in taught],
        [("scratch", None, None), ("kd", None, "mine.pt"), ("at", None, "mine.pt")],
    )
    for wrong in (dict(own_teachers=True), dict(rows="G(4),teacher")):
        test_fail(
            lambda: plan("table2", "cpu", teacher="mine.pt", **wrong), contains="--teacher is the teacher of all"
        )


def test_every_run_has_a_name_of_its_own():
    names = [
        run.name
        for table, presets in PRESETS.items()
        for preset, chosen in presets.items()
        for dataset in chosen.datasets
        for run in plan(table, preset, dataset, methods=",".join(METHODS), seeds=2, own_teachers=True)
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
        test_fail(lambda: plan(**wrong), contains=message)


def test_images_say_what_they_are():
    from PIL import Image


    def write(root, classes):
        for part in ("train", "test"):
            for name in classes:
                Path(root, part, name).mkdir(parents=True)
                Image.new("RGB", (32, 32), (len(name), 9, 9)).save(Path(root, part, name, "0.jpg"))


    cpu, smoke = PRESETS["table2"]["cpu"], PRESETS["table2"]["smoke"]
    with tempfile.TemporaryDirectory() as root:
        write(root, CIFAR10_CLASSES)
        found = read_material(cpu, "cifar10", root)
        test_eq((found.words, found.real), ("CIFAR-10 (JPEG), 10 training and 10 test images", True))
        test_eq(found.data.mean, (0.4914, 0.4822, 0.4465))
        test_fail(lambda: read_material(cpu, "cifar100", root), contains="has other classes than cifar100")
    with tempfile.TemporaryDirectory() as root:
        write(root, list("abcdefghij"))
        test_fail(lambda: read_material(cpu, "cifar10", root), contains="has other classes than cifar10")
        test_fail(lambda: read_material(cpu, "cifar10", root + "/nowhere"), contains="--download")
    drawn = read_material(smoke, "cifar10")
    few = fewer(drawn, 50)
    test_eq((drawn.real, few.real, few.words), (False, False, "drawn shapes, 50 training and 200 test images"))
    test_eq(few.data.train.labels.bincount().tolist(), [5] * 10)
    first = (drawn.data.train.labels == 3).nonzero().flatten()[:5]
    test_eq(few.data.train.images[few.data.train.labels == 3], drawn.data.train.images[first])
    assert few.fingerprint != drawn.fingerprint
    for wrong in (55, 0, -10, 10**6):
        test_fail(lambda: fewer(drawn, wrong), contains="a multiple of 10")
    test_fail(lambda: read_material(PRESETS["table3"]["smoke"], "imagenet"), contains="table3 needs --data_dir")


def test_the_fingerprint_changes_with_what_decides_and_nothing_else():
    runs = {run.name: run for run in plan("table2", "smoke", methods="scratch,at")}
    teacher, scratch, at = list(runs.values())[:3]
    of = lambda run, images="p", runs=runs: fingerprint(run, images, runs)
    was, recipe = of(at), at.recipe
    changes = [
        replace(at, network="WRN-16-1"),
        replace(at, block="G(N)"),
        replace(at, method="kd"),
        replace(at, seed=9),
        replace(at, dataset="cifar100"),
        replace(at, teacher=None),
        *[
            replace(at, recipe=replace(recipe, **{name: value}))
            for name, value in dict(
                epochs=7,
                batch_size=5,
                learning_rate=0.2,
                lr_decay_ratio=0.3,
                epoch_step=(1,),
                momentum=0.8,
                weight_decay=1e-3,
                seed=4,
                amp="bf16",
                augmentation=(),
            ).items()
        ],
    ]
    marks = [was, of(at, "other images"), *map(of, changes)]
    longer = {**runs, teacher.name: replace(teacher, recipe=replace(teacher.recipe, epochs=9))}
    marks.append(of(at, runs=longer))  # another teacher
    test_eq(len(marks), len(set(marks)))
    test_eq(of(scratch), of(scratch, runs=longer))  # who is not taught does not mind
    test_eq(of(replace(at, preset="mine", table="table9")), was)
    assert of(replace(at, recipe=replace(recipe, compile=True))) not in marks
    with tempfile.TemporaryDirectory() as root:
        files = [Path(root, name) for name in "abc"]
        for path, content in zip(files, (b"one", b"one", b"two")):
            path.write_bytes(content)
        one, same, two = (of(replace(at, teacher=None, given=str(path))) for path in files)
    assert one == same and len({one, two, was}) == 3
    test_fail(
        lambda: of(replace(at, teacher=None, given="nowhere.pt")), contains="--teacher nowhere.pt: No such file"
    )
    by_hand = '{"a":[1,2.5],"b":null}'  # sorted keys, no spaces
    test_eq(digest(dict(b=None, a=(1, 2.5))), hashlib.sha256(by_hand.encode()).hexdigest())


def test_a_changed_result_is_refused():
    with tempfile.TemporaryDirectory() as root:
        path = Path(root, "result.json")
        write_result(path, dict(format=1, last=dict(test_error=7.25), history=[dict(epoch=1)], block="G(N/8)"))
        whole = path.read_bytes()
        test_eq(read_result(path)["last"], dict(test_error=7.25))
        for at in range(len(whole.rstrip()) - 1):  # truncated anywhere
            path.write_bytes(whole[:at])
            test_fail(lambda: read_result(path), contains="result.json")
        digits = [at for at in range(len(whole)) if chr(whole[at]) in "0123456789abcdef"]
        for at in digits:  # a digit is another digit
            path.write_bytes(whole[:at] + (b"1" if whole[at : at + 1] != b"1" else b"2") + whole[at + 1 :])
            test_fail(lambda: read_result(path), contains="result.json")
    print(f"{len(whole)} truncations and {len(digits)} changes, none went unnoticed")


def test_how_a_run_stands():
    with tempfile.TemporaryDirectory() as root:
        place = Path(root, "a")
        test_eq(standing(place, "f")[0], "missing")
        place.mkdir()
        Path(place, "run.json").write_text('{"fingerprint": "f"}')
        test_eq([standing(place, mark)[0] for mark in "fg"], ["started", "changed"])
        write_result(place / "result.json", dict(format=1, fingerprint="f"))
        test_eq([standing(place, mark)[0] for mark in "fg"], ["finished", "changed"])
        Path(place, "result.json").write_text("{")
        test_eq(standing(place, "f"), ("broken", f"{place / 'result.json'} is no whole JSON file (truncated?)"))
        test_eq([retire(place).name, place.exists()], ["a.1", False])
        place.mkdir()
        test_eq(retire(place).name, "a.2")
        assert Path(root, "previous", "a.1", "result.json").read_text() == "{"


def test_a_finished_run_is_never_computed_again():
    runs, known, data = small_plan()
    with tempfile.TemporaryDirectory() as out:
        results = [execute(run, known, out, data, quiet=True, say=None) for run in runs]

        def seen():
            return {
                str(path): (path.stat().st_mtime_ns, path.read_bytes())
                for path in Path(out).rglob("*")
                if path.is_file()
            }

        before = seen()
        again = [execute(run, known, out, data, quiet=True, say=None) for run in runs]
        assert seen() == before and again == results
        test_eq(
            sorted(path.name for path in Path(out, runs[3].name).iterdir() if path.is_file()),
            ["network.before.pt", "network.jsonl", "network.pt", "result.json", "run.json"],
        )
    at = results[3]
    test_eq((at["method"], at["teacher"], at["beta"], at["epochs"]), ("at", runs[0].name, 1000.0, 2))
    test_eq(
        [at["last"]["test_error"], at["best"]["test_error"]],
        [at["history"][-1]["test_error"], min(row["test_error"] for row in at["history"])],
    )
    assert [set(result["history"][0]) & {"kd", "at"} for result in results] == [set(), set(), {"kd"}, {"at"}]
    print({key: at[key] for key in ("data", "network", "block", "parameters", "mult_adds", "last")})


def test_a_run_is_that_of_the_trainer_and_stopped_or_not_it_is_the_same():
    from moonshine.losses.base import cross_entropy
    from moonshine.training.loop import fit

    runs, known, data = small_plan()
    scratch, at = runs[1], runs[3]
    with tempfile.TemporaryDirectory() as out, tempfile.TemporaryDirectory() as other:
        whole = [execute(run, known, out, data, quiet=True) for run in runs]
        execute(runs[0], known, other, data, quiet=True)
        test_eq(execute(at, known, other, data, stop=AfterSteps(2), quiet=True), None)  # in the first epoch
        test_eq(standing(Path(other, at.name), whole[3]["fingerprint"])[0], "started")
        test_eq(execute(at, known, other, data, stop=AfterSteps(3), quiet=True), None)  # later
        parts = execute(at, known, other, data, quiet=True)
    test_eq(without_times(parts["history"]), without_times(whole[3]["history"]))
    torch.manual_seed(0)
    plain = fit(build("WRN-10-1", "G(4)"), data.data, cross_entropy(), scratch.recipe, quiet=True)
    test_eq(without_times(plain), without_times(whole[1]["history"]))


def test_a_teacher_trained_elsewhere():
    runs, known, data = small_plan()
    with tempfile.TemporaryDirectory() as out, tempfile.TemporaryDirectory() as other:
        whole = [execute(run, known, out, data, quiet=True) for run in runs]
        path = Path(out, runs[0].name, "network.pt")
        (at,) = [replace(run, teacher=None, given=str(path)) for run in runs if run.method == "at"]
        taught = execute(at, {at.name: at}, other, data, quiet=True)
        kept = {file: file.stat().st_mtime_ns for file in Path(other, "given").iterdir()}
        test_eq(given_teacher(str(path), Path(other), data), taught["given"])  # read, not measured again
        assert (
            kept == {file: file.stat().st_mtime_ns for file in Path(other, "given").iterdir()} and len(kept) == 1
        )
        hundred = material(replace(shapes(20, 20), classes=tuple(map(str, range(100)))), "x")
        test_fail(lambda: given_teacher(str(path), Path(other), hundred), contains="tells 10 classes apart")
    test_eq(
        without_times(taught["history"]), without_times(whole[3]["history"])
    )  # the same teacher, the same student
    test_close(taught["given"]["test_error"], whole[0]["last"]["test_error"])
    test_eq((taught["teacher"], taught["given"]["network"]), ("network.pt", "WRN-10-1 S"))
    assert "given" not in whole[3]


def test_changed_and_broken_results_are_told_and_made_again():
    runs, known, data = small_plan()
    teacher, told = runs[0], []
    with tempfile.TemporaryDirectory() as out:
        first = execute(teacher, known, out, data, quiet=True)
        path = Path(out, teacher.name, "result.json")
        whole = path.read_text()
        for damaged in (whole[: len(whole) // 2], whole.replace('"test_error": ', '"test_error": 1')):
            path.write_text(damaged)
            again = execute(teacher, known, out, data, quiet=True, say=told.append)
            test_eq(without_times(again["history"]), without_times(first["history"]))
        assert "truncated?" in told[0] and "its checksum differs" in told[1], told
        longer = replace(teacher, recipe=replace(teacher.recipe, epochs=3))
        test_eq(
            len(
                execute(longer, known | {longer.name: longer}, out, data, quiet=True, say=told.append)["history"]
            ),
            3,
        )
        assert "made by another recipe" in told[2]
        test_eq(
            sorted(path.name for path in Path(out, "previous").iterdir()),
            [f"{teacher.name}.{i}" for i in (1, 2, 3)],
        )
        assert Path(out, "previous", f"{teacher.name}.1", "result.json").read_text() == whole[: len(whole) // 2]
        Path(out, teacher.name, "network.pt").unlink()
        test_fail(lambda: execute(runs[3], known, out, data, quiet=True), contains="a result alone can't teach")


def test_the_estimate_by_hand():
    preset = PRESETS["table2"]["cpu"]
    teacher, scratch, at = plan("table2", "cpu", rows="G(4)", methods="scratch,at", epochs=10)
    made_up = lambda network, block, classes, size, recipe, device, training: 0.003 if training else 0.001
    seconds = [run_seconds(run, preset, (1000, 300), 10, measure=made_up) for run in (scratch, at)]
    test_close(seconds, [10 * (1000 * 0.003 + 300 * 0.001), 10 * (1000 * 0.004 + 300 * 0.001)])
    test_eq(
        [duration(s) for s in (12.34, 720, 86400, 1e8)], ["12.3 seconds", "12 minutes", "24 hours", "1,157 days"]
    )
    each = image_seconds("WRN-10-1", "S", 10, 32, Recipe(batch_size=16))
    assert 1e-6 < each < 1 and image_seconds("WRN-10-1", "S", 10, 32, Recipe(batch_size=16)) == each  # not again


def test_shards_are_a_partition():
    runs = plan("table2", "cpu", seeds=2)
    for count in (1, 2, 3, 7, 80):
        shares = [share(runs, number, count) for number in range(1, count + 1)]
        test_eq(sorted(run.name for part in shares for run in part), sorted(run.name for run in runs))
        sizes = [sum(run.role == "student" for run in part) for part in shares]
        assert max(sizes) - min(sizes) <= 1
    part = [
        run for run in share(runs, 2, 3) if run.role == "student"
    ]  # a shard in shards: those of 2/3, in 4 parts
    assert part[1::4] == share(runs, 2 + 1 * 3, 3 * 4)
    test_eq(parse_shard("2/5"), (2, 5))
    for wrong in ("0/3", "4/3", "2", "1/0", "a/b"):
        test_fail(lambda: parse_shard(wrong), contains="is no share")
    runs, known, data = small_plan()
    with tempfile.TemporaryDirectory() as out:
        test_fail(
            lambda: check_teachers(share(runs, 2, 3), known, Path(out), data), contains="is not finished in"
        )
        check_teachers(share(runs, 1, 3), known, Path(out), data)  # it trains the teacher itself
        execute(runs[0], known, out, data, quiet=True)
        check_teachers(share(runs, 2, 3), known, Path(out), data)


def test_options_are_flags():
    test_eq(
        flags_of(dict(preset="cpu", rows="G(N/8),B(2)", seeds=None, own_teachers=True, quiet=False, epochs=3)),
        ["--preset", "cpu", "--rows", "G(N/8),B(2)", "--own_teachers", "--epochs", "3"],
    )


def test_the_plan_in_words():
    runs = plan("table2", "cpu")
    made_up = lambda network, block, classes, size, recipe, device, training: 0.003 if training else 0.001
    text = plan_text(runs, Path("out"), None, measure=made_up)
    print(text)
    assert "one teacher for all students, as in the paper" in text and "28 runs in out; 28 are to be run" in text
    small, _, data = small_plan()
    with tempfile.TemporaryDirectory() as out:
        Path(out, small[1].name).mkdir()
        Path(out, small[1].name, "result.json").write_text("{")
        told = plan_text(small, Path(out), data, measure=made_up)
    assert "of these 3 not begun, 1 not whole (moved aside, made again)" in told, told
    each = 8 * (50000 * 0.003 + 10000 * 0.001)  # from scratch; KD and AT also ask the teacher
    assert f"about {duration(28 * each + 18 * 8 * 50000 * 0.001)} on" in text


def test_plans_of_tables_3_and_4():
    runs = plan("table3", "paper")
    text = table3_needs(runs, None)
    test_eq(text.count("moonshine train imagenet"), 9)
    assert (
        "student --alpha 0 --beta 1000 --network resnet18_half --conv S -t paper-imagenet-ResNet-34-S-teacher-seed0"
        in text
    )
    four = table4_plan()
    print(four)
    assert "2,073,428" in four and "503,956" in four and "segmentation.ipynb" in four


def test_the_smoke_preset_end_to_end():
    with tempfile.TemporaryDirectory() as out:
        arguments = dict(
            table="table2",
            preset="smoke",
            rows="G(4)",
            methods="scratch,at",
            seeds=1,
            out=out,
            quiet=True,
            epochs=1,
            no_plan=True,
            device="cpu",
        )
        test_eq(reproduce(**arguments), True)
        finished = sorted(path.parent.name for path in Path(out).glob("*/result.json"))
        test_eq(
            finished,
            sorted(run.name for run in plan("table2", "smoke", rows="G(4)", methods="scratch,at", seeds=1)),
        )
        test_fail(lambda: reproduce("table2", "cpu", data_dir=out, out=out, no_plan=True), contains="--download")
        with contextlib.redirect_stdout(io.StringIO()) as said:
            test_eq(reproduce("table2", "cpu", data_dir=out, out=out, no_plan=True, dry_run=True), True)
    assert said.getvalue().startswith("not run: no cifar10")
