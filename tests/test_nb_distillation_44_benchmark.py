"""Generated from nbs/distillation/44_benchmark.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.benchmarking import *


import json

import torch
from fastcore.test import test_close, test_eq, test_fail

from moonshine.costs.timing import Stopwatch
from moonshine.data.drawing import shapes
from moonshine.losses.attention import Taps, attention_map, student_loss
from moonshine.models.wide_resnet import wrn
from moonshine.training.loop import train_epoch
from moonshine.training.progress import Progress
from moonshine.training.recipe import Recipe
from moonshine.training.state import State, optimizer_for


def test_both_loops_have_the_same_loss():
    torch.manual_seed(0)
    student, teacher = Taps(wrn(10, 0.5, "G(N)")), Taps(wrn(10, 0.5).eval())
    x, y = torch.randn(8, 3, 32, 32), torch.arange(8)
    for alpha, beta in ((0.0, 1000.0), (0.9, 0.0), (0.5, 1000.0)):
        with torch.no_grad():
            out, target = student(x), teacher(x)
        ours, _ = student_loss(10, 3, alpha, beta)(out, target, y)
        test_close(ours.item(), textbook_loss(out, target, y, alpha, beta).item(), eps=1e-5)


def test_both_loops_take_the_same_steps():
    data = shapes(train=64, test=8)
    loss, recipe = student_loss(10, 3, 0.0, 10.0), Recipe(batch_size=32, learning_rate=0.01)
    states = []
    for loop in ("textbook", "ours"):
        torch.manual_seed(0)
        model, teacher = wrn(10, 0.5, "G(N)"), Taps(wrn(10, 0.5).eval().requires_grad_(False))
        student, optimizer = Taps(model), optimizer_for(model, recipe)
        batches = list(data.train_batches(32, 0, 0))
        if loop == "textbook":
            textbook_epoch(student, teacher, batches, optimizer, "cpu", 0.0, 10.0)
        else:
            train_epoch(student, teacher, data, loss, recipe, State(optimizer), Progress(range(1), True))
        states.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    test_close(*states, eps=1e-5)


def test_turns_medians_and_ratios():
    now, order = [0.0], []


    def side(name, cost):
        def work():
            watch = Stopwatch(clock=lambda: now[0])
            order.append(name)
            now[0] += cost * (3 if 4 <= len(order) <= 7 else 1)  # turns 4 to 7 of 10 find a slow machine
            return watch.stop()

        return work


    times = interleave(dict(textbook=side("textbook", 4.0), ours=side("ours", 1.0)), 5)
    test_eq(
        order,
        ["textbook", "ours", "ours", "textbook", "textbook", "ours"] + ["ours", "textbook", "textbook", "ours"],
    )
    test_eq(times, dict(textbook=[4, 12, 12, 4, 4], ours=[1, 1, 3, 3, 1]))
    row = compared(times, images=8)
    test_eq((row["ratios"], row["ratio"]), ([4, 12, 4, 1.333, 4], 4))
    test_eq(row["images_per_second"], dict(textbook=2, ours=8))


def test_a_training_step_is_three_forward_passes():
    test_eq(work_per_image("S", None), 3 * work_per_image("S", None, training=False))
    test_eq(work_per_image("G(N)", "S") - work_per_image("G(N)", None), work_per_image("S", None, training=False))
    assert product_peak(torch.float32, seconds=0.05) > 1e8


def test_memory_is_seen():
    def work_with(megabytes):
        return lambda: torch.ones(megabytes << 18).add_(1)


    found = peak_memory(work_with(200))
    assert found is None or 180e6 < found < 300e6, found
    assert found is None or peak_memory(work_with(50)) < 120e6


def test_a_row_at_toy_size():
    course = Course(shapes(train=32, test=16), torch.device("cpu"), batch_size=8, depth=10, width=0.5, amp="none")
    peaks = dict(float32=1e10, bfloat16=1e10)
    for case in (Case("AT", block="G(N)", beta=1000.0), Case("evaluation", "evaluate"), Case("data", "data")):
        row = measure(case, course, 2, peaks)
        test_eq([len(times) for times in row["seconds"].values()], [2, 2])
        test_close(row["ratio"], sum(row["ratios"]) / 2, eps=2e-3)
        test_eq(row["images"], dict(train=8, evaluate=100, data=320)[case.what])
        test_eq("share_of_peak" in row, case.what != "data")


def test_the_first_step_of_each_side():
    for side in ("textbook", "ours"):
        first_step(side, batch_size=2)


def test_parts_do_the_same_work():
    course = Course(shapes(train=8, test=8), torch.device("cpu"), batch_size=4, depth=10, width=0.5)
    for name, sides in parts(course).items():
        test_eq(len(sides), 2)
        assert all(side() > 0 for side in sides.values()), name
    x = torch.randn(2, 6, 4, 4)
    test_close(plain_map(x), attention_map(x), eps=1e-6)


def test_a_batch_that_fits_the_minute():
    test_eq([fitting_batch(s, turns=5, limit=20) for s in (0.01, 0.05, 0.2, 10)], [128, 64, 16, 8])


def test_the_result_is_json_with_every_time():
    said = []
    result = bench(
        shapes(train=16, test=8), pairs=2, quick=True, say=said.append, depth=10, width=0.5, batch_size=8
    )
    result = json.loads(json.dumps(result))
    test_eq([row["row"] for row in result["rows"]], list(QUICK))
    test_eq(
        set(result["machine"]),
        {"processor", "flags", "cores", "threads", "device", "gpu", "torch", "python", "system"},
    )
    for row in result["rows"]:
        test_eq([len(times) for times in row["seconds"].values()] + [len(row["ratios"])], [2, 2, 2])
    test_eq(len(said), 3)
    test_eq(len(bench_table(result).splitlines()), 3)
    test_fail(lambda: bench(pairs=0), contains="pairs is 0")
    print(heading(result), bench_table(result), sep="\n\n")
