"""The training dashboard in a real kernel: the notebook's interrupt stops it, idle or busy."""

import os
import time
from queue import Empty

import pytest
from conftest import ROOT
from jupyter_client.manager import start_new_kernel

START = """
import time
from moonshine.panels.losses import training_panel

class Endless:
    def __init__(self, alpha, beta):
        self.chunks = 0
    def chunk(self):
        time.sleep(0.05)
        self.chunks += 1
        return dict(step=self.chunks, total=1.0, ce=1.0, test_error=50.0)

panel = training_panel(Endless)
panel.most = 10**6
panel.press("train")
"""


def ask(client, expression):
    """Return the value of an expression in the kernel."""
    reply = client.execute_interactive(
        "", user_expressions=dict(value=expression), silent=True, store_history=False, timeout=30
    )
    value = reply["content"]["user_expressions"]["value"]
    return eval(value["data"]["text/plain"])


def wait_for(client, expression, limit):
    """Return after how many seconds an expression is true."""
    start = time.monotonic()
    while not ask(client, expression):
        assert time.monotonic() - start < limit, f"not {expression} after {limit} s"
        time.sleep(0.05)
    return time.monotonic() - start


@pytest.fixture
def kernel():
    """Yield a kernel in which a panel trains, and its client."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MOONSHINE_RAISE": "1"}
    manager, client = start_new_kernel(env=env)
    try:
        reply = client.execute_interactive(START, timeout=60, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok", reply["content"]
        wait_for(client, "panel.running and bool(panel.rows)", 20)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_an_interrupt_of_an_idle_kernel_stops_the_training(kernel):
    manager, client = kernel
    manager.interrupt_kernel()
    assert wait_for(client, "not panel.running", 5) < 1
    assert ask(client, "panel.text").startswith("Interrupted.\nscratch, step ")
    client.execute_interactive('panel.press("train")', timeout=30)  # it can go on, and be stopped again
    assert ask(client, "panel.running")
    manager.interrupt_kernel()
    assert wait_for(client, "not panel.running", 5) < 1


def test_an_interrupt_of_a_running_cell_stops_both(kernel):
    manager, client = kernel
    client.execute("time.sleep(60)")
    while True:  # until the cell runs
        try:
            message = client.get_iopub_msg(timeout=10)
        except Empty:
            pytest.fail("the cell did not start")
        if message["msg_type"] == "execute_input" and "sleep(60)" in message["content"]["code"]:
            break
    time.sleep(0.3)
    start = time.monotonic()
    manager.interrupt_kernel()
    assert client.get_shell_msg(timeout=10)["content"]["ename"] == "KeyboardInterrupt"
    wait_for(client, "not panel.running", 5)
    assert time.monotonic() - start < 1
    assert ask(client, "panel.text").startswith("Interrupted.")


def test_stop_ends_it_within_a_second(kernel):
    _, client = kernel
    start = time.monotonic()
    client.execute_interactive('panel.press("stop")', timeout=30)
    assert not ask(client, "panel.running") and time.monotonic() - start < 1
    assert ask(client, "panel.text").startswith("Stopped.\nscratch, step ")
