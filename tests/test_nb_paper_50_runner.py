"""Generated from nbs/paper/50_runner.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.paper.runner import *


import contextlib
import io
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from fastcore.test import test_close, test_eq, test_fail

from moonshine.data.drawing import shapes
from moonshine.paper.estimates import duration
from moonshine.paper.planning import PRESETS, build, plan_runs, share
from moonshine.paper.results import standing


def changed_runs(at):
    "A run with one thing changed, for each thing that decides its result"
    recipes = dict(epochs=7, batch_size=5, learning_rate=0.2, lr_decay_ratio=0.3, epoch_step=(1,))
    recipes |= dict(momentum=0.8, weight_decay=1e-3, seed=4, amp="bf16", augmentation=())
    yield replace(at, network="WRN-16-1")
    yield replace(at, block="G(N)")
    yield replace(at, method="kd")
    yield replace(at, seed=9)
    yield replace(at, dataset="cifar100")
    yield replace(at, teacher=None)
    for name, value in recipes.items():
        yield replace(at, recipe=replace(at.recipe, **{name: value}))


def small_plan(**changes):
    "A teacher and three students on few images: (runs, name -> run, material)"
    runs = [
        replace(run, recipe=replace(run.recipe, batch_size=32, epochs=2, epoch_step=(1,)))
        for run in plan_runs("table2", "smoke", rows="G(4)", methods="scratch,kd,at", seeds=1, **changes)
    ]
    return runs, {run.name: run for run in runs}, described(shapes(96, 32), "drawn shapes", False)


class AfterSteps:
    "Asks a run to stop after so many steps, as a signal would"

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


def test_images_in_words():
    test_eq(
        described(shapes(20, 10), "drawn shapes", False).words, "drawn shapes, 20 training and 10 test images"
    )
    test_eq(paper_name("cifar100"), "CIFAR-100")


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
    few = fewer(drawn, 5)
    test_eq((drawn.real, few.real, few.words), (False, False, "drawn shapes, 50 training and 200 test images"))
    test_eq(few.data.train.labels.bincount().tolist(), [5] * 10)
    first = (drawn.data.train.labels == 3).nonzero().flatten()[:5]
    test_eq(few.data.train.images[few.data.train.labels == 3], drawn.data.train.images[first])
    assert few.fingerprint != drawn.fingerprint
    for wrong in (0, -1, 52):
        test_fail(lambda: fewer(drawn, wrong), contains="it must be between 1 and 51")
    test_fail(lambda: read_material(PRESETS["table3"]["smoke"], "imagenet"), contains="table3 needs --data_dir")


def test_the_fingerprint_changes_with_what_decides_and_nothing_else():
    runs = {run.name: run for run in plan_runs("table2", "smoke", methods="scratch,at")}
    teacher, scratch, at = list(runs.values())[:3]


    def of(run, images="p", runs=runs):
        return fingerprint(run, images, runs)


    was = of(at)
    marks = [was, of(at, "other images"), *map(of, changed_runs(at))]
    longer = {**runs, teacher.name: replace(teacher, recipe=replace(teacher.recipe, epochs=9))}
    marks.append(of(at, runs=longer))  # another teacher
    test_eq(len(marks), len(set(marks)))
    test_eq(of(scratch), of(scratch, runs=longer))  # an untaught student does not depend on the teacher
    test_eq(of(replace(at, preset="mine", table="table9")), was)
    assert of(replace(at, recipe=replace(at.recipe, compile=True))) not in marks
    with tempfile.TemporaryDirectory() as root:
        files = [Path(root, name) for name in "abc"]
        for path, content in zip(files, (b"one", b"one", b"two")):
            path.write_bytes(content)
        one, same, two = (of(replace(at, teacher=None, given=str(path))) for path in files)
    assert one == same and len({one, two, was}) == 3
    test_fail(
        lambda: of(replace(at, teacher=None, given="nowhere.pt")), contains="--teacher nowhere.pt: No such file"
    )


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
        hundred = described(replace(shapes(20, 20), classes=tuple(map(str, range(100)))), "x")
        test_fail(lambda: given_teacher(str(path), Path(other), hundred), contains="has 10 classes, but")
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
        longer_plan = known | {longer.name: longer}
        test_eq(len(execute(longer, longer_plan, out, data, quiet=True, say=told.append)["history"]), 3)
        assert "made by another recipe" in told[2]
        test_eq(
            sorted(path.name for path in Path(out, "previous").iterdir()),
            [f"{teacher.name}.{i}" for i in (1, 2, 3)],
        )
        assert Path(out, "previous", f"{teacher.name}.1", "result.json").read_text() == whole[: len(whole) // 2]
        Path(out, teacher.name, "network.pt").unlink()
        test_fail(lambda: execute(runs[3], known, out, data, quiet=True), contains="a result alone can't teach")


def test_a_shard_needs_its_teacher():
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
        flags_of(
            dict(preset="cpu", rows="G(N/8),B(2)", seeds=None, own_teachers=True, quiet=False, eval_every=0)
        ),
        ["--preset", "cpu", "--rows", "G(N/8),B(2)", "--own_teachers", "--eval_every", "0"],
    )


def test_the_plan_in_words():
    runs = plan_runs("table2", "cpu")


    def known(*network_and_recipe):
        return 0.003 if network_and_recipe[-1] else 0.001  # training, or a forward pass


    text = plan_text(runs, Path("out"), None, measure=known)
    print(text)
    assert "one teacher for all students, as in the paper" in text and "28 runs in out; 28 are to be run" in text
    small, _, data = small_plan()
    with tempfile.TemporaryDirectory() as out:
        Path(out, small[1].name).mkdir()
        Path(out, small[1].name, "result.json").write_text("{")
        told = plan_text(small, Path(out), data, measure=known)
    assert "of these 3 not begun, 1 damaged (moved aside, made again)" in told, told
    each = 8 * (50000 * 0.003 + 10000 * 0.001)  # from scratch; KD and AT also ask the teacher
    assert f"about {duration(28 * each + 18 * 8 * 50000 * 0.001)} on" in text


def test_the_smoke_preset_end_to_end():
    with tempfile.TemporaryDirectory() as out:
        few = dict(rows="G(4)", methods="scratch,at", seeds=1)
        how = dict(out=out, quiet=True, epochs=1, no_plan=True, device="cpu")
        test_eq(reproduce("table2", "smoke", **few, **how), True)
        finished = sorted(path.parent.name for path in Path(out).glob("*/result.json"))
        test_eq(finished, sorted(run.name for run in plan_runs("table2", "smoke", **few)))
        test_fail(lambda: reproduce("table2", "cpu", data_dir=out, out=out, no_plan=True), contains="--download")
        with contextlib.redirect_stdout(io.StringIO()) as said:
            test_eq(reproduce("table2", "cpu", data_dir=out, out=out, no_plan=True, dry_run=True), True)
    assert said.getvalue().startswith("not run: no cifar10")
