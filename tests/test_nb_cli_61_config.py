"""Generated from nbs/cli/61_config.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.config import *


import sys
import tempfile
from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import typer
from fastcore.test import test_eq, test_fail

from moonshine.cli.options import grouped, option


def test_toml_and_yaml_say_the_same():
    with tempfile.TemporaryDirectory() as folder:
        toml, yaml, wrong = (str(Path(folder, name)) for name in ("a.toml", "a.yaml", "b.toml"))
        Path(toml).write_text('conv = "G(4)"\nepoch_step = [1, 2]\n')
        Path(yaml).write_text("conv: G(4)\nepoch_step: [1, 2]\n")
        Path(wrong).write_text("conv = G(4)")
        test_eq(read_settings(toml), dict(conv="G(4)", epoch_step=[1, 2]))
        test_eq(read_settings(yaml), read_settings(toml))
        test_fail(lambda: read_settings(wrong), contains="b.toml can't be read")
        with patch.dict(sys.modules, {"yaml": None}):
            test_fail(lambda: read_settings(yaml), contains="pip install pyyaml")
        with patch.dict(sys.modules, {"tomllib": None, "tomli": None}):
            test_fail(lambda: read_settings(toml), contains="pip install tomli")
    test_fail(lambda: read_settings("nowhere.toml"), contains="there is no such file")


def test_lists_are_typed_as_the_flags_take_them():
    test_eq(as_typed([60, 120]), "[60, 120]")
    test_eq(as_typed([]), "[]")
    test_eq(as_typed([], "epoch_step"), "[]")
    test_eq([as_typed([], key) for key in ("augmentation", "layers", "rows")], ["none", None, None])
    test_eq(as_typed(["pad_crop", "flip"]), "pad_crop,flip")
    test_eq(as_typed(0.1), 0.1)


def test_a_flag_wins_over_the_file():
    app, seen = typer.Typer(add_completion=False), []


    @app.command()
    @grouped
    def bake(
        context: typer.Context,
        config: ConfigOptions,
        epochs: Annotated[int, option("number of epochs", "--epochs")] = 200,
        weight_decay: Annotated[float, option("weight decay", "--weightDecay")] = 5e-4,
    ):
        "Bake."
        seen.append((epochs, weight_decay, settings_text(context)))


    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "run.toml")
        file.write_text("epochs = 3\nweightDecay = 0.1\n")
        app(["--config", str(file), "--epochs", "4"], standalone_mode=False)
        test_eq(seen[-1][:2], (4, 0.1))
        file.write_text(seen[-1][2])
        app(["--config", str(file)], standalone_mode=False)
        test_eq(seen[-1], seen[-2])
        file.write_text("weightdecay = 1")
        test_fail(
            lambda: app(["--config", str(file)], standalone_mode=False), contains="did you mean weightDecay?"
        )
    print(seen[-1][2])


def test_steps_and_cosine_exclude_each_other():
    app, seen = typer.Typer(add_completion=False), []


    @app.command()
    @grouped
    def rise(
        context: typer.Context,
        config: ConfigOptions,
        schedule: Annotated[str, option("the schedule", "--schedule")] = "step",
        epoch_step: Annotated[str, option("the drops", "--epoch_step")] = "[60]",
    ):
        "Rise."
        check_schedule(context, schedule)
        seen.append(settings_text(context))


    def rise_with(text, *words):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "run.toml").write_text(text)
            app(["--config", str(Path(folder, "run.toml")), *words], standalone_mode=False)
        return seen[-1]


    assert 'epoch_step = "[60]"' in rise_with("")
    assert "epoch_step" not in rise_with("", "--schedule", "cosine")
    saved = rise_with("epoch_step = [5]", "--schedule", "cosine")  # the flag wins over the file
    test_eq(rise_with(saved), saved)
    for text, words in (
        ("", ("--schedule", "cosine", "--epoch_step", "[60]")),
        ('schedule = "cosine"', ("--epoch_step", "[5]")),
        ('schedule = "cosine"\nepoch_step = [5]', ()),
    ):
        test_fail(lambda: rise_with(text, *words), contains="--epoch_step has no effect with --schedule cosine")


def test_other_names_and_empty_lists():
    app, seen = typer.Typer(add_completion=False), []


    @app.command()
    @grouped
    def cut(
        context: typer.Context,
        config: ConfigOptions,
        block: Annotated[str, option("the block", "--block", "--conv", "-b")] = "S",
        augmentation: Annotated[str | None, option("augmentations", "--augmentation")] = None,
        keep: Annotated[str | None, option("what to keep", "--keep")] = None,
    ):
        "Cut."
        seen.append((block, augmentation, keep))


    def cut_with(text):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "run.toml").write_text(text)
            app(["--config", str(Path(folder, "run.toml"))], standalone_mode=False)
        return seen[-1]


    test_eq(cut_with('conv = "G(4)"\naugmentation = []\nkeep = []\n'), ("G(4)", "none", None))
    test_eq(cut_with('block = "G(4)"\nkeep = ["a", "b"]\n'), ("G(4)", None, "a,b"))
    test_fail(lambda: cut_with('conv = "G(4)"\nblock = "S"\n'), contains="conv and block are the same option")
    test_fail(lambda: cut_with('b = "G(4)"\n'), contains="unknown key 'b'")
