"""A clock that is set forth and back by an hour, summer time, and a machine that sleeps."""

from __future__ import annotations

import signal
import struct
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest

from monitor import events
from tests.chaos.scale import scaled
from tests.chaos.troubled import for_a_while, lines, troubled
from tests.e2e.test_log_blocked import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

if TYPE_CHECKING:
    from pathlib import Path

CLOCK: Final = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long off(void) {
    static volatile long long *seconds;
    if (!seconds) {
        int file = open(getenv("CLOCK_OFF_BY"), O_RDONLY);
        seconds = mmap(0, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
        close(file);
    }
    return *seconds;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += off();
    return failed;
}
int gettimeofday(struct timeval *now, void *zone) {
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed) now->tv_sec += off();
    return failed;
}
time_t time(time_t *now) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now) *now = found.tv_sec;
    return found.tv_sec;
}
"""
"""What the daemon's process is given in place of the C library's time of day."""


class Clock:
    """A time of day for a process that is started with ``environ``; no other clock is touched."""

    def __init__(self, place: Path) -> None:
        (place / "clock.c").write_text(CLOCK)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", place / "clock.so", place / "clock.c"], check=True)
        self._offset = place / "offset"
        self._offset.write_bytes(struct.pack("q", 0))
        self.environ = {"LD_PRELOAD": str(place / "clock.so"), "CLOCK_OFF_BY": str(self._offset)}

    def set_off(self, seconds: float) -> None:
        """Set it so many seconds off the real one."""
        with self._offset.open("r+b") as file:
            file.write(struct.pack("q", int(seconds)))


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """Give a clock that is right so far."""
    return Clock(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """Name each database in turn."""
    url: str = sqlite_url if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return url


@pytest.mark.tools
@pytest.mark.parametrize("off", [-3600, 3600])
def test_polling_goes_on_when_the_clock_is_set(clock: Clock, database: str, tmp_path: Path, off: int) -> None:
    """Back and forth again, within seconds, whichever way it went first; nothing is lost or invented."""
    with troubled(tmp_path, database, more=clock.environ) as world:
        for number in range(scaled(1, 10)):
            for step, seconds in enumerate((off, 0), 2 * number + 1):
                clock.set_off(seconds)
                until(lambda noticed=step: len(lines(world.log, events.CLOCK_STEPPED)) >= noticed)
                world.works()
    steps = [each["seconds"] for each in lines(world.log, events.CLOCK_STEPPED)]
    assert [round(each / 3600) for each in steps[:2]] == [off // 3600, -off // 3600]


@pytest.mark.tools
def test_summer_time_is_nothing_to_us(clock: Clock, sqlite_url: str, tmp_path: Path) -> None:
    """Through the hour that comes twice, in a time zone that has one."""
    twice = datetime(2026, 11, 1, 5, 59, 55, tzinfo=UTC)
    with troubled(tmp_path, sqlite_url, more={**clock.environ, "TZ": "America/New_York"}) as world:
        clock.set_off((twice - datetime.now(UTC)).total_seconds())
        for _ in range(4):  # on both sides of the change
            world.works()
            for_a_while(2)
        clock.set_off(0)


def test_a_machine_that_slept_goes_on(database: str, tmp_path: Path) -> None:
    """For longer than every lease: what it had in hand is not written any more, but asked again."""
    with troubled(tmp_path, database) as world:
        for _ in range(scaled(1, 5)):
            world.daemon.send_signal(signal.SIGSTOP)
            for_a_while(13)
            world.daemon.send_signal(signal.SIGCONT)
            world.works()
