"""``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` that cannot be used: refused at start, and a value of TLS afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest

from monitor.core.model import Outcome
from monitor.errors import ConfigurationError
from monitor.sinks.post import Poster
from monitor.tls import check_authorities, client_context
from tests.cli.conftest import CONFIG
from tests.junction.clients import USER, client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

CONFIG_OF_HTTPS: Final = CONFIG.replace("http://127.0.0.1:9", "https://localhost:9")


@pytest.fixture(params=["missing", "a directory", "no certificate", "SSL_CERT_DIR"])
def unusable(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set a variable to what cannot be used, and return how every line about it begins."""
    path, name = tmp_path / "ca.pem", "SSL_CERT_FILE"
    expected = "a file of PEM certificates"
    if request.param == "a directory":
        path.mkdir()
    elif request.param == "no certificate":
        path.write_text("nothing")
    elif request.param == "SSL_CERT_DIR":
        name, expected = "SSL_CERT_DIR", "a directory of certificates"
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(name, str(path))
    return f"{name}: expected {expected}, {path}"


NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


def test_authorities_that_cannot_be_read_are_a_fault_of_the_configuration(unusable: str) -> None:
    """One line that names the variable and the path."""
    with pytest.raises(ConfigurationError) as refused:
        check_authorities()
    assert str(refused.value).startswith(unusable)
    assert len(refused.value.faults) == 1


@pytest.mark.parametrize("command", [("run",), ("poll",), ("cohort", "sync"), ("config", "check")], ids=" ".join)
def test_a_command_that_would_send_requests_is_refused(
    unusable: str,
    place: Path,
    run: Run,
    command: tuple[str, ...],
) -> None:
    """At its start, as bad configuration."""
    (place / "config.yaml").write_text(CONFIG_OF_HTTPS)
    refused = run(*command)
    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith(unusable)


async def test_a_poll_after_the_file_has_gone_is_a_failure_of_tls(unusable: str) -> None:
    """A value like every other failed request; it says what to mend."""
    async with client("https://127.0.0.1:9") as junction:
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "tls")
    assert unusable[:100] in (answer.detail or "")


async def test_a_file_that_comes_back_is_read(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next request tries again."""
    file = tmp_path / "ca.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with client("https://127.0.0.1:9") as junction:
        assert (await junction.connections(USER)).code == "tls"
        file.write_bytes(certificate.with_suffix(".crt").read_bytes())
        assert (await junction.connections(USER)).code == "connect"


def test_a_sink_is_refused_too(unusable: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError) as refused:
        Poster(timeout=timedelta(seconds=1), connections=1, clock=lambda: NOW)
    assert str(refused.value).startswith(unusable)


def test_one_directory_of_several_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenSSL reads the list."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path / 'nowhere'}:{tmp_path}")
    client_context()


def test_an_unusable_directory_beside_a_good_file_is_not_looked_at(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file alone counts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    client_context()
