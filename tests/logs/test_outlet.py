from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from monitor.logs import outlet
from monitor.logs.outlet import Background, Outlet

if TYPE_CHECKING:
    from collections.abc import Iterator

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Give both ends of a pipe."""
    reading, writing = os.pipe()
    yield reading, writing
    for each in (reading, writing):
        try:
            os.close(each)
        except OSError:
            continue  # the test closed it


def fill(writing: int) -> int:
    """Fill a pipe and return how much went in."""
    os.set_blocking(writing, False)
    taken = 0
    try:
        while True:
            taken += os.write(writing, b"." * 4096)
    except BlockingIOError:
        return taken
    finally:
        os.set_blocking(writing, True)


def until(condition: object, within: float = 5) -> None:
    """Return once what is called says yes."""
    end = time.monotonic() + within
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_line_is_written_whole(pipe: Pipe) -> None:
    """Whatever is in it."""
    Outlet(pipe[1]).write("grüße\ud800")
    assert os.read(pipe[0], 100).decode() == "grüße?\n"


def test_nobody_waits_longer_than_told_for_a_reader(pipe: Pipe) -> None:
    """And the line is not written."""
    fill(pipe[1])
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="nobody reads the log"):
        Outlet(pipe[1]).write("x", within=0.1)
    assert time.monotonic() - began < 2


def test_a_reader_that_is_gone_is_an_error(pipe: Pipe) -> None:
    """At once."""
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        Outlet(pipe[1]).write("x")


def test_what_follows_a_line_that_was_broken_off_stands_on_a_line_of_its_own(pipe: Pipe) -> None:
    """A line longer than the pipe is torn when nobody reads it; the next one is whole."""
    out = Outlet(pipe[1])
    with pytest.raises(TimeoutError):
        out.write("x" * 200_000, within=0.1)
    taken = len(os.read(pipe[0], 1 << 20))
    assert 0 < taken < 200_000
    out.write("whole", within=1)
    assert os.read(pipe[0], 100).endswith(b"\nwhole\n")


def test_a_line_that_waits_for_another_writer_gives_up_too(pipe: Pipe) -> None:
    """One thread may wait for ever for the reader; the other is not drawn into it."""
    fill(pipe[1])
    out = Outlet(pipe[1])
    waiting = threading.Thread(target=out.write, args=("waits",), daemon=True)
    waiting.start()
    time.sleep(0.05)
    with pytest.raises(TimeoutError):
        out.write("does not", within=0.1)
    os.read(pipe[0], 1 << 20)
    waiting.join(5)


def test_what_is_too_much_is_dropped_and_counted(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes never waits; when lines are read again it is said how many are missing."""
    monkeypatch.setattr(outlet, "MOST_WAITING", 10)
    fill(pipe[1])
    lost: list[int] = []
    background = Background(Outlet(pipe[1]), lost.append)
    began = time.monotonic()
    for number in range(100):
        background.write(f"line {number}")
    assert time.monotonic() - began < 1
    os.read(pipe[0], 1 << 20)
    until(lambda: lost)
    background.finish()
    read = os.read(pipe[0], 1 << 20).decode().splitlines()
    assert read[0] == "line 0"
    assert len(read) + sum(lost) == 100
    assert background._lines.unfinished_tasks == 0


def test_a_log_whose_reader_is_gone_disturbs_nobody(pipe: Pipe) -> None:
    """Its lines are lost."""
    os.close(pipe[0])
    background = Background(Outlet(pipe[1]), lambda _: None)
    background.write("x")
    background.finish()
    assert background._lost == 1


def test_the_end_waits_for_last_words_but_not_for_ever(pipe: Pipe) -> None:
    """A second at most."""
    fill(pipe[1])
    background = Background(Outlet(pipe[1]), lambda _: None)
    background.write("x")
    began = time.monotonic()
    background.finish()
    assert 0.9 < time.monotonic() - began < 3
    os.read(pipe[0], 1 << 20)
    background.finish()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_says_so(pipe: Pipe) -> None:
    """Health follows it: lines that nobody writes any more would be missed by nobody."""

    def fail(lines: int) -> None:
        raise ZeroDivisionError(lines)

    background = Background(Outlet(pipe[1]), fail)
    assert background.is_alive
    background._lost = 1
    background.write("x")
    until(lambda: not background.is_alive)
