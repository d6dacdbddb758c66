"""How fast the panels of widgets redraw: the median time from a control's change to the new image.

    python nbs/results/make_redraw.py

Writes `redraw.json` beside it; the page of the project prints it.
"""

import json
from pathlib import Path

import matplotlib
import torch

from moonshine.panels.base import redraw_times
from moonshine.panels.widgets import PANELS, LivePanel
from moonshine.training.provenance import machine

rows = []
for name, info in PANELS.items():
    panel = info.make()
    if isinstance(panel, LivePanel):
        continue  # make_panel_latency.py
    if name in ("attention", "where"):
        panel.controls["number"].options = list(range(8))
    times = redraw_times(panel, info.control)
    rows.append(
        dict(
            panel=name,
            moved=info.control,
            first_ms=times["cold"],
            again_ms=times["cached"],
            budget_ms=info.budget,
        )
    )
    print(rows[-1], flush=True)
facts = dict(machine=machine(torch.device("cpu")), matplotlib=matplotlib.__version__, rows=rows)
(Path(__file__).parent / "redraw.json").write_text(json.dumps(facts, indent=1) + "\n")
