"""Generated from nbs/panels/59_widgets.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.panels.widgets import *


import json
import os
from pathlib import Path

import matplotlib
from fastcore.test import test_eq

from moonshine.costs.counting import text_table
from moonshine.panels.drawn import DrawnPanel

os.environ["MOONSHINE_RAISE"] = "1"  # a callback that fails fails the test


def test_every_panel_opens_with_an_image_and_a_text():
    for name, info in PANELS.items():
        panel = info.make()
        test_eq(panel.name, name)
        assert panel.png.startswith(b"\x89PNG") and len(panel.text) > 60
        assert info.control in (*panel.controls, "") and not panel.text.startswith("This panel failed"), (
            panel.text
        )
        if isinstance(panel, DrawnPanel):
            test_eq((panel.image.number, panel.image.data["kind"]), (1, name))
        elif isinstance(panel, LivePanel):
            assert f'class="moonshine-live moonshine-{name}"' in panel._repr_mimebundle_()["text/html"]
        else:
            assert f'data-n="{panel.renders}"' in panel.image.value and 'alt="' in panel.image.value
        if isinstance(panel, Panel):
            assert f"moonshine-{name}" in panel._dom_classes
    test_eq([name for name, info in PANELS.items() if info.budget > 50], ["training"])
