"""Generated from nbs/panels/56_loss_panels.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.panels.losses import *


import math
import os
import threading
import time

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch.nn import functional as F

from moonshine.losses.attention import activations, at_loss
from moonshine.losses.kd import kd_loss, soft_term, soft_weight
from moonshine.pretrained import network_input, trained_history, trained_network

os.environ["MOONSHINE_RAISE"] = "1"  # a callback that fails fails the test


def test_the_laboratory_is_kd_loss():
    for case, (s, t) in KD_CASES.items():
        s, t = (torch.tensor([z], dtype=torch.float64) for z in (s, t))
        s.requires_grad_()
        for T, alpha, convention in ((1.0, 0.5, "code"), (4.0, 0.9, "paper"), (8.0, 1.0, "standard")):
            data = kd_laboratory(case, T, alpha, convention)
            loss = kd_loss(s, t, torch.tensor([3]), T, alpha, convention)
            test_close(data["total"], loss.item(), 1e-12)
            test_close(data["gradients"]["total"], torch.autograd.grad(loss, s)[0][0], 1e-12)
            test_close(data["teacher"].sum(), 1, 1e-12)
    test_fail(lambda: kd_laboratory("student=teacher"), contains="did you mean student = teacher")


def test_without_alpha_it_is_cross_entropy():
    for case, (s, t) in KD_CASES.items():
        e = [math.exp(z) for z in s]
        onehot = [float(i == 3) for i in range(10)]  # the label, cat
        for T, convention in ((1.0, "code"), (16.0, "paper")):
            data = kd_laboratory(case, T, 0.0, convention)
            test_close(data["total"], -math.log(e[3] / sum(e)), 1e-12)
            test_close(data["gradients"]["total"].tolist(), [v / sum(e) - o for v, o in zip(e, onehot)], 1e-12)
            test_eq(data["gradients"]["soft"].abs().max().item(), 0)


def test_the_soft_term_stops_at_the_entropy():
    for T in (1.0, 4.0, 16.0):
        paper, code = (kd_laboratory("student = teacher", T, 1.0, convention) for convention in ("paper", "code"))
        entropy = -sum(p * math.log(p) for p in paper["teacher"].tolist())
        test_close([paper["floor"], paper["terms"]["soft"]], [entropy, entropy], 1e-12)
        test_close([code["floor"], code["terms"]["soft"]], [0, 0], 1e-12)
        for data in (paper, code):
            test_close(data["gradients"]["total"], torch.zeros(10), 1e-12)  # and yet no gradient
        assert paper["total"] > 0.3 * 2 * T**2
    for case in KD_CASES:
        for convention in ("paper", "code"):
            data = kd_laboratory(case, 4.0, 0.9, convention)
            assert data["terms"]["soft"] >= data["floor"] - 1e-12


def test_temperature_squared_keeps_the_scale():
    for case, (s, t) in KD_CASES.items():
        s, t = (torch.tensor(z, dtype=torch.float64) for z in (s, t))
        limit = 2 * 0.9 / 10 * ((s - s.mean()) - (t - t.mean()))
        far = kd_laboratory(case, 1e4, 0.9, "paper")["gradients"]["soft"]
        test_close(far, limit, 2e-3)
        if case == "student = teacher":
            continue
        size = {
            T: kd_laboratory(case, T, 0.9, "paper")["gradients"]["soft"].norm().item() for T in (1, 4, 16, 64)
        }
        assert all(1 / 5 < size[T] / size[1] < 5 for T in size)  # with T²: of one order
        assert size[64] / 64**2 < 1e-3 * size[1]  # without it: gone
        test_close(size[64] / 64**2 / (size[16] / 16**2), 1 / 16, 0.02)  # like 1/T²


def test_kd_panel_makes_its_point():
    panel = kd_panel()
    data = panel.data
    now, then = (
        unlikely_share(gradient, data["teacher_at_1"])
        for gradient in (data["gradients"]["soft"], data["soft_at_1"])
    )
    assert now > 3 * then and f"{100 * then:.0f} %" in panel.text
    assert "2T²α = 28.8; the released code uses a tenth" in panel.text and "can't be learned away" in panel.text
    panel.choose(convention="code")
    assert "2T²α/10 = 2.88; a tenth of the 28.8" in panel.text and "does reach 0" in panel.text
    panel.choose(convention="standard")
    assert "T²α = 14.4; half of the 28.8" in panel.text
    panel.press("student = teacher")
    assert "100 % of its value can't be learned away" in panel.text and "is 0 for every logit" in panel.text
    panel.press("no distillation")
    test_eq((panel.data["weights"]["soft"], panel.state), (0, KD_DEFAULT | dict(alpha=0.0)))  # a whole state


def test_the_laboratory_takes_logits_of_your_own():
    s, t = KD_CASES["both wrong: teacher says dog, student truck"]
    own, named = kd_laboratory(student=s, teacher=t), kd_laboratory("both wrong: teacher says dog, student truck")
    test_eq((own["total"], own["logits"]["teacher"].tolist()), (named["total"], list(t)))
    equal = kd_laboratory("your own", 4.0, 1.0, "code", student=s, teacher=s)
    test_close([equal["total"], equal["gradients"]["total"].abs().max()], [0, 0], 1e-12)
    one = kd_laboratory("student = teacher", alpha=1.0, convention="code", student=s)  # the teacher's stay
    assert one["total"] > 0.1
    test_fail(lambda: kd_laboratory("your own"), contains="unknown case")


def test_few_shapes_are_normalized_as_for_the_teacher():
    data = few_shapes()
    test_eq((len(data.train), len(data.test)), (400, 200))
    test_close(next(data.test_batches(200))[0], network_input(data.test.images), 1e-5)


def test_a_chunk_measures_every_term():
    learner = Learner(alpha=0.9, beta=1000, steps=1)
    before = learner.student.model.fc.weight.clone()
    x, y = next(iter(few_shapes().train_batches(50, 0, 0)))
    student = learner.student.model.train()
    logits, maps = activations(student, x)
    with torch.no_grad():
        target, goal = activations(trained_network("teacher"), x)
    row = learner.chunk()
    values = [F.cross_entropy(logits, y), soft_term(logits, target), sum(map(at_loss, maps, goal))]
    names = ("ce", "kd", "at")
    test_close([row[name] for name in names], [value.item() for value in values], 1e-4)
    test_close(row["total"], 0.1 * row["ce"] + 2.88 * row["kd"] + 1000 * row["at"], 1e-4)
    assert not torch.equal(before, learner.student.model.fc.weight) and 0 <= row["test_error"] <= 100
    test_eq((row["step"], learner.chunk()["step"]), (1, 2))
    learner.stopping.set()
    test_eq((learner.chunk(), learner.done), (None, 2))
    scratch = Learner(steps=1).chunk()  # the same start: the same values, another total
    test_close([scratch[name] for name in names], [row[name] for name in names], 1e-4)
    test_close(scratch["total"], scratch["ce"], 1e-6)


def test_where_total_and_error_disagree():
    def row(step, total, error):
        return dict(step=step, total=total, test_error=error, ce=total)


    rows = [row(1, 3.0, 50), row(2, 2.0, 60), row(3, 2.5, 90), row(4, 1.0, 95), row(5, 0.5, 10)]
    test_eq([r["step"] for r in worst_step(rows)], [1, 2])  # from 2 to 3 the total rose too
    test_eq(worst_step(rows[3:]), None)
    data = dashboard(dict(a=rows, b=[], c=rows[3:]))
    test_eq((data["parted"][0], data["last"]["c"]["step"], list(data["runs"])), ("a", 5, ["a", "c"]))
    test_eq(dashboard({})["parted"], None)
    test_eq([run_name(0, 0), run_name(0.9, 0)], ["scratch", "KD, α 0.9"])
    test_eq(run_name(0.5, 1000), "KD, α 0.5 + AT, β 1000")
    test_eq(len(recorded_rows("at", 3)), 3)
    test_eq([term_names(recorded_rows(name)) for name in ("scratch", "at")], [["ce"], ["ce", "at"]])
    test_eq(term_names([row(1, 3.0, 50) | dict(mine=1.0)]), ["ce", "mine"])


def test_training_panel_makes_its_point():
    panel = training_panel()
    name, a, b = panel.data["parted"]
    assert b["total"] < a["total"] and b["test_error"] > a["test_error"]
    assert f"total {a['total']:.3g} down to {b['total']:.3g}" in panel.text and "not the totals" in panel.text
    for run in ("scratch", "kd", "at"):
        row, shown = trained_history(run)[-1], panel.data["last"][run]
        test_eq((shown["total"], shown["test_error"]), (row["train_loss"], row["test_error"]))
    n = panel.renders
    panel.press("at")
    test_eq((panel.controls["beta"].value, panel.renders), (1000, n + 1))
    panel.choose(view="trained here")
    test_eq(panel.text, "Nothing trained yet: press train.")


def test_the_thread_trains_and_stops():
    made, threads = [], set()


    class Counter:
        def __init__(self, alpha, beta):
            self.chunks = 0
            made.append((alpha, beta))

        def chunk(self):
            time.sleep(0.02)
            threads.add(threading.current_thread())
            self.chunks += 1
            return dict(step=self.chunks, total=1 / self.chunks, ce=1.0, kd=1.0, at=1.0, test_error=50.0)


    panel = training_panel(Counter)
    panel.most = 10**6
    panel.press("train a chunk")
    panel.thread.join(5)
    test_eq((made, len(panel.rows[0, 0]), panel.running), ([(0, 0)], 1, False))
    panel.press("train")
    first, renders, start = panel.thread, panel.renders, time.monotonic()
    panel.press("train")
    panel.press("train a chunk")
    panel.press("replay")  # no second thread
    assert panel.thread is first and panel.controls["beta"].disabled
    while panel.renders < renders + 3 and time.monotonic() - start < 30:
        time.sleep(0.01)
    drawn, seconds = panel.renders - renders, time.monotonic() - start
    stop = time.monotonic()
    panel.press("stop")
    assert time.monotonic() - stop < 20 and not first.is_alive() and not panel.running
    assert 3 <= drawn <= 2 * seconds + 1  # at most twice a second
    test_eq((len(made), len(panel.rows[0, 0]), len(threads)), (1, panel.learners[0, 0].chunks, 2))
    assert panel.learners[0, 0].chunks > 5 and not panel.controls["beta"].disabled
    test_eq(panel.data["last"]["scratch"]["step"], panel.learners[0, 0].chunks)  # the last image has all
    panel.press("at")
    panel.press("train a chunk")
    panel.thread.join(5)
    test_eq((made, list(panel.data["runs"])), ([(0, 0), (0, 1000)], ["scratch", "AT, β 1000"]))


def test_words_while_nothing_is_trained():
    class Slow:
        go = threading.Event()

        def __init__(self, alpha, beta):
            self.chunks = 0

        def chunk(self):
            self.go.wait(10)
            return dict(step=2, total=1.0, ce=1.0, kd=1.0, at=1.0, test_error=50.0)


    panel = training_panel(Slow, view="trained here")
    test_eq(panel.text, "Nothing trained yet: press train.")
    panel.press("train")
    words = "The first chunk takes a few seconds, because the images are drawn first."
    test_eq(panel.text, f"Training: scratch. {words}")  # and nothing else
    start = time.monotonic()
    panel.press("stop")
    assert 0.9 < time.monotonic() - start < 2 and "Stopping, when the present chunk is done." in panel.text
    Slow.go.set()
    panel.thread.join(5)
    assert panel.text.startswith("Stopped.\nscratch, step 2") and "Training" not in panel.text
    panel.press("train a chunk")
    panel.thread.join(5)
    assert panel.text.startswith("scratch, step 2")  # nothing is left of the earlier note


def test_the_real_learner_stops_within_a_second():
    panel = training_panel()
    panel.press("at")
    panel.press("train")
    while not panel.rows and panel.thread.is_alive():
        time.sleep(0.01)
    assert "Training: AT, β 1000." in panel.note and "first chunk" not in panel.note
    start = time.monotonic()
    panel.press("stop")
    seconds = time.monotonic() - start
    assert not panel.running and panel.text.startswith("Stopped.\nAT, β 1000, step ")
    assert seconds < 1, seconds
    panel.press("train")
    start = time.monotonic()
    interrupt()
    panel.thread.join(5)
    assert time.monotonic() - start < 1 and panel.text.startswith("Interrupted.") and not BUSY


def test_an_error_in_the_learner_is_shown():
    class Broken:
        def __init__(self, alpha, beta):
            self.chunks = 0

        def chunk(self):
            self.chunks += 1
            if self.chunks == 3:
                raise ValueError("the disc is <full>")
            return dict(step=self.chunks, total=1.0, ce=1.0, kd=1.0, at=1.0, test_error=50.0)


    panel = training_panel(Broken)
    panel.press("train")
    panel.thread.join(5)
    assert not panel.thread.is_alive() and not panel.running and len(panel.rows[0, 0]) == 2
    assert "ValueError: the disc is <full>" in panel.text and "&lt;full&gt;" in panel.status.value
    panel.press("train a chunk")
    panel.thread.join(5)  # it keeps working
    test_eq((len(panel.rows[0, 0]), "failed" in panel.text), (3, False))


def test_replay_plays_the_recorded_epochs():
    panel = training_panel(view="trained here")
    panel.pause, seen = 0.01, []
    panel.image.observe(lambda change: seen.append(len(panel.data["runs"].get("at", ()))), names="value")
    panel.press("replay")
    panel.thread.join(200)
    assert panel.data["runs"]["at"] == recorded_rows("at") and not panel.running
    assert seen == sorted(seen) and len(set(seen)) > 8  # it grew, an epoch at a time
