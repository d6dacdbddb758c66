"""Generated from nbs/panels/55_widgets.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.panels.widgets import *


import os

import matplotlib
from fastcore.test import test_eq
from ipywidgets import Button

from moonshine.costs.counting import text_table

os.environ["MOONSHINE_RAISE"] = "1"  # a callback that fails fails the test


def test_every_panel_opens_with_a_image_and_words():
    for name, (make, _, _, control, _) in PANELS.items():
        panel = make()
        test_eq(panel.name, name)
        assert (
            panel.png.startswith(b"\x89PNG")
            and len(panel.text) > 60
            and f'data-n="{panel.renders}"' in panel.image.value
        )
        assert control in panel.controls and not panel.text.startswith("This panel failed"), panel.text
        assert 'alt="' in panel.image.value and f"moonshine-{name}" in panel._dom_classes
