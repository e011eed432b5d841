"""Cases for ``promtool test rules``: the stories that each alert is told in.

A story is made of the series that an alert reads, as one replica exports them, in a bad time and in a good one; one
sample a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOUND: Final = {"namespace": "health", "job": "junction-monitor", "target": "acme"}
SCRAPED: Final = 'namespace="health", job="junction-monitor"'
LONG: Final = 420
"""Minutes that a story lasts: more than six hours."""
LOST: Final = range(LONG - 20, LONG - 18)
"""Minutes in which a scrape fails."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value that holds, or that another one takes the place of ``since`` some minute."""

    value: float
    then: float | None = None
    since: int = LONG

    def at(self, minute: int, _: int) -> float:
        """Return the value of a minute."""
        return self.value if self.then is None or minute < self.since else self.then


@dataclass(frozen=True, slots=True)
class Counter:
    """What grows by so much a minute ``until`` some minute, and begins anew with its process."""

    rate: float
    until: int = LONG

    def at(self, minute: int, born: int) -> float:
        """Return the value of a minute, of a process that was born at another."""
        return self.rate * (min(minute, self.until) - born)


@dataclass(frozen=True, slots=True)
class Clock:
    """A Unix time that passes."""

    def at(self, minute: int, _: int) -> float:
        """Return the time of a minute."""
        return 60.0 * minute


Values = Gauge | Counter | Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What makes an alert fire.

    ``bad`` and ``good`` map series, without the labels of a scrape, to values; one that names its instance is there
    once. ``quiet`` are other times, good or bad for something else, in which it does not fire either. ``labels`` are
    those of the alert; ``each_replica`` is true where every replica has an alert of its own.
    """

    severity: str
    bad: Mapping[str, Values]
    good: Mapping[str, Values]
    quiet: tuple[Mapping[str, Values], ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: FOUND)
    each_replica: bool = False


def stories(name: str, alert: Alert) -> Iterator[dict[str, Any]]:
    """Yield the cases of one alert, each named ``ALERT: story``."""
    one, two = {"a": (0, LONG)}, {"a": (0, LONG), "b": (0, LONG)}
    restarted = {"a": (0, 200), "b": (202, LONG)}
    for story, lives, lost in (("", one, False), (" after a restart", restarted, False), (" lost scrape", one, True)):
        yield _case(f"{name}: firing{story}", _series(alert.bad, lives, lost=lost), name, _told(name, alert, lives))
        for number, values in enumerate((alert.good, *alert.quiet)):
            yield _case(f"{name}: not firing{story}, {number}", _series(values, lives, lost=lost), name, [])
    yield _case(f"{name}: two replicas", _series(alert.bad, two), name, _told(name, alert, two))
    yield _case(f"{name}: two good replicas", _series(alert.good, two), name, [])


def _told(name: str, alert: Alert, lives: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """Return the alerts that fire at the end: one, or one for each replica that is there then."""
    there = [replica for replica, (_, end) in lives.items() if end == LONG]
    each = [{"instance": replica} for replica in there] if alert.each_replica else [{}]
    labels = {"__name__": "ALERTS", "alertname": name, "alertstate": "firing", "severity": alert.severity}
    return [{"labels": _braces({**labels, **alert.labels, **more}), "value": 1} for more in each]


def _case(story: str, series: list[dict[str, str]], name: str, told: list[dict[str, Any]]) -> dict[str, Any]:
    expression = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
    tests = [{"expr": expression, "eval_time": f"{minute}m", "exp_samples": told} for minute in (LOST.stop, LONG - 1)]
    return {"name": story, "interval": "1m", "input_series": series, "promql_expr_test": tests}


def _series(
    values: Mapping[str, Values], lives: Mapping[str, tuple[int, int]], *, lost: bool = False
) -> list[dict[str, str]]:
    """Return each series of each replica, from the minute of its birth to that of its end."""
    made: dict[str, str] = {}
    for series, value in values.items():
        for replica, (born, end) in ({"": (0, LONG)} if "instance=" in series else lives).items():
            made[_scraped(series, replica)] = " ".join(_samples(series, value, born, end, lost=lost))
    return [{"series": series, "values": samples} for series, samples in made.items()]


def _samples(series: str, value: Values, born: int, end: int, *, lost: bool) -> Iterator[str]:
    yield from ["_"] * born
    for minute in range(born, end):
        if not lost or minute not in LOST:
            yield f"{value.at(minute, born):g}" if minute < LONG else "_"
        else:  # Prometheus itself tells of a scrape that failed, and marks all other series stale
            yield "0" if series.startswith("up") else "stale"
    if end < LONG:
        yield "stale"


def _scraped(series: str, replica: str) -> str:
    name, _, labels = series.rstrip("}").partition("{")
    instance = f'instance="{replica}"' if replica else ""
    return f"{name}{{{', '.join(each for each in (SCRAPED, instance, labels) if each)}}}"


def _braces(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
