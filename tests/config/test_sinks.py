"""Sinks from a file and from the environment; their secrets never show, and are followed."""

from __future__ import annotations

import base64
import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.config import AlertmanagerSink, Config, SecretFile, WebhookSink, load, schema, show
from monitor.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def secret(size: int) -> str:
    """Return a secret of so many bytes."""
    return "whsec_" + base64.b64encode(b"h" * size).decode()


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faults(environ: dict[str, str]) -> list[str]:
    """Return the lines with which these variables are refused."""
    with pytest.raises(ConfigurationError) as refused:
        load(None, environ)
    return list(refused.value.faults)


def webhook(**words: str) -> dict[str, str]:
    """Return the variables of one webhook."""
    given = {"type": "webhook", "url": "https://alerts.example.com/"} | words
    return {f"MONITOR_ALERTS__SINKS__PAGER__{name.upper()}": value for name, value in given.items()}


def keys(config: Config) -> tuple[str, ...]:
    """Return the secrets of the webhook."""
    sink = config.alerts.sinks["pager"]
    assert isinstance(sink, WebhookSink)
    return sink.keys()


def test_without_sinks_there_is_the_log() -> None:
    """It is always the first."""
    assert load(None, {}).alerts.sink_names == ("log",)
    assert load(None, webhook(secret=secret(24))).alerts.sink_names == ("log", "pager")


def test_a_webhook_can_be_given_by_variables_alone(directory: Path) -> None:
    """Its secret from a file."""
    (directory / "secret").write_text(secret(32) + "\n", encoding="ascii")
    sink = load(None, webhook(secret_file="secret", max_per_minute="null", give_up_after="1d")).alerts.sinks["pager"]
    assert isinstance(sink, WebhookSink)
    assert (sink.keys(), sink.url) == ((secret(32),), "https://alerts.example.com")
    assert (sink.timeout, sink.give_up_after, sink.max_per_minute) == (timedelta(seconds=10), timedelta(days=1), None)


def test_an_alertmanager_can_be_given_by_variables_alone() -> None:
    """Its addresses with commas between."""
    name = "MONITOR_ALERTS__SINKS__AM__"
    environ = {
        f"{name}TYPE": "alertmanager",
        f"{name}URLS": "http://a:9093, http://b:9093/",
        f"{name}BEARER_TOKEN": "t",
    }
    sink = load(None, environ).alerts.sinks["am"]
    assert isinstance(sink, AlertmanagerSink)
    assert (sink.urls, sink.key()) == (["http://a:9093", "http://b:9093"], "t")


def test_an_alertmanager_needs_no_token() -> None:
    """It has no authentication of its own."""
    name = "MONITOR_ALERTS__SINKS__AM__"
    sink = load(None, {f"{name}TYPE": "alertmanager", f"{name}URLS": "http://a:9093"}).alerts.sinks["am"]
    assert isinstance(sink, AlertmanagerSink)
    assert sink.key() is None


@pytest.mark.parametrize("size", [24, 25, 26, 64])
def test_a_secret_is_taken_with_and_without_padding(size: int) -> None:
    """As the scheme's libraries do."""
    assert keys(load(None, webhook(secret=secret(size).rstrip("="))))
    assert keys(load(None, webhook(secret=secret(size))))


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_of_another_length_is_refused(size: int) -> None:
    """The line says how long it is, and not what."""
    (line,) = faults(webhook(secret=secret(size)))
    assert line.startswith("environment: MONITOR_ALERTS__SINKS__PAGER__SECRET: expected a Standard Webhooks secret: ")
    assert line.endswith(f"whsec_ and 24 to 64 bytes in base64, got one of {size} bytes")


def test_a_variable_of_a_sink_that_is_misspelt_is_refused_with_a_suggestion() -> None:
    """A setting must not be lost in silence."""
    (line,) = faults(webhook(secret=secret(24)) | {"MONITOR_ALERTS__SINKS__PAGER__SECRET_FIEL": "x"})
    assert line.startswith("environment: MONITOR_ALERTS__SINKS__PAGER__SECRET_FIEL: unknown variable; did you mean ")
    assert line.endswith(" MONITOR_ALERTS__SINKS__PAGER__SECRET_FILE?")


def test_two_secrets_may_be_given_during_a_rotation(directory: Path) -> None:
    """As a list in the file, with a comma between in a variable; and each from a file of its own."""
    both = webhook(secret=f"{secret(24)}, {secret(32)}")
    assert keys(load(None, both)) == (secret(24), secret(32))
    for size in (24, 32):
        (directory / str(size)).write_text(secret(size), encoding="ascii")
    words = "type: webhook, url: https://alerts.example.com, secret_file: ['24', '32']"
    (directory / "config.yaml").write_text(f"alerts: {{sinks: {{pager: {{{words}}}}}}}", encoding="ascii")
    config = load(None, {})
    assert keys(config) == (secret(24), secret(32))
    (directory / "config.yaml").write_text(show(config), encoding="utf-8")
    assert show(load(None, {})) == show(config)


@pytest.mark.parametrize("sizes", [[], [24, 24, 24]])
def test_no_secret_or_more_than_two_are_refused(directory: Path, sizes: list[int]) -> None:
    """The line says how many there are."""
    words = f"type: webhook, url: https://alerts.example.com, secret: {[secret(each) for each in sizes]}"
    (directory / "config.yaml").write_text(f"alerts: {{sinks: {{pager: {{{words}}}}}}}", encoding="ascii")
    (line,) = faults({})
    assert line.endswith(f"expected one secret, or a list of two during a rotation, got a list of {len(sizes)}")


def test_secrets_stay_out_of_every_text() -> None:
    """Not in repr, YAML, JSON, or a dump of the model."""
    name = "MONITOR_ALERTS__SINKS__AM__"
    token = {f"{name}TYPE": "alertmanager", f"{name}URLS": "http://a", f"{name}BEARER_TOKEN": "hunter2"}
    config = load(None, webhook(secret=f"{secret(24)},{secret(32)}") | token)
    texts = (repr(config), show(config), config.model_dump_json(), str(config.model_dump()))
    assert not [text for text in texts if secret(24) in text or secret(32) in text or "hunter2" in text]


def test_what_is_shown_can_be_loaded_again_but_for_the_secrets(directory: Path) -> None:
    """The form is that of the file."""
    (directory / "secret").write_text(secret(32), encoding="ascii")
    config = load(None, webhook(secret_file="secret"))
    (directory / "config.yaml").write_text(show(config), encoding="utf-8")
    again = load(None, {})
    assert show(again) == show(config)


def test_a_secret_file_is_followed_and_keeps_the_last_good_secret(directory: Path) -> None:
    """What is written half-way, or is no secret of the scheme, changes nothing."""
    file = directory / "secret"
    file.write_text(secret(24), encoding="ascii")
    sink = load(None, webhook(secret_file="secret")).alerts.sinks["pager"]
    assert isinstance(sink, WebhookSink)
    assert sink.secret_file is not None
    (member,) = sink.secret_file.members
    assert isinstance(member, SecretFile)
    now = [0.0]
    member._clock = lambda: now[0]
    member._looked_at = now[0]
    for content, key in ((secret(8), secret(24)), ("hunter2", secret(24)), (secret(48), secret(48))):
        file.write_text(content, encoding="ascii")
        os.utime(file, ns=(1, len(content)))
        now[0] += 1
        assert sink.keys() == (key,)


def test_the_schema_knows_both_kinds_by_their_type() -> None:
    """So that an editor offers the keys of the one that is meant."""
    sinks = schema()["$defs"]["Alerts"]["properties"]["sinks"]
    (each,) = sinks["patternProperties"].values()
    assert set(each["discriminator"]["mapping"]) == {"webhook", "alertmanager"}
    assert json.dumps(schema()["$defs"]["WebhookSink"]["required"]) == '["type", "url"]'
