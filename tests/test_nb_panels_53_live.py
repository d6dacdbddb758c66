"""Generated from nbs/panels/53_live.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.panels.live import *


import html
import json
import re

from fastcore.test import test_eq, test_fail
from matplotlib.figure import Figure


def test_numbers_are_for_people():
    test_eq([short(x) for x in (0, -0.5, 28.8, 999.9, 1178.4)], ["0", "−0.5", "28.8", "1,000", "1,178"])
    test_eq((short(1.9972), short(1.9972, 4)), ("2", "1.997"))
    test_eq(
        [count_words(n) for n in (9344, 2_359_296, 1_208_000_000)], ["9,344", "2.36 million", "1,208 million"]
    )
    assert not any("e" in short(10**power) for power in range(-9, 9))


def test_a_control_knows_its_values():
    control = Control("slider", "budget", (("80 K", 80_000), ("2.3 M", 2_300_000)))
    test_eq((control.values, Control("checkbox", "noise").values), ([80_000, 2_300_000], [False, True]))
    test_eq(Control("buttons", "T", (1.0, 2.0)).pairs, [("1.0", 1.0), ("2.0", 2.0)])
    test_fail(lambda: Control("knob", "T"), contains="unknown kind of control 'knob'")
    check_state(dict(budget=control), dict(budget=80_000, logits=()), dict(logits=(1, 2)))
    test_fail(
        lambda: check_state(dict(budget=control), dict(budget=80_000), dict(budget=5)), contains="offers 80000"
    )
    test_fail(lambda: check_state({}, dict(budget=1), dict(budgte=1)), contains="did you mean budget")


def test_a_live_panel_is_one_page_that_loads_nothing():
    panel = LivePanel(
        "wiring",
        "wires & channels",
        dict(channel=Control("slider", "channel", (0, 1, 2))),
        lambda channel, noise: channel + noise,
        lambda data: Figure(),
        lambda data: f"The sum is {data}",
        dict(channel=0, noise=5),
        dict(channel=1),
        {"the last": dict(channel=2)},
        dict(channels="</script>"),
    )
    test_eq((panel.data, panel.text, panel.png[1:4]), (6, "The sum is 6", b"PNG"))
    panel.choose(noise=7)
    test_eq(panel.state, dict(channel=1, noise=7))
    panel.press("the last")
    test_eq(panel.state, dict(channel=2, noise=5))  # a whole state
    made = panel._repr_mimebundle_()["text/html"]
    page = html.unescape(re.search('srcdoc="([^"]*)"', made)[1])
    given = json.loads(re.search(r"start\(panel, (.*)\);</script>", page)[1])
    test_eq((given["state"], given["channels"], given["name"]), (dict(channel=2, noise=5), "</script>", "wiring"))
    assert "wires &amp; channels" in made and not re.search(
        "(src|href) *= *.https?:|@import|fetch\\(|url\\(http", page
    )
    test_fail(lambda: panel.choose(channel=3), contains="channel can't be 3; the panel offers 0, 1, 2")
    test_fail(lambda: panel.press("the first"), contains="unknown preset")
