"""Where settings come from, and which wins."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from monitor.config import Config, load
from monitor.errors import ConfigurationError

KEY = "sk_us_0123456789"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faults(path: Path | None, environ: dict[str, str]) -> list[str]:
    """Return the lines with which this is refused."""
    with pytest.raises(ConfigurationError) as refused:
        load(path, environ)
    return list(refused.value.faults)


def write(text: str, name: str = "config.yaml") -> Path:
    """Write a file and return its path."""
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_at_all_is_the_defaults() -> None:
    """Commands that need no target run without any configuration."""
    assert load(None, {}) == Config()


def test_an_empty_file_is_the_defaults() -> None:
    """So is one in which every key is commented out."""
    assert load(write("# nothing\npoll:\nalerts:\n  severities:\n"), {}).poll == Config().poll


def test_the_environment_wins_over_the_file() -> None:
    """What it does not name stays as the file has it."""
    config = load(write("poll: {interval: 5m, concurrency: 8}"), {"MONITOR_POLL__INTERVAL": "30s"})
    assert (config.poll.interval, config.poll.concurrency) == (timedelta(seconds=30), 8)


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("MONITOR_POLL__INTERVAL", "90", "poll.interval", timedelta(seconds=90)),
        ("MONITOR_POLL__CONCURRENCY", "8", "poll.concurrency", 8),
        ("MONITOR_DATABASE__AUTO_MIGRATE", "false", "database.auto_migrate", False),
        ("MONITOR_DATABASE__AUTO_MIGRATE", "null", "database.auto_migrate", None),
        ("MONITOR_LOG__LEVEL", "debug", "log.level", "debug"),
        ("MONITOR_HTTP__HOST", "0", "http.host", "0"),
    ],
)
def test_a_variable_is_read_as_what_its_key_wants(name: str, text: str, path: str, value: object) -> None:
    """Numbers, truth values and null are told from text by the key, not by their looks."""
    section, key = path.split(".")
    assert getattr(getattr(load(None, {name: text}), section), key) == value


def test_a_target_can_be_given_by_variables_alone() -> None:
    """Its name is the part between TARGETS and the key, in lower case."""
    environ = {"MONITOR_TARGETS__ACME_US__API_KEY": KEY, "MONITOR_TARGETS__ACME_US__MAX_REQUESTS_PER_SECOND": "2.5"}
    target = load(None, environ).require_targets()["acme_us"]
    assert (target.key(), target.max_requests_per_second) == (KEY, 2.5)


def test_a_key_of_digits_alone_stays_text() -> None:
    """A variable for a key is never read as a number."""
    environ = {"MONITOR_PRIVACY__HASH_KEY": "0123456789", "MONITOR_PRIVACY__LOG_USER_ID": "hash"}
    assert load(None, environ).privacy.key() == "0123456789"


def test_one_severity_can_be_given_by_a_variable() -> None:
    """The others keep their defaults."""
    severities = load(None, {"MONITOR_ALERTS__SEVERITIES__UNKNOWN": "none"}).alerts.severities
    assert (severities["unknown"], severities["webhook_registration_failed"]) == ("none", "critical")


def test_the_vendor_key_alone_makes_one_target() -> None:
    """Region and environment are read off its prefix."""
    targets = load(None, {"JUNCTION_API_KEY": "sk_eu_0123456789"}).require_targets()
    assert {name: each.url for name, each in targets.items()} == {"default": "https://api.sandbox.eu.junction.com"}


def test_the_vendor_key_is_ignored_where_a_target_is_named() -> None:
    """It may be meant for another program."""
    path = write(f"targets: {{acme: {{api_key: {KEY}}}}}")
    assert list(load(path, {"JUNCTION_API_KEY": "pk_eu_0123456789"}).targets) == ["acme"]


def test_a_vendor_key_that_tells_nothing_is_refused_by_its_own_name() -> None:
    """The line names the variable that the person set."""
    assert faults(None, {"JUNCTION_API_KEY": "has space"}) == [
        (
            "environment: JUNCTION_API_KEY: expected a key of printable ASCII characters without white space, "
            "got other characters in it"
        )
    ]


def test_without_a_target_the_fault_says_what_to_do() -> None:
    """It comes when a command asks for targets, not before."""
    config = load(write("poll: {interval: 5m}"), {})
    with pytest.raises(ConfigurationError, match=r"^config\.yaml: targets: expected a target: set JUNCTION_API_KEY"):
        config.require_targets()
    with pytest.raises(ConfigurationError, match=r"^environment: targets: expected a target"):
        Config().require_targets()


def test_the_named_file_comes_before_the_variable_and_that_before_the_default() -> None:
    """--config, then $MONITOR_CONFIG, then ./config.yaml."""
    write("poll: {concurrency: 1}")
    second, third = write("poll: {concurrency: 2}", "second.yaml"), write("poll: {concurrency: 3}", "third.yaml")
    named = {"MONITOR_CONFIG": str(second)}
    found = [load(path, environ).poll.concurrency for path, environ in ((None, {}), (None, named), (third, named))]
    assert found == [1, 2, 3]


def test_an_empty_variable_for_the_file_names_none() -> None:
    """As a shell or a container sets it when it has nothing to say."""
    write("poll: {concurrency: 7}")
    assert load(None, {"MONITOR_CONFIG": ""}).poll.concurrency == 7


def test_a_file_that_was_named_must_be_there(directory: Path) -> None:
    """Only ./config.yaml may be missing."""
    assert faults(Path("no.yaml"), {}) == ["no.yaml: expected a readable file: No such file or directory"]
    assert faults(None, {"MONITOR_CONFIG": "no.yaml"}) == faults(Path("no.yaml"), {})
    assert faults(directory, {}) == [f"{directory}: expected a readable file: Is a directory"]
    assert faults(Path("nul\0"), {}) == ["nul\\x00: expected the path of a file"]


def test_a_file_larger_than_a_mebibyte_is_refused() -> None:
    """Nobody writes that much configuration."""
    path = write("#" * (1 << 20) + "\n")
    assert faults(path, {}) == ["config.yaml: expected a file of 1 MiB or less"]


def test_a_bad_variable_is_named_and_not_the_file() -> None:
    """What it overrides in the file is not at fault."""
    path = write("poll: {interval: never, timeout: never}")
    assert faults(path, {"MONITOR_POLL__INTERVAL": "soon"}) == [
        "environment: MONITOR_POLL__INTERVAL: expected a duration such as 30s, 15m, 2h or 7d, got 'soon'",
        "config.yaml: poll.timeout: expected a duration such as 30s, 15m, 2h or 7d, got 'never'",
    ]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("MONITOR_POLL__INTERVALL", "unknown variable; did you mean MONITOR_POLL__INTERVAL?"),
        ("MONITOR_HTTP_PORT", "unknown variable; did you mean MONITOR_HTTP__PORT?"),
        ("MONITOR_TARGETS__ACME__API_KYE", "unknown variable; did you mean MONITOR_TARGETS__ACME__API_KEY?"),
        ("MONITOR_POLL__INTERVAL__SECONDS", "unknown variable; did you mean MONITOR_POLL__INTERVAL?"),
        ("MONITOR_POLL__", "unknown variable"),
        ("MONITOR_", "unknown variable"),
        ("MONITOR_FOO", "unknown variable"),
        ("MONITOR_POLL", "expected a variable for each key below it, MONITOR_POLL__…"),
        ("MONITOR_TARGETS__ACME", "expected a variable for each key below it, MONITOR_TARGETS__ACME__…"),
    ],
)
def test_an_unknown_variable_is_refused_with_a_suggestion(name: str, fault: str) -> None:
    """A setting that is misspelt must not be lost in silence."""
    assert faults(None, {name: "1"}) == [f"environment: {name}: {fault}"]


def test_variables_that_a_cluster_sets_for_a_service_of_this_name_are_ignored() -> None:
    """A Kubernetes service called ``monitor`` gives every pod beside it these."""
    environ = {
        "MONITOR_SERVICE_HOST": "10.0.0.7",
        "MONITOR_SERVICE_PORT": "9464",
        "MONITOR_SERVICE_PORT_METRICS": "9464",
        "MONITOR_PORT": "tcp://10.0.0.7:9464",
        "MONITOR_PORT_9464_TCP": "tcp://10.0.0.7:9464",
        "MONITOR_PORT_9464_TCP_ADDR": "10.0.0.7",
        "MONITOR_EU_SERVICE_HOST": "10.0.0.8",
    }
    assert load(None, environ) == Config()


def test_a_target_with_a_fault_of_its_own_is_named_by_its_variables() -> None:
    """Where no file speaks of it, the fault does not send anyone to a file."""
    environ = {"MONITOR_TARGETS__ACME__REGION": "us"}
    assert faults(None, environ) == [
        "environment: MONITOR_TARGETS__ACME: expected exactly one of api_key and api_key_file, got neither"
    ]


def test_the_process_environment_is_not_read_behind_the_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is passed in counts."""
    monkeypatch.setenv("MONITOR_POLL__CONCURRENCY", "3")
    monkeypatch.setenv("LOG", "{}")
    assert load(None, {}).poll.concurrency == 64
