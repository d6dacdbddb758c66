"""The runs that nbs/results/make_weights_shapes.py lists, and how it resumes; nothing is trained."""

import json
import sys

import pytest
from conftest import ROOT


@pytest.fixture
def made(monkeypatch):
    """Give a test the module, which is a program and no part of the package."""
    monkeypatch.syspath_prepend(str(ROOT / "nbs" / "results"))
    yield __import__("make_weights_shapes")
    sys.modules.pop("make_weights_shapes", None)


def test_every_point_of_the_figures_is_run_once(made):
    methods = made.methods()
    texts = [json.dumps(how, sort_keys=True) for how in methods]
    assert len(set(texts)) == len(texts) == 1 + 3 * 7 + 3 * (5 + 5 - 1)
    assert methods[0] == made.NOTHING  # without the line of training from scratch there is no figure
    usual = [(how["kd"], how["beta"]) for how in methods[1:7]]
    assert usual == [("", 1000), *((c, 0) for c in made.CONVENTIONS), ("paper", 1000), ("standard", 1000)]
    for how in methods:
        assert (how["alpha"] > 0) == bool(how["kd"]) and (how["alpha"] == 0.9 or how["temperature"] == 4)


def test_a_run_is_known_by_all_its_settings(made, tmp_path):
    path, how = tmp_path / "runs.jsonl", made.methods()[1]
    run = made.described(how, 0, made.RECIPE)
    assert made.finished(path, run) == []
    made.append(path, run | dict(test_error=5.0))
    assert run in made.finished(path, run)
    assert made.described(how, 1, made.RECIPE) not in made.finished(path, run)
    with path.open("a") as file:
        file.write('{"study": "sha')  # killed while it wrote
    other = made.described(how, 1, made.RECIPE)
    made.append(path, other)
    assert made.finished(path, run) == [run, other]
