"""A scenario: how the simulated world begins and what happens in it, as read from a YAML file."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import Discriminator, Field, Tag, ValidationError
from pydantic_core import ErrorDetails

from monitor.simulator.orders import ClearStep, Duration, FaultStep, Part, Share, Step
from monitor.simulator.words import Do

Weight = Annotated[float, Field(ge=0)]
_SHARES: Final = {
    Do.BREAK: 38.0,
    Do.HEAL: 24.0,
    Do.CHANGE_ERROR: 4.0,
    Do.RELINK: 6.0,
    Do.PAUSE: 5.0,
    Do.UNPAUSE: 4.0,
    Do.VANISH: 5.0,
    Do.COME_BACK: 4.0,
    Do.LOSE_RESOURCE: 6.0,
    Do.REGAIN_RESOURCE: 4.0,
}


class ScenarioError(ValueError):
    """A scenario that cannot be used; ``lines`` tells each fault in one line."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class Initial(Part):
    """What part of the connections starts in error, paused, in error without details, short of a resource."""

    error: Share = 0.04
    paused: Share = 0.02
    null_details: Share = 0.02
    unavailable: Share = 0.05


class Changes(Part):
    """Changes that happen by themselves. ``rest``: a user that has just changed is left alone for this long."""

    per_second: Weight = 0.0
    since: Duration = Field(default=0.0, alias="from")
    until: Duration | None = None
    rest: Duration = 0.0
    shares: dict[Do, Weight] = Field(default_factory=_SHARES.copy)
    error_types: dict[str, Weight] | None = None


def _sort(step: Any) -> str:
    do = step.get("do") if isinstance(step, dict) else getattr(step, "do", None)
    return do if do in {"fault", "clear"} else "change"


AnyStep = Annotated[
    Annotated[Step, Tag("change")] | Annotated[FaultStep, Tag("fault")] | Annotated[ClearStep, Tag("clear")],
    Discriminator(_sort),
]


class Scenario(Part):
    """All that makes a simulated Junction what it is."""

    seed: int = 1
    users: Annotated[int, Field(ge=0, le=10_000_000)] = 100
    api_key: Annotated[str, Field(min_length=1)] = "sk_us_simulated"
    initial: Initial = Initial()
    changes: Changes = Changes()
    timeline: tuple[AnyStep, ...] = ()


def load(path: Path) -> Scenario:
    """Read a scenario file; every fault in it is one line of the ``ScenarioError``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"]) from error
    return parse(text, str(path))


def parse(text: str, name: str = "scenario") -> Scenario:
    """Read a scenario; ``name`` stands for the file in what is said of its faults."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or "is not YAML").partition("\n")[0]
        raise ScenarioError([f"{name}{where}: {problem}"]) from error
    if raw is not None and not isinstance(raw, dict):
        raise ScenarioError([f"{name}: expected keys and values"])
    try:
        return Scenario.model_validate(raw or {})
    except ValidationError as error:
        raise ScenarioError([_line(name, each) for each in error.errors()]) from error


_STEPS: Final[dict[int | str, type[Part]]] = {"change": Step, "fault": FaultStep, "clear": ClearStep}
_SECTIONS: Final[dict[int | str, type[Part]]] = {"initial": Initial, "changes": Changes}


def _line(name: str, fault: ErrorDetails) -> str:
    part, place = _part(fault["loc"])
    key = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in place).lstrip(".")
    return f"{name}: {key or 'scenario'}: {_expected(fault, part)}"


def _part(loc: tuple[int | str, ...]) -> tuple[type[Part], list[int | str]]:
    """Return which part of a scenario ``loc`` is in, and ``loc`` without the words that only pydantic knows."""
    place = [each for each in loc if each != "[key]"]
    if place[:1] == ["timeline"]:
        tag = place.pop(2) if len(place) > 2 else "change"  # noqa: PLR2004 - timeline, number, sort of step
        return _STEPS[tag], place
    return _SECTIONS.get(place[0] if place else "", Scenario), place


def _expected(fault: ErrorDetails, part: type[Part]) -> str:
    match fault["type"]:
        case "extra_forbidden":
            keys = [field.alias or name for name, field in part.model_fields.items()]
            close = get_close_matches(str(fault["loc"][-1]), keys, n=1)
            return f"unknown key; did you mean {close[0]}?" if close else "unknown key"
        case "missing":
            return "is required"
        case "model_type" | "model_attributes_type":
            return f"expected keys and values, got {fault['input']!r}"
        case "value_error":
            return fault["msg"].removeprefix("Value error, ")
        case _:
            said = fault["msg"].replace("Input should be ", "expected ").replace("Input should have ", "expected ")
            return f"{said}, got {fault['input']!r}"
