"""``monitor health``: what the daemon of this machine says of itself; for probes that run a command."""

from typing import Annotated, Any

import typer

from monitor.cli import session, streams
from monitor.errors import MonitorError

WITHIN = 4.0
"""Seconds to answer in: more than the daemon gives the database."""
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, not what we listen on

Ready = Annotated[
    bool, typer.Option("--ready", help="Whether it is ready: the database answers, and the last work succeeded.")
]


def health(ctx: typer.Context, ready: Ready = False) -> None:
    """Ask the daemon on this machine whether it lives, or with --ready whether it is ready; 0 for yes, 1 for no."""
    http = session.configuration(ctx).http
    host = ANY_ADDRESS.get(http.host, http.host)
    scheme = "https" if http.tls_cert_file else "http"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{http.port}/{'readyz' if ready else 'healthz'}"
    failing = _asked(url)
    if failing:
        raise MonitorError(f"the daemon is not {'ready' if ready else 'alive'}: {failing}")
    streams.note("ready" if ready else "alive")


def _asked(url: str) -> str:
    """Return what fails, in words; empty where nothing does."""
    import httpx  # noqa: PLC0415 - keeps the program's start quick

    try:
        # The certificate is made for those who come from outside; nothing secret is sent or shown here.
        answer = httpx.get(url, timeout=WITHIN, trust_env=False, verify=False)  # noqa: S501  # nosec B501
    except httpx.HTTPError as error:
        raise MonitorError(
            f"no daemon answers at {url} (http.host, http.port): {str(error) or type(error).__name__}"
        ) from error
    return "" if answer.is_success else _words(answer)


def _words(answer: Any) -> str:
    try:
        failing = answer.json()["failing"]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
    if isinstance(failing, dict):
        return "; ".join(f"{what}: {why}" for what, why in failing.items())
    return ", ".join(failing)
