from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import typer.main

from monitor.cli.commands import build
from monitor.core.alerting import AlertKind
from monitor.core.telling import page
from monitor.core.wording import REMEDIES
from tests.deploy.test_rules import named, rules
from tests.test_readme import exported

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

PLACE: Final = Path(__file__).parents[2] / "deploy" / "runbooks"
PAGES: Final = {each.stem: each.read_text() for each in sorted(PLACE.glob("*.md"))}
HEADINGS: Final = ["Meaning", "Impact", "Diagnosis", "Remedy"]
KINDS: Final = {each.value for each in AlertKind} - {"error"}


def blocks(text: str, language: str) -> Iterator[str]:
    """Yield the lines of the fenced blocks of a language."""
    for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL):
        yield from block.splitlines()


def typed(text: str) -> Iterator[list[str]]:
    """Yield the words of every ``monitor`` command on a page, in blocks and in sentences."""
    for line in [*blocks(text, "sh"), *re.findall(r"`(monitor [^`.]+)`", text)]:
        if line.startswith("monitor "):
            yield shlex.split(line)[1:]


def test_there_is_a_page_for_every_alert_error_type_and_kind_and_no_other() -> None:
    """Whoever is called finds something to read; nothing there has gone out of use."""
    assert set(PAGES) == {each["alert"] for each in rules("alert")} | set(REMEDIES) | KINDS


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_four_parts_in_order(name: str) -> None:
    """At three in the morning one looks where it always stands."""
    assert PAGES[name].startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", PAGES[name], re.MULTILINE) == HEADINGS
    assert all(len(part.split()) > 4 for part in PAGES[name].split("\n## ")[1:])


@pytest.mark.parametrize("error_type", REMEDIES)
def test_the_remedy_in_the_log_is_the_one_on_the_page(error_type: str) -> None:
    """Word for word, whatever the lines."""
    remedy = PAGES[error_type].split("## Remedy")[1]
    assert REMEDIES[error_type] in " ".join(remedy.split())


@pytest.mark.parametrize("error_type", [*REMEDIES, "unspecified", "new_one", None])
def test_every_link_in_the_log_leads_to_a_page(error_type: str | None) -> None:
    """Of each error type, known or not, of every kind and of incidents."""
    told = {"provider": "oura", "error_type": error_type, "kind": "errored"}
    others = ({"users": 5}, {"kind": "unstable"}, {"resource": "sleep"}, {"provider": None, "kind": "user_gone"})
    assert {page(told), *(page({**told, "error_type": None, **each}) for each in others)} <= set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_every_command_on_a_page_can_be_typed(name: str) -> None:
    """The program knows the command and all of its options."""
    for words in typed(PAGES[name]):
        command: click.Command = typer.main.get_command(build())  # type: ignore[assignment]  # typer's own click
        while subcommands := getattr(command, "commands", None):
            assert words[0] in subcommands, words
            command = subcommands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {each for each in words if each.startswith("-")} <= known, words


@pytest.mark.parametrize("name", PAGES)
def test_every_expression_on_a_page_reads_what_is_exported(name: str) -> None:
    """It can be pasted into Prometheus."""
    known = exported() | {each["record"] for each in rules("record")} | {"up"}
    known |= {f"{each}_bucket" for each in exported()}
    for line in blocks(PAGES[name], "promql"):
        assert named(line) <= known, line


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_names_another_names_one_that_exists(name: str) -> None:
    """No reader is sent nowhere."""
    assert set(re.findall(r"\bJunction[A-Z]\w+", PAGES[name])) <= {*PAGES, "JunctionIncident"}
