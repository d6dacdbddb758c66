"""Generated from nbs/distillation/43_demonstration.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.demonstration import *


import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from fastcore.test import test_eq, test_fail

from moonshine.data.drawing import shapes
from moonshine.models.wide_resnet import wrn
from moonshine.pretrained import trained_facts, trained_network, trained_normalization


def invented(scratch, at, kd, both, seed=0):
    "Rows of a seed with these test errors"
    errors = dict(zip(SHOWN.values(), (scratch, at, kd, both)))
    measured = dict(map_distance=1.0, on_object=0.4, seconds=9.0)
    return [dict(network=name, seed=seed, test_error=error, **measured) for name, error in errors.items()]


def test_attention_transfer_has_the_weight_of_the_demonstration():
    test_eq([demo_method(name).beta for name in SHOWN], [0, 100, 0, 100])
    test_eq([demo_method(name, beta=7).beta for name in SHOWN], [0, 7, 0, 7])
    assert not demo_method("scratch").needs_teacher


def test_the_few_images_are_normalized_as_the_teachers():
    data = demo_data(20, 10)
    test_eq(data.normalization(), trained_normalization())
    assert data.normalization() != shapes(20, 10).normalization()
    assert all(torch.equal(a, b) for a, b in zip(new_student(1).parameters(), new_student(1).parameters()))


def test_a_network_looks_like_itself():
    data = shapes(train=20, test=10)
    a, b = wrn(10, 0.5), wrn(10, 0.5)
    test_eq(measure_maps(a, a, data)["map_distance"], 0)
    assert measure_maps(a, b, data)["map_distance"] > 0
    assert 0 < measure_maps(a, b, data)["on_object"] < 1


def test_a_job_decides_its_result():
    tiny = replace(RECIPE, epochs=2, warmup=0)
    said, (job, *_) = [], demo_jobs(seeds=[3], train=32, test=16, recipe=tiny)
    model, row = train_student(job, said.append)
    test_eq((len(said), row["network"], row["seed"]), (2, "scratch", 3))
    assert said[0].startswith("scratch, seed 3: epoch 1 of 2, training error") and "test error" in said[1]
    again, same = train_student(job, said.append)
    test_eq(row | dict(seconds=0), same | dict(seconds=0))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters()))
    test_eq(json.loads(json.dumps(job.facts())), job.facts())


def test_students_are_the_same_however_they_are_divided():
    from moonshine import demonstration  # a process finds functions by the name of their module

    tiny = replace(RECIPE, epochs=1, warmup=0)
    jobs = demonstration.demo_jobs(train=32, test=16, recipe=tiny)[2:]
    alone, together = (
        {
            job.title: (model, row)
            for job, model, row in demonstration.train_students(jobs, count, lambda line: None)
        }
        for count in (1, 2)
    )
    test_eq(set(alone), set(together))
    for title, (model, row) in alone.items():
        other, its = together[title]
        test_eq(row | dict(seconds=0), its | dict(seconds=0))
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters()))


def test_an_error_in_a_process_ends_the_demonstration():
    import multiprocessing

    from moonshine import demonstration

    wild = replace(RECIPE, epochs=2, warmup=0, learning_rate=1e30)
    jobs = demonstration.demo_jobs(train=64, test=16, recipe=wild)[:2]
    test_fail(lambda: list(demonstration.train_students(jobs, 2)), contains="the loss is")
    assert not multiprocessing.active_children()
    pipe, process = demonstration.start(jobs[0])
    process.kill()
    test_fail(lambda: demonstration.received(pipe, process, jobs[0]), contains="ended with exit code -9")


def test_the_message_says_what_the_results_are():
    good, bad, mixed = invented(20, 12, 9, 7), invented(7, 8, 9, 6.9), invented(20, 20.5, 25, 12)
    for rows in (good, bad, mixed):
        print(*message(rows), claim_sentence(rows), sep="\n", end="\n\n")
    assert "7.0 % (KD + AT): 35 % of the errors" in message(good)[1]
    assert "AT lowers the error to 12.0 %, and KD lowers the error to 9.0 %" in message(good)[2]
    assert "No kind of distillation clearly helps" in message(bad)[1]
    assert "AT makes no clear difference (20.5 %), and KD raises the error to 25.0 %" in message(mixed)[2]
    test_eq([holds(rows) for rows in (good, bad, mixed)], [True, False, False])
    test_eq(held(good + invented(20, 21, 9, 7, seed=4)), {0: True, 4: False})
    assert claim_sentence(good + invented(20, 21, 9, 7, seed=4)).endswith("holds for 1 of 2 seeds.")
    test_eq((plus_minus([1, 3]), plus_minus([1.25], 2)), ("2.0 ± 1.4", "1.25"))


def test_looking_at_test_images():
    data = shapes(train=20, test=10)
    networks = dict(a=wrn(10, 0.5), b=wrn(10, 1))
    seen = group_activations(networks, data.test.select(slice(4)), data.normalization())
    test_eq((seen["a"].shape, seen["b"].shape), ((4, 16, 16, 16), (4, 32, 16, 16)))
    test_eq(list(maps_columns(networks, data)), ["image", "object", "a", "b"])
    test_eq(len(maps_figure(networks, data, which=range(3)).axes), 12)


def test_the_figure_shows_errors_costs_and_maps():
    rows = invented(20, 12, 9, 7) + invented(22, 13, 9, 8, seed=1)
    networks = {name: new_student(0) for name in ("teacher", *SHOWN.values())}
    teacher = dict(network="teacher", seed=None, test_error=1.0, map_distance=0, on_object=0.4, seconds=1)
    figure = demo_figure([teacher, *rows], networks, demo_data(20, 10))
    bars, *maps = figure.axes
    test_eq(len(maps), 4 * 7)
    labels = [label.get_text() for label in bars.get_yticklabels()]
    test_eq(len(labels), 5)
    assert labels[4].startswith("KD + AT\n25.3 k parameters"), labels[4]
    test_eq([in_short(number) for number in (999, 14250, 175000, 2476672)], ["999", "14.2 k", "175 k", "2.5 M"])
    test_eq(table([teacher, *rows])[1]["test_error"], "21.0 ± 1.4 %")


def test_a_tiny_demo_writes_its_files():
    tiny = dict(train=64, test=32, recipe=replace(RECIPE, epochs=1, warmup=0), processes=1)
    with tempfile.TemporaryDirectory() as folder:
        said = []
        rows = demo(folder, seeds=2, seed=5, **tiny, say=said.append)
        test_eq(sorted(p.name for p in Path(folder).iterdir()), ["demo.png", "results.json"])
        assert Path(folder, "demo.png").stat().st_size > 1000
        written = json.loads(Path(folder, "results.json").read_text())
        test_eq((written["rows"], written["seeds"], written["wall"]["processes"]), (rows, [5, 6], 1))
        test_eq([row["network"] for row in rows], ["teacher", *SHOWN.values(), *SHOWN.values()])
        test_eq((rows[0]["map_distance"], written["methods"]["AT"]["beta"]), (0, 100))
        assert "of 2 seeds." in "\n".join(said) and "demo.png" in said[-1]


def test_a_demo_says_what_is_wrong_first():
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder, "taken")
        taken.touch()
        test_fail(lambda: demo(taken), contains="is a file; name a folder")
        test_fail(lambda: demo(folder, seeds=0), contains="seeds is 0")
        test_fail(lambda: demo(folder, processes=0), contains="processes is 0")
        test_fail(lambda: demo(folder, seed=-1), contains="seed is -1")
        said = []
        with patch.dict(sys.modules, {"matplotlib.figure": None}):
            tiny = replace(RECIPE, epochs=1, warmup=0)
            demo(folder, train=32, test=16, recipe=tiny, processes=1, say=said.append)
        assert "no figure" in said[-1]
        test_eq(sorted(p.name for p in Path(folder).iterdir()), ["results.json", "taken"])


def test_recorded_students_are_not_trained_again():
    jobs = demo_jobs(train=32, test=16, recipe=replace(RECIPE, epochs=1, warmup=0))
    with tempfile.TemporaryDirectory() as folder:
        path, said = Path(folder, "rows.jsonl"), []
        test_eq(read_lines(path), [])
        train_recorded(jobs[:1], path, say=said.append)
        with open(path, "a") as file:
            file.write('{"torn": ')
        train_recorded(jobs[:2], path, say=said.append)
        test_eq([row["network"] for row in read_lines(path)], ["scratch", "AT"])
        test_eq(
            [line for line in said if "students" in line],
            ["1 students, 0 of them recorded", "2 students, 1 of them recorded"],
        )


def test_students_with_other_settings_are_left_out():
    one, other = demo_jobs([3], threads=2)[0], demo_jobs([3], train=32)[0]
    recorded = [dict(seed=3, job=job.facts()) for job in (one, other)]
    test_eq(by_condition(recorded), {(2, "none"): recorded[:1]})
