"""Serving under a certificate, which is renewed while the process runs."""

from __future__ import annotations

import shutil
import ssl
from typing import TYPE_CHECKING

import httpx
import pytest
import structlog
from structlog.testing import LogCapture

from monitor.availability import Availability
from monitor.job_border import JobBorder
from monitor.server import Certificate
from tests.conftest import self_signed
from tests.poller.world import Recorded

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.world import World


class Clock:
    """A clock that goes on by itself, two seconds at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        self.now += 2
        return self.now


@pytest.fixture
def pair(tmp_path: Path, certificate: Path) -> tuple[Path, Path]:
    """Give the files of a certificate and its key, to be overwritten."""
    both = tmp_path / "tls.crt", tmp_path / "tls.key"
    shutil.copy(certificate.with_suffix(".crt"), both[0])
    shutil.copy(certificate, both[1])
    return both


async def greeted(port: int, trusted: Path, path: str = "/metrics") -> int:
    """Return the status that somebody gets who trusts one certificate alone."""
    trust = ssl.create_default_context(cafile=str(trusted))
    async with httpx.AsyncClient(verify=trust, trust_env=False) as http:
        return (await http.get(f"https://localhost:{port}{path}")).status_code


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
async def test_everything_is_served_under_the_certificate(world: World, pair: tuple[Path, Path], path: str) -> None:
    """Whoever trusts it is answered."""
    async with world.serving(certificate=Certificate(*pair)) as port:
        assert await greeted(port, pair[0], path) == 200


async def test_nothing_is_served_in_clear_beside_it(world: World, pair: tuple[Path, Path]) -> None:
    """Plain HTTP gets no answer."""
    async with world.serving(certificate=Certificate(*pair)) as port, httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx.HTTPError):
            await http.get(f"http://localhost:{port}/healthz")


async def test_a_renewed_certificate_is_taken_over(world: World, pair: tuple[Path, Path], tmp_path: Path) -> None:
    """The next handshake shows the new one; nothing is restarted."""
    new = self_signed(tmp_path / "new.pem")
    async with world.serving(certificate=Certificate(*pair, clock=Clock())) as port:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await greeted(port, new.with_suffix(".crt"))
        shutil.copy(new.with_suffix(".crt"), pair[0])
        shutil.copy(new, pair[1])
        assert await greeted(port, new.with_suffix(".crt")) == 200


async def test_half_a_renewal_changes_nothing(world: World, pair: tuple[Path, Path], tmp_path: Path) -> None:
    """A certificate that does not belong to the key is not shown, and a file that is gone is no reason to stop."""
    old = tmp_path / "old.crt"
    shutil.copy(pair[0], old)
    new = self_signed(tmp_path / "new.pem")
    async with world.serving(certificate=Certificate(*pair, clock=Clock())) as port:
        shutil.copy(new.with_suffix(".crt"), pair[0])
        assert await greeted(port, old) == 200
        pair[1].unlink()
        assert await greeted(port, old) == 200


async def test_a_look_that_crashes_costs_no_handshake(
    world: World, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to the border of the job, and the last good certificate stays."""
    metrics = Recorded()
    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[LogCapture()])
    border = JobBorder(Availability(metrics, log), metrics, log)
    shown = Certificate(*pair, clock=Clock(), border=lambda: border("certificate"))

    def crash() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(shown, "_look_again", crash)
    async with world.serving(certificate=shown) as port:
        assert await greeted(port, pair[0]) == 200
    assert ("certificate",) in metrics.of("job_crashed")
