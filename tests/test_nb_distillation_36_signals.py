"""Generated from nbs/distillation/36_signals.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.signals import *


import signal

from fastcore.test import test_eq


def test_a_signal_is_noted_and_the_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with SignalHandler() as stop:
        test_eq(stop.signal, None)
        signal.raise_signal(signal.SIGTERM)
        test_eq(stop.signal.name, "SIGTERM")
        try:
            signal.raise_signal(signal.SIGTERM)
            assert False, "a second one ends it"
        except KeyboardInterrupt:
            pass
    test_eq([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], before)
