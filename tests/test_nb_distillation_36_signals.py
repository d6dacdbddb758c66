"""Generated from nbs/distillation/36_signals.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.signals import *


import hashlib
import os
import signal
import threading
import time
from unittest.mock import patch

from fastcore.test import test_eq


def test_the_first_signal_is_noted_and_the_handlers_come_back():
    before = [signal.getsignal(number) for number in STOPPING]
    for first in STOPPING:
        with SignalHandler() as stop:
            test_eq(stop.signal, None)
            for number in (first, *STOPPING, first, first):
                signal.raise_signal(number)
            test_eq(stop.signal, first)
            with patch("time.monotonic", lambda: stop.since + PATIENCE + 0.1):
                signal.raise_signal(signal.SIGTERM)  # schedulers repeat themselves
                try:
                    signal.raise_signal(signal.SIGINT)
                    assert False, "a late Ctrl-C ends it"
                except KeyboardInterrupt:
                    pass
        test_eq([signal.getsignal(number) for number in STOPPING], before)


def test_the_order_of_arrival_counts():
    def send(*numbers):
        for number in numbers:
            time.sleep(0.05)
            os.kill(os.getpid(), number)


    for order in ((signal.SIGTERM, signal.SIGHUP), (signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)):
        with SignalHandler() as stop:
            sender = threading.Thread(target=send, args=order)
            sender.start()
            hashlib.pbkdf2_hmac("sha256", b"one long operation in C", b"", 400_000)
            sender.join()
        test_eq(stop.signal, order[0])
