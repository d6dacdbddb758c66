"""What a GPU will run first, as far as a CPU can: on a GPU that is not there, on "meta", compiled, collected.

The gradients are computed on "meta", because on a fake GPU autograd asks the driver for a stream, and there
is none. What depends on values (the split of validation images, NaN) is decided on the CPU anyway. The tests
at the end are for a real GPU: `python -m pytest -m cuda --cuda tests`.
"""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from conftest import COURSE
from fake_gpu import fake_gpu
from torch import nn

from moonshine import benchmarking
from moonshine.costs.latency import cost_table
from moonshine.data.drawing import shapes
from moonshine.data.images import normalize
from moonshine.distillation import distill
from moonshine.losses.attention import dimensions_of, taps_for
from moonshine.losses.base import LOSSES, Loss, Term, build_loss, cross_entropy
from moonshine.methods import METHODS
from moonshine.models.wide_resnet import wrn
from moonshine.paper import runner
from moonshine.paper.estimates import image_seconds
from moonshine.paper.planning import PRESETS, build
from moonshine.training.loop import evaluate, fit, train_step
from moonshine.training.recipe import Recipe
from moonshine.training.state import optimizer_for

ROWS = [PRESETS["table2"]["paper"].teacher, *PRESETS["table2"]["paper"].students]
ONE_EPOCH = Recipe(epochs=1, batch_size=32)


@pytest.fixture(scope="module")
def data():
    """Make a few drawn images, which are real: how they are normalized depends on their values."""
    return shapes(64, 32)


def kind_of(network):
    """Return where the weights are."""
    return {value.device.type for value in network.state_dict().values()}


# On a fake GPU


def test_a_fake_gpu_notices_a_mix_of_devices(data):
    def weighted_by_class(student, teacher, labels):
        return (student.logits * torch.ones(10)).mean()  # ten weights that were left on the CPU

    loss = cross_entropy() + Loss(Term("mine", 1.0, weighted_by_class, "weighted logits"))
    with fake_gpu(), pytest.raises(RuntimeError, match="two different devices cuda:0, cpu|device"):
        fit(wrn(10, 1).to("cuda"), data, loss, ONE_EPOCH, quiet=True)


@pytest.mark.parametrize("amp", ["none", "bf16"])
@pytest.mark.parametrize("method", METHODS)
def test_an_epoch_by_every_method(data, method, amp):
    recipe = replace(ONE_EPOCH, amp=amp, augmentation=("pad_crop", "flip", "cutout"))
    with fake_gpu():
        student, teacher = wrn(10, 1, "G(4)").to("cuda"), wrn(10, 1).to("cuda")
        history = fit(student, data, METHODS[method].loss(10, 3), recipe, teacher, quiet=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=amp == "bf16"):
            logits = student(torch.zeros(2, 3, 32, 32, device="cuda"))
    assert history[0].keys() >= {"train_loss", "test_error", "test_top5_error"}
    assert (logits.dtype == torch.bfloat16) == (amp == "bf16")
    assert kind_of(student) == kind_of(teacher) == {"cuda"}


def own_weight(dimensions):
    """Make a loss that trains parameters of its own."""

    class Difference(nn.Module):
        def __init__(self):
            super().__init__()
            self.same_width = nn.Linear(*dimensions.pooled)

        def forward(self, student, teacher, labels):
            return (self.same_width(student.pooled) - teacher.pooled).float().pow(2).mean()

    return Loss(Term("own", 1.0, Difference(), "difference", ("teacher", "pooled")))


@pytest.mark.parametrize("name", [*LOSSES, "own"])
def test_an_epoch_by_every_registered_loss(data, name):
    with fake_gpu(), patch.dict(LOSSES, own=own_weight):
        student, teacher = wrn(10, 1, "G(4)").to("cuda"), wrn(10, 1).to("cuda")
        dimensions = dimensions_of(student, teacher, torch.zeros(2, 3, 32, 32, device="cuda"))
        extra = build_loss(name, dimensions)
        loss = extra if name == "ce" else cross_entropy() + extra
        if name == "kd":  # it has a cross-entropy of its own
            loss = extra
        fit(student, data, loss, replace(ONE_EPOCH, amp="bf16"), teacher, quiet=True)
    assert all(value.device.type == "cuda" for value in loss.parameters())


def test_images_are_augmented_and_normalized_on_the_gpu(data):
    how = dict(device="cuda", augmentation=("pad_crop", "flip", "cutout"))
    with fake_gpu():
        x, y = next(data.train_batches(32, 0, 0, **how))
        assert normalize(data.test.images.to("cuda"), data.normalization()).device.type == "cuda"
        assert evaluate(wrn(10, 1).to("cuda"), data, Recipe(amp="bf16"))["test_error"] == 1.0
    assert (x.device.type, y.device.type, x.dtype) == ("cuda", "cuda", torch.float32)
    assert x.is_contiguous(memory_format=torch.channels_last)


class AfterSteps:
    """Asks a run to stop after so many steps."""

    def __init__(self, steps):
        self.steps = steps

    @property
    def signal(self):
        self.steps -= 1
        return signal.SIGTERM if self.steps < 0 else None

    @signal.setter
    def signal(self, value):
        pass  # the run notes here which signal it was


def test_the_whole_command(data, tmp_path, capsys):
    """The plan with its measured steps, all runs, one of them stopped and resumed, files, and results."""
    material = runner.described(data, "drawn shapes", False)
    few = dict(rows="G(4)", methods="scratch,at,kd-paper+at", seeds=1, epochs=1)
    how = dict(device="cuda", amp="bf16", out=tmp_path, quiet=True)
    image_seconds.cache_clear()
    with patch.object(runner, "read_material", lambda *values: material), fake_gpu():
        assert not runner.reproduce("table2", "smoke", **few, **how, save_every=1, stop=AfterSteps(1))
        assert runner.reproduce("table2", "smoke", **few, **how)
    image_seconds.cache_clear()
    found = [runner.read_result(path) for path in tmp_path.glob("*/result.json")]
    assert "cuda, from measured steps" in capsys.readouterr().out
    assert [result["machine"]["device"] for result in found] == ["cuda:0"] * 4
    assert all(result["latency_ms"] > 0 for result in found)


def test_a_teacher_from_elsewhere_is_evaluated_on_the_gpu(data, tmp_path):
    material, path = runner.described(data, "drawn shapes", False), tmp_path / "teacher.pt"
    with fake_gpu():
        runner.checkpoints.save(path, wrn(10, 1).to("cuda"))
        assert runner.measured_teacher(str(path), material, torch.device("cuda"))["test_error"] == 1.0


def test_what_a_result_says_about_costs():
    with fake_gpu():
        model = wrn(10, 1, "G(4)").to("cuda")
        costs = runner.costs_measured(model, 32)
        (row,) = cost_table(dict(network=model), batches=(1,))
    assert (costs["mult_adds"], kind_of(model)) == (row["mult_adds"], {"cuda"})
    assert row["latency_ms_at_batch_1"] > 0


def test_distill(data):
    with fake_gpu():
        student = distill(wrn(10, 1), data, "G(4)", ONE_EPOCH, alpha=0.5, device="cuda", quiet=True)
    assert kind_of(student) == {"cuda"}


def test_our_side_of_the_benchmark(data):
    """The textbook's side loads its images in other processes, where fake tensors can't follow."""
    course = benchmarking.Course(data, torch.device("cuda"), 16, depth=10, width=1, amp="bf16")
    with fake_gpu():
        for case in benchmarking.CASES:
            side = benchmarking.our_side(case, course)
            assert side() == 1e-3, case.name
            assert benchmarking.peak_memory(side, "cuda") == 1
        assert course.network("S").fc.weight.device.type == "cuda"


# Gradients on "meta", for every network of the table


def test_every_network_of_table_2_with_every_method():
    """The loss of each method, and the gradients of the last, which has every term."""
    x, y = torch.empty(2, 3, 32, 32, device="meta"), torch.zeros(2, dtype=torch.int64, device="meta")
    losses = [method.loss(10, 3) for method in METHODS.values()]
    with torch.device("meta"):
        guide = taps_for(losses[-1], build(*ROWS[0]), build(*ROWS[0]))[1]
        with torch.no_grad():
            target = guide(x)
        for row in ROWS:
            student, _ = taps_for(losses[-1], build(*row), guide.model)
            out = student(x)
            assert [a.shape[2:] for a in out.activations] == [a.shape[2:] for a in target.activations]
            totals = [loss(out, target, y)[0] for loss in losses]
            totals[-1].backward()
            assert out.logits.shape == (2, 10) and all(total.shape == () for total in totals)
            assert all(value.grad.shape == value.shape for value in student.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_step_on_meta(method):
    with torch.device("meta"), patch("moonshine.training.loop.check_finite"):
        loss, student = METHODS[method].loss(10, 3), wrn(10, 1, "BG(2,4)")
        tapped, guide = taps_for(loss, student, wrn(10, 1).eval())
        x, y = torch.empty(4, 3, 32, 32), torch.zeros(4, dtype=torch.int64)
        optimizer = optimizer_for(student, Recipe(), loss)
        found = train_step(tapped, guide, x, y, loss, optimizer)
    assert {value.device.type for value in found.values()} == {"meta"}
    assert len(optimizer.state) == len(list(student.parameters()))


# Compiled: methods differ in what the compiled networks return


@pytest.mark.parametrize("method", ["scratch", "kd", "kd+at"])
def test_a_compiled_step_is_the_plain_step(method):
    found = []
    for backend in (None, "aot_eager"):
        torch.manual_seed(0)
        loss, student = METHODS[method].loss(10, 3), wrn(10, 0.5, "G(4)")
        networks = taps_for(loss, student, wrn(10, 0.5).eval())
        for network in filter(None, networks if backend else ()):
            network.compile(dynamic=False, backend=backend)
        x, y = torch.randn(4, 3, 32, 32), torch.arange(4)
        optimizer = optimizer_for(student, Recipe(learning_rate=0.01), loss)
        steps = [train_step(*networks, x, y, loss, optimizer) for _ in range(2)]
        found.append(torch.stack([value.double() for step in steps for value in step.values()]))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


# Collected


def test_the_gpu_tests_are_collected_without_what_the_course_needs():
    """A rented machine may have only what training needs: no widgets, no JupyterLab, no browser."""
    missing = [*COURSE, "jupyterlab", "playwright", "nbconvert", "nbclient"]
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); import pytest; sys.exit(pytest.main())"
    words = [sys.executable, "-c", code, ".", "--collect-only", "-q", "-m", "cuda"]
    words += ["-p", "no:cacheprovider"]
    ended = subprocess.run(words, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "test_a_stopwatch_waits_for_the_gpu" in ended.stdout


# On a real GPU


@pytest.mark.cuda
@pytest.mark.parametrize("method", METHODS)
def test_the_gpu_takes_the_steps_of_the_cpu(method, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    found = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        loss, student = METHODS[method].loss(10, 3), wrn(10, 1, "G(4)").to(device)
        networks = taps_for(loss, student, wrn(10, 1).to(device).eval())
        x, y = torch.randn(16, 3, 32, 32).to(device), torch.arange(16, device=device) % 10
        optimizer = optimizer_for(student, Recipe(learning_rate=0.01), loss)
        steps = [train_step(*networks, x, y, loss, optimizer) for _ in range(3)]
        values = [value for step in steps for name, value in step.items() if "error" not in name]
        found.append(torch.stack([value.double().cpu() for value in values]))
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)


@pytest.mark.cuda
@pytest.mark.parametrize("options", [dict(amp="none"), dict(amp="bf16"), dict(amp="bf16", compile=True)])
def test_the_smoke_preset_on_the_gpu(tmp_path, options):
    few = dict(rows="G(4)", methods="scratch,at,kd-paper+at", seeds=1, epochs=1)
    how = dict(device="cuda", out=tmp_path, quiet=True, **options)
    assert not runner.reproduce("table2", "smoke", **few, **how, save_every=1, stop=AfterSteps(20))
    assert runner.reproduce("table2", "smoke", **few, **how)
    found = [runner.read_result(path) for path in tmp_path.glob("*/result.json")]
    assert len(found) == 4 and all(result["machine"]["gpu"] for result in found)


@pytest.mark.cuda
def test_the_quick_benchmark_on_the_gpu():
    result = benchmarking.bench(shapes(128, 32), "cuda", pairs=1, quick=True, say=lambda line: None)
    assert all(row["images_per_second"]["ours"] > 0 for row in result["rows"])
