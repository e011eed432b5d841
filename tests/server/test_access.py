"""Who may read the metrics, in clear and under a certificate."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import httpx
import pytest

from monitor.server import Access

if TYPE_CHECKING:
    from tests.server.world import World

BEARER = Access(bearer=lambda: "t0ken")
BASIC = Access(basic=lambda: ("prometheus", "pa:ss"))
EITHER = Access(bearer=lambda: "t0ken", basic=lambda: ("prometheus", "pa:ss"))


def basic(pair: str) -> str:
    """Return what a client says that was given a name and a password."""
    return "Basic " + b64encode(pair.encode()).decode()


async def asked(world: World, access: Access, *said: str, path: str = "/metrics") -> httpx.Response:
    """Return the answer to somebody who says ``said``."""
    async with world.serving(access=access) as port, httpx.AsyncClient(trust_env=False) as http:
        return await http.get(f"http://127.0.0.1:{port}{path}", headers=[("authorization", each) for each in said])


@pytest.mark.parametrize(
    ("access", "said"),
    [
        (BEARER, "Bearer t0ken"),
        (BEARER, "bearer  t0ken"),
        (BASIC, basic("prometheus:pa:ss")),
        (EITHER, "Bearer t0ken"),
        (EITHER, basic("prometheus:pa:ss")),
    ],
)
async def test_whoever_shows_what_is_asked_for_reads(world: World, access: Access, said: str) -> None:
    """One of several will do; the scheme is a word in any case."""
    assert (await asked(world, access, said)).status_code == 200


@pytest.mark.parametrize(
    ("access", "said"),
    [
        (BEARER, []),
        (BEARER, [""]),
        (BEARER, ["Bearer"]),
        (BEARER, ["Bearer t0ke"]),
        (BEARER, ["Bearer t0ken2"]),
        (BEARER, ["Bearer T0KEN"]),
        (BEARER, ["Basic t0ken"]),
        (BEARER, ["t0ken"]),
        (BEARER, ["Bearer t0ken", "Bearer t0ken"]),
        (BASIC, [basic("prometheus:pa")]),
        (BASIC, [basic("prometheus")]),
        (BASIC, [basic(":pa:ss")]),
        (BASIC, ["Basic ====="]),
        (EITHER, ["Bearer pa:ss"]),
    ],
)
async def test_whoever_does_not_reads_nothing(world: World, access: Access, said: list[str]) -> None:
    """The answer says in which scheme to ask, and nothing of the page."""
    answer = await asked(world, access, *said)
    assert (answer.status_code, answer.text) == (401, "unauthorized\n")
    assert answer.headers["www-authenticate"].endswith('realm="junction-monitor"')


@pytest.mark.parametrize(
    ("access", "schemes"),
    [
        (BEARER, 'Bearer realm="junction-monitor"'),
        (BASIC, 'Basic realm="junction-monitor"'),
        (EITHER, 'Bearer realm="junction-monitor", Basic realm="junction-monitor"'),
    ],
)
async def test_every_scheme_that_will_do_is_named(world: World, access: Access, schemes: str) -> None:
    """A browser then asks its person, and a person knows what to configure."""
    assert (await asked(world, access)).headers["www-authenticate"] == schemes


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_need_nothing(world: World, path: str) -> None:
    """A kubelet has no token to show."""
    assert (await asked(world, EITHER, path=path)).status_code == 200


async def test_a_rotated_token_holds_from_the_next_request_on(world: World) -> None:
    """The old one opens nothing any more."""
    tokens = ["old"]
    async with world.serving(access=Access(bearer=lambda: tokens[-1])) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        async with httpx.AsyncClient(trust_env=False) as http:
            for token, status in (("old", 200), ("new", 401)):
                assert (await http.get(url, headers={"authorization": f"Bearer {token}"})).status_code == status
            tokens.append("new")
            for token, status in (("old", 401), ("new", 200)):
                assert (await http.get(url, headers={"authorization": f"Bearer {token}"})).status_code == status
