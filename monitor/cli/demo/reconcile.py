"""What the monitor found, held against what the simulator did.

Per user, provider and resource both are lists in the order of time. Each change of the ledger is explained by one
transition of the monitor; several changes that lie between two polls are explained by their net effect, one transition
or none. The explanation with the fewest changes left over is taken; what it leaves over was missed or invented.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

from monitor.core.cadence import CONFIRM_AFTER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime, timedelta

Place = tuple[str, str | None, str | None]
"""User, provider and resource; None where it is about none."""
Cost = tuple[int, int, int]
"""Missed and invented, came and went, missed alone: the least one is taken."""
USER_GONE: Final = "user_gone"
ABSENT: Final = (None, None)
"""What an observer sees of a connection that has no row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change or one transition. ``before`` and ``after`` are what an observer sees, None for no row."""

    place: Place
    kind: str
    at: datetime
    before: tuple[str | None, ...]
    after: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """``fleeting`` changes came and went between two polls; they are in neither of the other figures.

    ``unexplained`` tells of each place where something was missed or invented what was made and what was found.
    """

    made: int = 0
    found: int = 0
    missed: int = 0
    invented: int = 0
    fleeting: int = 0
    unexplained: tuple[str, ...] = ()

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            made=self.made + other.made,
            found=self.found + other.found,
            missed=self.missed + other.missed,
            invented=self.invented + other.invented,
            fleeting=self.fleeting + other.fleeting,
            unexplained=self.unexplained + other.unexplained,
        )

    @property
    def exact(self) -> bool:
        """Whether nothing was missed and nothing invented."""
        return not self.missed and not self.invented

    def __str__(self) -> str:
        return f"made {self.made}, found {self.found}, missed {self.missed}, invented {self.invented}"


def reconcile(made: Iterable[Step], found: Iterable[Step], *, blind: timedelta) -> Tally:
    """Return how ``found`` compares with ``made``.

    Args:
        made: the ledger, in order.
        found: the monitor's transitions without those of first snapshots, in order.
        blind: the longest time between two good polls of one user. A row that is missing must be so for a minute
            longer to be believed.
    """
    ledger, monitor = _by_place(made), _by_place(found)
    tally = Tally()
    for place in ledger.keys() | monitor.keys():
        tally += _compare(ledger[place], monitor[place], blind, _hidings(place, ledger))
    return tally


def _hidings(place: Place, ledger: dict[Place, list[Step]]) -> list[datetime]:
    """Return when what is at ``place`` could not be seen: its user went, or the row of the resource came or went."""
    user, provider, resource = place
    gone = [each.at for each in ledger.get((user, None, None), ()) if each.kind == USER_GONE] if provider else []
    rows = ledger.get((user, provider, None), ()) if resource else ()
    return gone + [each.at for each in rows if ABSENT in {each.before, each.after}]


def _by_place(steps: Iterable[Step]) -> defaultdict[Place, list[Step]]:
    by_place: defaultdict[Place, list[Step]] = defaultdict(list)
    for each in steps:
        by_place[each.place].append(each)
    return by_place


def _compare(made: list[Step], found: list[Step], blind: timedelta, hidings: list[datetime]) -> Tally:  # noqa: C901 - the options are one list
    def options(done: int, seen: int) -> Iterator[tuple[Cost, tuple[int, int]]]:
        if done < len(made):
            yield (1, 0, 1), (done + 1, seen)
            if any(abs(made[done].at - each) <= blind for each in hidings):
                yield (0, 1, 0), (done + 1, seen)
        if seen < len(found):
            yield (1, 0, 0), (done, seen + 1)
            if done < len(made) and _same(made[done], found[seen]):
                yield (0, 0, 0), (done + 1, seen + 1)
        for end in range(done + 2, len(made) + 1):
            group = made[done:end]
            if group[-1].at - group[0].at > _unseen_for(group, blind):
                return
            if group[0].before == group[-1].after:
                yield (0, len(group), 0), (end, seen)
            if seen < len(found) and _explains(group, found[seen]):
                yield (0, len(group) - 1, 0), (end, seen + 1)

    # From the end: what is left costs least from there on.
    cheapest: dict[tuple[int, int], Cost] = {(len(made), len(found)): (0, 0, 0)}
    for done, seen in product(range(len(made), -1, -1), range(len(found), -1, -1)):
        if (done, seen) not in cheapest:
            cheapest[done, seen] = min(_add(cost, cheapest[rest]) for cost, rest in options(done, seen))
    wrong, fleeting, missed = cheapest[0, 0]
    invented = wrong - missed
    return Tally(
        made=len(made) - fleeting,
        found=len(found) - invented,
        missed=missed,
        invented=invented,
        fleeting=fleeting,
        unexplained=(_told(made, found),) if wrong else (),
    )


def _unseen_for(group: list[Step], blind: timedelta) -> timedelta:
    """Return how long changes may last that the monitor need not see one by one."""
    is_absent = any(ABSENT in {step.before, step.after} for step in group)
    return blind + CONFIRM_AFTER if is_absent else blind


def _told(made: list[Step], found: list[Step]) -> str:
    place = " ".join(each or "-" for each in (made or found)[0].place)
    return f"{place}: made {_history(made)}; found {_history(found)}"


def _history(steps: list[Step]) -> str:
    return ", ".join(f"{each.kind} {each.at:%H:%M:%S.%f} {each.after}" for each in steps) or "nothing"


def _add(one: Cost, other: Cost) -> Cost:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _same(made: Step, found: Step) -> bool:
    return made.kind == found.kind and made.after == found.after


def _explains(group: list[Step], found: Step) -> bool:
    """A group may come to what it went out from and still be seen, as a new link or another error."""
    return group[0].before == found.before and group[-1].after == found.after
