"""`moonshine bench` as a person runs it, at toy size, and its textbook loop's own workers."""

import functools
import json

import pytest
import torch

from moonshine import benchmarking as bench
from moonshine.cli.program import main
from moonshine.data import drawing as data


@pytest.fixture(autouse=True)
def a_toy(tmp_path, monkeypatch):
    """An empty folder; networks and batches so small that the bench takes seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "bench", functools.partial(bench.bench, depth=10, width=0.5, batch_size=8))


def test_quick_bench_writes_every_time(tmp_path, capsys):
    assert main(["bench", "--quick", "--pairs", "3", "--device", "cpu", "--json", "bench.json"]) == 0
    out = capsys.readouterr().out
    result = json.loads((tmp_path / "bench.json").read_text())
    assert [row["row"] for row in result["rows"]] == list(bench.QUICK)
    assert (
        result["machine"]["torch"] == torch.__version__
        and result["machine"]["threads"] == torch.get_num_threads()
    )
    assert result["data"] == "shapes" and "images: shapes" in out
    assert result["precision"] in out and "chosen: bfloat16 is" in out
    for row in result["rows"]:
        assert f"{row['ratio']:.2f}" in out
        pairs = [a / b for a, b in zip(row["seconds"]["textbook"], row["seconds"]["ours"])]
        assert len(pairs) == 3 and sorted(pairs)[1] == pytest.approx(row["ratio"], rel=0.02)
        rate = row["images"] / sorted(row["seconds"]["ours"])[1]
        assert row["images_per_second"]["ours"] == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize(
    "message, arguments",
    [
        ("pairs is 0", ["--pairs", "0"]),
        ("there is no folder", ["--json", "nowhere/bench.json"]),
        ("device 'toaster' isn't there", ["--device", "toaster"]),
        ("no cifar10", ["--data_dir", "nowhere"]),
    ],
)
def test_refused_in_one_line(message, arguments, tmp_path, capsys):
    assert main(["bench", "--quick", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and message in err, err
    assert list(tmp_path.iterdir()) == []


def test_the_textbook_sees_each_image_once_normalized_as_ours():
    few = data.shapes(train=20, test=10)
    loader = bench.textbook_loader(few, 8)
    assert sorted(y.item() for _, labels in loader for y in labels) == sorted(few.train.labels.tolist())
    theirs = torch.cat([x for x, _ in bench.textbook_loader(few, 5, "test")])
    ours = torch.cat([x for x, _ in few.test_batches()])
    assert torch.allclose(theirs, ours, atol=1e-5)
