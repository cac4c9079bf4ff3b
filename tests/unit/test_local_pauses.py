"""Which leases of ``local:`` have run out after the machine, or this process, was paused."""

import pytest

from micro_rt.backends.local.pauses import HEARTBEAT, Pauses
from micro_rt.kit.clock import Clock


class Machine:
    """Its clocks: of the boot, and the one that stands still in a suspend."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.awake = 500.0
        self.pauses = Pauses(Clock(lambda: self.time, "boot"), awake=lambda: self.awake)

    def suspend(self, seconds: float) -> None:
        self.time += seconds

    def run(self, seconds: float) -> None:
        self.time += seconds
        self.awake += seconds

    def watch(self, seconds: float) -> None:
        """Runs, and looks all the time."""
        until = self.time + seconds
        while self.time < until:
            self.run(0.1)
            self.pauses.end_of_leases(regular=True)

    def stop(self, seconds: float) -> None:
        """Runs, but this process does not."""
        self.run(seconds)


def test_without_a_pause_leases_run_out_in_time() -> None:
    machine = Machine()
    assert machine.pauses.end_of_leases() == machine.time
    machine.run(3600.0)  # It had nothing to do.
    assert machine.pauses.end_of_leases() == machine.time
    machine.watch(30.0)
    assert machine.pauses.end_of_leases() == machine.time


@pytest.mark.parametrize("pause", [Machine.suspend, Machine.stop])
@pytest.mark.parametrize("seconds", [1.5, 20.0, 86400.0])
def test_leases_that_were_valid_before_a_pause_have_time_for_a_heartbeat(pause: object, seconds: float) -> None:
    assert callable(pause)
    machine = Machine()
    machine.watch(1.0)
    began = machine.time
    pause(machine, seconds)
    assert machine.pauses.end_of_leases() == began
    machine.watch(HEARTBEAT - 0.5)
    assert machine.pauses.end_of_leases() == began
    machine.watch(1.0)
    assert machine.pauses.end_of_leases() == machine.time


def test_a_suspend_is_noticed_by_a_process_that_watches_nothing() -> None:
    machine = Machine()
    machine.run(3600.0)
    machine.suspend(3600.0)
    machine.run(5.0)
    assert machine.pauses.end_of_leases() == 1000.0
    machine.run(HEARTBEAT)
    assert machine.pauses.end_of_leases() == machine.time


def test_a_process_that_no_longer_watches_takes_no_idle_time_for_a_pause() -> None:
    machine = Machine()
    machine.watch(1.0)
    machine.pauses.end_of_leases(regular=False)
    machine.run(3600.0)
    assert machine.pauses.end_of_leases() == machine.time


def test_a_delay_of_less_than_a_second_is_no_pause() -> None:
    machine = Machine()
    machine.watch(1.0)
    machine.stop(0.9)
    assert machine.pauses.end_of_leases() == machine.time


def test_a_second_pause_takes_no_time_from_leases_that_wait_for_their_heartbeat() -> None:
    machine = Machine()
    machine.watch(1.0)
    began = machine.time
    machine.suspend(60.0)
    machine.watch(0.5)
    machine.stop(60.0)
    assert machine.pauses.end_of_leases() == began
    machine.watch(HEARTBEAT - 2.0)
    assert machine.pauses.end_of_leases() == began
    machine.watch(
        0.7
    )  # The first pause gives no more time. What was valid when the second one began has a moment more.
    assert machine.pauses.end_of_leases() == pytest.approx(began + 60.5, abs=0.2)
    machine.watch(2.0)
    assert machine.pauses.end_of_leases() == machine.time


def test_a_machine_that_is_always_too_busy_keeps_no_dead_node() -> None:
    machine = Machine()
    machine.watch(1.0)
    runs_out = machine.time + 3.0
    for _ in range(20):
        machine.stop(1.5)
        machine.pauses.end_of_leases(regular=True)
    assert machine.pauses.end_of_leases() >= runs_out


def test_a_clock_that_is_set_back_is_no_pause() -> None:
    machine = Machine()
    machine.watch(1.0)
    machine.time -= 3600.0
    assert machine.pauses.end_of_leases(regular=True) == machine.time
