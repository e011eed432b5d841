"""The environment: ``MONITOR_POLL__INTERVAL=30s`` is ``poll.interval``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from monitor.config.document import plain
from monitor.config.keys import is_list, is_text, is_value, is_word, kind_at, values_like
from monitor.config.wording import NEAR

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "MONITOR_"
FILE: Final = "MONITOR_CONFIG"
KEY: Final = "JUNCTION_API_KEY"
ONLY_KEY: Final = ("targets", "default", "api_key")

_KUBERNETES: Final = re.compile(
    r"MONITOR_(?:[A-Z0-9]+_)*(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)"
)
_KUBERNETES_PORT: Final = re.compile(r"(?:tcp|udp|sctp)://[^/]*")


@dataclass(slots=True, kw_only=True)
class Variables:
    """The settings that the environment gives, and by which variable each."""

    values: dict[str, Any] = field(default_factory=dict)
    names: dict[tuple[str, ...], str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, path: tuple[str, ...], name: str, text: str) -> None:
        """Take what a variable says about one key."""
        self.names[path] = name
        section = self.values
        for key in path[:-1]:
            section = section.setdefault(key, {})
        section[path[-1]] = _value(path, text)


def read(environ: Mapping[str, str]) -> Variables:
    """Return what the variables ``MONITOR_…`` say, in the order of their names."""
    variables = Variables()
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == FILE or _is_of_kubernetes(name, environ[name]):
            continue
        path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if all(path) and is_value(path):
            variables.add(path, name, environ[name])
        else:
            variables.faults.append(f"environment: {name}: {_unknown(path)}")
    return variables


def variable(path: tuple[str, ...]) -> str:
    """Return the name of the variable for a key."""
    return PREFIX + "__".join(path).upper()


def _value(path: tuple[str, ...], text: str) -> Any:
    """Return what a variable's text is: a number, a truth value, a list with commas between, else the text."""
    if text == "null":
        return None
    if is_list(path):
        return [each.strip() for each in text.split(",")]
    return text if is_text(path) or is_word(path) or not text else plain(text)


def _is_of_kubernetes(name: str, value: str) -> bool:
    """Return whether a cluster set this variable, as it does for every service it calls ``monitor…``."""
    if "__" in name:
        return False
    return bool(_KUBERNETES.fullmatch(name) or (name.endswith("_PORT") and _KUBERNETES_PORT.fullmatch(value)))


def _unknown(path: tuple[str, ...]) -> str:
    if kind_at(path) is not None:
        return f"expected a variable for each key below it, {variable(path)}__…"
    known = [variable(each).removeprefix(PREFIX) for each in values_like(path)]
    near = get_close_matches(variable(path).removeprefix(PREFIX), known, n=1, cutoff=NEAR)
    return f"unknown variable; did you mean {PREFIX}{near[0]}?" if near else "unknown variable"
