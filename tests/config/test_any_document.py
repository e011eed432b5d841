"""Whatever stands in a file: settings, or lines that a person can act on and that hold no secret."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.config import Config, load, show
from monitor.config.keys import names_at
from monitor.errors import ConfigurationError
from tests.chaos.scale import scaled

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(scaled(120, 7200))]

SECRET = "hunter2hunter2"
UNHURRIED = settings(
    deadline=None,
    max_examples=scaled(100, 20_000),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

SECTIONS = ("targets", "poll", "alerts", "database", "privacy", "http", "log")
PREFIXES = st.sampled_from(["", "pk_us_", "sk_eu_", "sk_us_ ", "postgresql://monitor:", "mysql://", "é"])
SECRETS = PREFIXES.map(lambda prefix: f"{prefix}{SECRET}")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["us", "production", "hash", "plain", "15m", "https://example.com", "http://[", "sqlite:///x", "\ud800"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
SECRET_VALUES = st.one_of(
    SECRETS, st.lists(SECRETS, max_size=2), st.dictionaries(SECRETS, SECRETS, max_size=2), SCALARS
)
URLS = st.sampled_from(
    [
        f"postgresql://monitor:{SECRET}@db/monitor",
        f"postgresql://monitor:{SECRET}/@db/monitor",
        f"postgresql://monitor:1/{SECRET}@db/monitor",
        f"mysql://monitor:{SECRET}@db/monitor",
        f"//monitor:{SECRET}@db",
        f"postgresql://db?password={SECRET}",
    ]
)


def keys_of(*path: str) -> st.SearchStrategy[str]:
    """Return the keys of a section, and now and then another."""
    return st.sampled_from(sorted(names_at(path))) | st.text(max_size=8)


def section(*path: str, secrets: tuple[str, ...] = ()) -> st.SearchStrategy[Any]:
    """Return a section with anything in it; what is secret only where a secret belongs."""
    hidden = dict.fromkeys(secrets, SECRET_VALUES | URLS)
    plain = st.dictionaries(keys_of(*path).filter(lambda key: key not in secrets), VALUES, max_size=4)
    some = st.fixed_dictionaries({}, optional=hidden)
    return st.builds(lambda left, right: {**left, **right}, plain, some) | VALUES


TARGET = section("targets", "acme", secrets=("api_key", "base_url"))
DOCUMENTS = (
    st.fixed_dictionaries(
        {},
        optional={
            "targets": st.dictionaries(st.sampled_from(["acme", "b2", "Bad", "é", ""]), TARGET, max_size=3) | VALUES,
            "database": section("database", secrets=("url",)),
            "privacy": section("privacy", secrets=("hash_key",)),
            "alerts": section("alerts"),
            "poll": section("poll"),
            "http": section("http", secrets=("bearer_token", "password")),
            "log": section("log"),
            "other": VALUES,
        },
    )
    | VALUES
)


def check(path: Path, environ: dict[str, str]) -> None:
    """Load, and hold what comes out against the promise."""
    try:
        config = load(path, environ)
    except ConfigurationError as refused:
        lines = refused.faults
        assert lines
        for line in lines:
            assert SECRET not in line
            assert line.isprintable()
            assert line.encode()
    else:
        assert isinstance(config, Config)
        assert SECRET not in show(config) + repr(config)


@UNHURRIED
@given(DOCUMENTS)
@example({"targets": {"acme": {"api_key": {SECRET: SECRET}}}})
@example({"targets": {"acme": {"base_url": f"https://u:{SECRET}@h:x"}}})
def test_any_document_is_settings_or_faults_without_secrets(tmp_path: Path, document: object) -> None:
    """Never another exception, never a secret, never more than a line for a fault."""
    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=False), encoding="utf-8")
    check(path, {})


@UNHURRIED
@given(st.binary(max_size=64) | st.text("{}[]:-?&*!|>'\"%@`#,\n\t ab0~\\x", max_size=40).map(str.encode))
def test_any_bytes_are_settings_or_faults(tmp_path: Path, content: bytes) -> None:
    """What is no YAML is said to be none."""
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    check(path, {})


VARIABLES = st.one_of(
    st.sampled_from(["MONITOR_POLL__INTERVAL", "MONITOR_HTTP__PORT", "MONITOR_LOG", "MONITOR_TARGETS__A__REGION"]),
    st.text("ABEIKLOPT_é\n", max_size=16).map("MONITOR_{}".format),
)


@UNHURRIED
@given(
    st.dictionaries(VARIABLES.filter(lambda name: name != "MONITOR_CONFIG"), st.text(max_size=12), max_size=4),
    st.dictionaries(
        st.sampled_from(["JUNCTION_API_KEY", "MONITOR_TARGETS__A__API_KEY", "MONITOR_DATABASE__URL"]), SECRETS | URLS
    ),
)
def test_any_environment_is_settings_or_faults_without_secrets(
    tmp_path: Path, plain: dict[str, str], secret: dict[str, str]
) -> None:
    """The same promise for variables."""
    path = tmp_path / "empty.yaml"
    path.touch()
    check(path, plain | secret)


def test_a_file_of_nothing_but_brackets_is_refused_at_once(tmp_path: Path) -> None:
    """Depth is bounded before anything is built."""
    path = tmp_path / "deep.yaml"
    path.write_text("[" * 500_000, encoding="ascii")
    with contextlib.suppress(ConfigurationError):
        load(path, {})
        raise AssertionError
