"""Generated from nbs/plots/52_figures.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.plots.figures import *


import math
import random
import subprocess
import sys
from itertools import combinations

import matplotlib
import numpy as np
import torch
from fastcore.test import test_close, test_eq, test_fail
from matplotlib.figure import Figure
from torch import nn

from moonshine.blocks.families import RELEASED_NAMES, convolution_parameters, parse_block
from moonshine.blocks.layers import Layer
from moonshine.blocks.notation import BLOCKTYPES
from moonshine.blocks.residual import residual_block
from moonshine.data.drawing import draw_shapes
from moonshine.paper.cost_tables import block_costs, misprints, paper_table


def test_looks_never_differ_by_color_alone():
    first = [look(n) for n in range(24)]
    for a, b in combinations(first, 2):
        parts = ("marker", "linestyle", "hatch")
        assert a["color"] != b["color"] or all(a[part] != b[part] for part in parts), (a, b)
    test_eq(len({(each["color"], each["marker"]) for each in first}), 24)


def test_every_color_is_seen_on_white():
    def luminance(color):
        rgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb]
        return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear))


    contrast = {color: 1.05 / (luminance(color) + 0.05) for color in COLORS}
    print({color: round(value, 1) for color, value in contrast.items()})
    assert min(contrast.values()) > 2 and 1.05 / (luminance("#F0E442") + 0.05) < 1.4  # the yellow left out


def test_style_leaves_the_settings_as_they_were():
    def settings():
        return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}


    before = settings()
    with style():
        test_eq(matplotlib.rcParams["axes.spines.top"], False)
    test_eq(settings(), before)


def test_the_grid_shows_what_it_was_given():
    images, _, masks = draw_shapes(3)
    maps = [torch.rand(3, 8, 8), torch.rand(3, 16)]
    figure = attention_grid(images, maps, ["eight", "four"], ["a", "b", "c"], masks=masks)
    axes = np.array(figure.axes).reshape(3, 3)
    for row in range(3):
        test_eq(axes[row, 0].images[0].get_array(), images[row].permute(1, 2, 0).numpy())
        below, above = axes[row, 1].images
        test_close(below.get_array(), images[row].float().mean(0).numpy(), eps=1e-4)
        test_eq(above.get_array(), maps[0][row].numpy())
        test_eq(axes[row, 2].images[1].get_array(), maps[1][row].view(4, 4).numpy())
        test_close(above.get_clim(), (maps[0][row].min(), maps[0][row].max()))
        test_eq(above.get_extent(), below.get_extent())  # the map covers the image, pixel for pixel
        test_eq([axis.get_ylabel() for axis in axes[row]], ["abc"[row], "", ""])
        test_eq([len(axis.collections) for axis in axes[row]], [2] * 3)  # the edge
    test_eq([axis.get_title() for axis in axes[0]], ["image", "eight", "four"])


def test_one_scale_or_one_for_each_map():
    images, maps = draw_shapes(2)[0], [torch.rand(2, 4, 4), 5 * torch.rand(2, 4, 4)]
    figure = attention_grid(images, maps, ["a", "b"], opacity=1, shared=True)
    every = torch.stack(maps)
    ends = (every.min().item(), every.max().item())
    shown = np.array(figure.axes[:6]).reshape(2, 3)[:, 1:].flat
    test_close([axis.images[0].get_clim() for axis in shown], [ends] * 4)
    test_eq(figure.axes[6].get_ylabel(), "one scale for all maps")
    test_eq([len(axis.images) for axis in figure.axes[:6]], [1] * 6)  # nothing below


def test_maps_that_do_not_fit_are_refused():
    wide = np.arange(2 * 8).reshape(2, 8)
    test_eq(as_maps(wide, 20, 40).shape, (2, 2, 4))  # twice as wide as high, as the images are
    test_eq(as_maps(wide, 20, 40)[0], [[0, 1, 2, 3], [4, 5, 6, 7]])
    test_fail(lambda: as_maps(wide, 32, 32), contains="don't fold to images of 32×32")
    images = draw_shapes(2)[0]
    test_fail(lambda: attention_grid(images, [wide[:, :4]], []), contains="0 titles; there must be 1")
    test_fail(
        lambda: attention_grid(images, [wide[:1, :4]], ["a"]), contains="1 maps in a column; there must be 2"
    )


def test_the_front_by_brute_force():
    def dominates(a, b):
        return a[0] <= b[0] and a[1] <= b[1] and a != b


    dice = random.Random(0)
    for size in range(40):
        for top in (3, 10, 1000):
            points = [(dice.randint(1, top), dice.randint(1, top)) for _ in range(size)]
            by_hand = [i for i, b in enumerate(points) if not any(dominates(a, b) for a in points)]
            test_eq(sorted(pareto_front(points)), by_hand)
            test_eq([points[i][0] for i in pareto_front(points)], sorted(points[i][0] for i in by_hand))


def test_entries_are_the_rows_of_table_2():
    for dataset in ("cifar10", "cifar100"):
        for method in ("scratch", "kd", "at"):
            found = entries(dataset=dataset, method=method)
            test_eq(
                [point["error"] for point in found],
                [float(row[f"{dataset}_{method}"] or row[f"{dataset}_scratch"]) for row in paper_table(2)],
            )
            moved = [
                (point["label"], point["parameters"] - int(row[f"{dataset}_params"]))
                for point, row in zip(found, paper_table(2))
            ]
            moved = [pair for pair in moved if pair[1]]
            test_eq(moved, [("BG(2,M/16)", 243_706 - 234_704)] if dataset == "cifar10" else [])
    test_eq({point["family"] for point in found}, set(point_kinds()))
    test_eq([point["label"] for point in found[:4]], ["S", "S, 16-2", "S, 40-1", "S, 16-1"])
    test_fail(lambda: entries(method="att"), contains="unknown method 'att'; did you mean at?")
    test_fail(lambda: entries(dataset="mnist"), contains="unknown column of Table 2 'mnist_params'")


def test_the_axes_hold_the_table():
    for dataset, method in (("cifar10", "at"), ("cifar100", "kd")):
        figure = pareto(dataset=dataset, method=method)
        axis, known = figure.axes[0], entries(dataset=dataset, method=method)
        test_eq(axis.get_xscale(), "log")
        lines = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
        for name, words in point_kinds().items():
            test_eq(lines[words], [[p["parameters"], p["error"]] for p in known if p["family"] == name])
        test_eq(sum(len(lines[words]) for words in point_kinds().values()), 26)
        rest = [p for p in known if [p["parameters"], p["error"]] not in lines["front of these"]]
        test_eq(len(rest) + len(lines["front of these"]), 26)
        for point in rest:
            assert any(x <= point["parameters"] and y <= point["error"] for x, y in lines["front of these"])
        test_eq(
            [text.get_text() for text in axis.get_legend().get_texts()],
            ["front of these", *point_kinds().values()],
        )
    looks = {(line.get_marker(), line.get_color()) for line in axis.lines[1:]}
    test_eq((len(looks), len({marker for marker, _ in looks})), (6, 6))


def test_ones_own_points_with_their_sd():
    mine = [dict(parameters=100_000, error=7.0, sd=0.5, label="a"), dict(parameters=200_000, error=6.0, sd=None)]
    axis = pareto(points=mine).axes[0]
    own = axis.containers[0]
    test_eq(own.lines[0].get_xydata().tolist(), [[100_000, 7], [200_000, 6]])
    test_eq([bar[:, 1].tolist() for bar in own.lines[2][0].get_segments()], [[6.5, 7.5], [6, 6]])
    assert "ours ± sd" in [text.get_text() for text in axis.get_legend().get_texts()]
    few = [row for row in paper_table(2) if row["block"] == "S"]
    test_eq(pareto(few).axes[0].lines[1].get_xdata().tolist(), [2_248_954])


def test_no_name_on_the_front_hits_another():
    for dataset in ("cifar10", "cifar100"):
        figure = pareto(dataset=dataset)
        axis = figure.axes[0]
        texts = [text for text in axis.texts if text.get_text()]
        test_eq(len(texts), len(axis.lines[0].get_xdata()))
        figure.draw_without_rendering()  # the labels have not moved the axes
        boxes = [text.get_window_extent() for text in texts]
        for a, b in combinations(boxes, 2):
            assert not a.overlaps(b)
        markers = [axis.transData.transform(at) for line in axis.lines[1:] for at in line.get_xydata()]
        for box in boxes:
            assert not any(box.contains(*at) for at in markers)


def test_no_smaller_network_of_full_convolutions_is_on_the_front():
    for dataset in ("cifar10", "cifar100"):
        known = entries(dataset=dataset)
        front = [known[i] for i in pareto_front([(p["parameters"], p["error"]) for p in known])]
        print(dataset, *(p["label"] for p in front), sep="  ")
        families = [p["family"] for p in front]
        count = families.count("BG")
        test_eq(families, ["BG"] * count + ["G"] * (len(front) - count - 1) + ["teacher"])  # no S among them


def test_curves_hold_the_histories():
    def made(seed, keys):
        dice = random.Random(seed)
        keys = ("train_error", "test_error", *keys)
        return [dict(epoch=e + 1) | {k: dice.random() for k in keys} for e in range(30)]


    histories = dict(scratch=made(0, ["ce"]), kd=made(1, ["ce", "kd"]), all=made(2, ["ce", "kd", "at"]))
    figure = curves(histories)
    test_eq(
        [axis.get_title() for axis in figure.axes],
        ["error, %", "cross-entropy", "knowledge distillation", "attention transfer"],
    )
    for axis, keys in zip(figure.axes, (["test_error", "train_error"], ["ce"], ["kd"], ["at"])):
        lines = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
        for run, history in enumerate(histories.values()):
            for key in keys:
                test_eq(lines[f"{run} {key}"], [[r["epoch"], r[key]] for r in history if key in r])
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    test_eq(words, ["scratch", "kd", "all", "test", "training"])
    test_eq([axis.get_yscale() for axis in figure.axes], ["linear", "log", "log", "log"])
    test_eq(len({(line.get_marker(), line.get_color()) for line in figure.axes[0].lines}), 3)
    own = curves(dict(a=[dict(epoch=1, ce=1.0, rkd=2.0), dict(epoch=2, ce=0.5, rkd=1.0)]))
    test_eq(
        [axis.get_title() for axis in own.axes[:3]], ["error, %", "cross-entropy", "rkd"]
    )  # a term of your own
    test_fail(lambda: curves({}), contains="no history with a term of the loss")


def test_the_drawn_path_is_the_built_one():
    checked = 0
    for text in (*RELEASED_NAMES, "ACDC"):
        for layout in BLOCKTYPES:
            block = parse_block(text, layout)
            for out in (64, 128) if layout == "Basic" else (128,):
                built, seen = residual_block(block, 64, out), []
                for name, part in built.named_modules():
                    last = name.split(".")[-1]
                    leaf = isinstance(part, (nn.BatchNorm2d, nn.Conv2d)) or last in ("conv3d", "acdc")
                    if leaf and "downsample" not in name and last != "convShortcut":
                        part.register_forward_hook(
                            lambda part, x, y: seen.append(
                                ("BN", x[0].shape[1])
                                if isinstance(part, nn.BatchNorm2d)
                                else (x[0].shape[1], y.shape[1], getattr(part, "groups", 1))
                            )
                        )
                with torch.no_grad():
                    built.eval()(torch.zeros(1, 64, 4, 4))
                test_eq(
                    seen,
                    [
                        ("BN", step.channels)
                        if isinstance(step, Mark)
                        else (step.in_channels, step.out_channels, getattr(step, "groups", 1))
                        for step in block_path(block, 64, out)
                    ],
                )
                checked += 1
    print(f"{checked} blocks agree")


def test_a_diagram_shows_layers_groups_and_weights():
    for text in ("S", "S-2x2", "G(8)", "G(N)", "B(2)", "BG(2,M/8)", "G8B2/Old", "DConv/Old"):
        axis = block_diagram(text).axes[0]
        chain = [step for step in block_path(text, 64) if not isinstance(step, Mark)]
        drawn = [
            part
            for part in axis.collections
            if type(part).__name__ == "PolyCollection"
            and part.zorder == 2
            and part.get_facecolor()[0].tolist()[:3] != [0.55] * 3
        ]
        test_eq([len(part.get_paths()) for part in drawn], [layer.groups for layer in chain])
        for part, layer in zip(drawn, chain):
            corners = np.concatenate([shape.vertices for shape in part.get_paths()])
            for end, count in (
                (corners[:, 1].max(), layer.in_channels),
                (corners[:, 1].min(), layer.out_channels),
            ):
                across = corners[corners[:, 1] == end, 0]
                test_close(across.max() - across.min(), 1.5 * count / 64, eps=1e-9)
        texts = [part.get_text() for part in axis.texts]
        said = [t.split("\n")[1] for t in texts if "→" in t and "channels" not in t]
        numbers = [int(t.split()[0].replace(",", "")) for t in said]
        test_eq(numbers, [layer.weights for layer in chain])
        test_eq(sum(numbers), convolution_parameters(text, 64))
        assert f"{sum(numbers):,} weights" in texts[0]
        test_eq(texts.count("BN, ReLU") + texts.count("BN"), len(block_path(text, 64)) - len(chain))


def test_no_text_touches_another():
    def boxes(figure):
        return [text.get_window_extent() for text in figure.axes[0].texts]


    for text in ("Conv", "Conv2x2", "DConvA8", "DConv", "ConvB2", "ConvB16", "G8B2", "DConv3D", "ACDC"):
        for layout, out in zip(BLOCKTYPES, (None, 128, 128)):
            figure = block_diagram(parse_block(text, layout), 64, out)
            found = boxes(figure)
            for a, b in combinations(found, 2):
                assert not a.overlaps(b), (text, layout)
            for box in found:
                assert min(box.x0, box.y0) >= 0, (text, layout)
                assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, (text, layout)


def test_a_wider_block_has_a_projection():
    texts = [text.get_text() for text in block_diagram("B(2)", 32, 64).axes[0].texts]
    assert "1×1" in texts and texts[-1].endswith("2,048 weights")  # 32·64
    test_eq(texts[0].split("\n")[1].split()[0], f"{32 * 32 + 9 * 32 * 32 + 32 * 64 + 32 * 64:,}")
    test_fail(lambda: block_diagram("G(5)"), contains="can't split into groups")
    test_fail(lambda: block_diagram("Q"), contains="unknown block 'Q'")


def test_bars_are_shares_of_the_first_row():
    rows = [
        dict(network="a", parameters=200, ms=4.0),
        dict(network="b", parameters=50, ms=6.0),
        dict(network="c", parameters=100, ms=1.0),
    ]
    figure = cost_bars(rows, ["parameters", "ms"], "a machine")
    axis = figure.axes[0]
    test_eq([[bar.get_height() for bar in group] for group in axis.containers], [[1, 0.25, 0.5], [1, 1.5, 0.25]])
    test_eq([tick.get_text() for tick in axis.get_xticklabels()], ["a", "b", "c"])
    spans = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for group in axis.containers for bar in group)
    for (_, end), (start, _) in zip(spans, spans[1:]):
        assert end <= start + 1e-9  # no bar hides another
    test_eq([text.get_text() for text in figure.legends[0].get_texts()], ["parameters", "ms"])
    test_eq(len({group[0].get_hatch() for group in axis.containers}), 2)
    test_eq((axis.get_ylabel(), axis.get_title()), ("relative to a", "a machine"))
    test_fail(lambda: cost_bars(rows, ["parameter"]), contains="did you mean parameters?")
    test_fail(lambda: cost_bars([dict(network="a", ms=0)], ["ms"]), contains="nothing can be relative to it")
    test_fail(lambda: cost_bars([], ["ms"]), contains="no rows")


def test_no_pyplot_and_nothing_that_computes_imports_figures():
    code = """
import sys, matplotlib
settings = lambda: {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != 'backend'}
before = settings()     # to ask for the backend is to import pyplot
import moonshine.paper.tables, moonshine.surgery.student, moonshine.training.loop
import moonshine.training.checkpoints, moonshine.models.segmentation
assert 'moonshine.plots.figures' not in sys.modules
from moonshine.plots import figures as plots
plots.pareto(), plots.block_diagram('G(N)')
assert 'matplotlib.pyplot' not in sys.modules
assert settings() == before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    test_eq((done.returncode, done.stderr), (0, ""))


def test_figures_fit_a_column_of_text():
    rows = [dict(network=n, parameters=n + 1) for n in range(6)]
    history = [dict(epoch=1, train_error=1.0, test_error=1.0, ce=1.0, kd=1.0, at=1.0)]
    for figure in (
        pareto(),
        block_diagram("S"),
        cost_bars(rows, ["parameters"]),
        curves(dict(a=history)),
        attention_grid(draw_shapes(2)[0], [torch.rand(2, 64)] * 4, list("abcd")),
    ):
        assert isinstance(figure, Figure) and figure.get_figwidth() <= 7 and figure.get_figheight() <= 9
