"""What a person meets who mistypes: one line, and the right exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from monitor import __version__

if TYPE_CHECKING:
    from tests.cli.conftest import Run, Spawn

ROOT = Path(__file__).parents[2]
USER = "00000000-0000-0000-0000-00000000000a"


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("statu", "monitor: No such command 'statu'. Did you mean 'status'?"),
        ("cohort lst", "monitor cohort: No such command 'lst'. Did you mean 'list'?"),
        ("zzz", "monitor: No such command 'zzz' (see monitor --help)"),
        ("status --targe x", "monitor status: No such option: --targe. Did you mean --target?"),
        ("status --qq", "monitor status: No such option: --qq (see monitor status --help)"),
        (
            "status --config x",
            "monitor status: No such option: --config; it stands before the command: monitor --config PATH …",
        ),
        ("cohort add", "monitor cohort add: Missing argument 'USER_ID' (see monitor cohort add --help)"),
        ("cohort add x", "monitor: USER_ID: expected a UUID, got 'x'"),
        (f"cohort pause {USER} --all", "monitor: --all and USER_ID exclude each other"),
        ("cohort pause", "monitor: name users or say --all"),
        ("cohort add --target acm " + USER, "monitor: --target: there is no target 'acm', did you mean acme?"),
        ("cohort add --target b " + USER, "monitor: --target: there is no target 'b', expected one of: acme"),
        ("cohort import none.csv", "monitor: FILE: none.csv: No such file or directory"),
        ("transitions --kind eror", "monitor: --kind: there is no kind 'eror', did you mean errored?"),
        ("transitions --follow --until 1h", "monitor: --follow and --until exclude each other"),
        ("--config none.yaml status", "none.yaml: expected a readable file: No such file or directory"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(run: Run, command: str, line: str) -> None:
    """It names what is wrong, and what to type instead where that can be told."""
    result = run(*command.split())
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"{line}\n")


def test_every_fault_of_the_configuration_is_a_line(run: Run, place: Path) -> None:
    """Each names the file, the key and what was expected."""
    (place / "config.yaml").write_text("pol: {}\nhttp: {port: x}\n")
    result = run("status")
    assert result.exit_code == 2
    starts = ("config.yaml: http.port: ", "config.yaml: pol: ")
    assert all(line.startswith(start) for line, start in zip(sorted(result.stderr.splitlines()), starts, strict=True))


def test_several_targets_must_be_named(run: Run, place: Path) -> None:
    """The line lists them."""
    second = "  beta: {base_url: 'http://127.0.0.1:9', api_key: sk_us_0123456789}\n"
    (place / "config.yaml").write_text((place / "config.yaml").read_text().replace("database", f"{second}database"))
    result = run("cohort", "add", USER)
    assert result.exit_code == 2
    assert result.stderr == "monitor: several targets are configured, name one: --target acme|beta\n"


def test_a_command_that_needs_a_target_says_so_without_one(run: Run, place: Path) -> None:
    """No key is configured at all."""
    (place / "config.yaml").unlink()
    result = run("cohort", "add", USER)
    assert result.exit_code == 2
    assert "targets: expected" in result.stderr


def test_version_and_help_need_no_configuration(run: Run, place: Path) -> None:
    """They answer even where the configuration is broken."""
    (place / "config.yaml").write_text("]")
    assert run("--version").stdout == f"monitor {__version__}\n"
    assert "transitions" in run("--help").stdout
    assert run("transitions", "--help").exit_code == 0


def test_without_a_command_help_is_shown_as_misuse(run: Run) -> None:
    """There was nothing to do."""
    result = run()
    assert result.exit_code == 2
    assert "Usage: monitor" in result.output


def test_the_configuration_is_checked_shown_and_described(run: Run) -> None:
    """Words go to standard error, YAML and JSON to standard output, and no key with them."""
    checked, shown, schema = (run("config", each) for each in ("check", "show", "schema"))
    assert (checked.exit_code, checked.stdout, checked.stderr) == (0, "", "OK: 1 target (acme)\n")
    assert yaml.safe_load(shown.stdout)["poll"]["interval"]
    assert "0123456789" not in shown.stdout
    assert "targets" in json.loads(schema.stdout)["properties"]


def test_a_real_process_exits_with_the_same_code(spawn: Spawn) -> None:
    """``python -m monitor`` is the program."""
    process = spawn("statu")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert err == "monitor: No such command 'statu'. Did you mean 'status'?\n"


def test_a_reader_that_left_is_no_failure(place: Path, spawn: Spawn) -> None:
    """A closed pipe ends the program quietly."""
    del place
    process = spawn("config", "schema")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_nothing_heavy_is_imported_for_help() -> None:
    """The program starts quickly."""
    heavy = "{'sqlalchemy', 'pydantic', 'apscheduler', 'aiohttp', 'httpx', 'alembic', 'prometheus_client'}"
    code = f"import sys; from monitor.cli.commands import build; build(); assert not {heavy} & set(sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (result.returncode, result.stderr) == (0, "")
