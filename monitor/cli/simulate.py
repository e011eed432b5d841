"""``monitor simulate``: a Junction that is not there, to try the monitor on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli import session, streams
from monitor.cli.interruption import stopping
from monitor.errors import ConfigurationError

if TYPE_CHECKING:
    from monitor.simulator import Scenario

USERS = 100
CHANGES_EACH_USER_AFTER = 600
"""Seconds between two changes of one user, where no scenario says anything else."""

Host = Annotated[str, typer.Option("--host", metavar="HOST", help="Address to listen on.")]
Port = Annotated[int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Port; 0 takes a free one.")]
Users = Annotated[
    int | None,
    typer.Option("--users", metavar="N", min=0, max=10_000_000, help=f"How many users; {USERS} if nothing says more."),
]
Seed = Annotated[int | None, typer.Option("--seed", metavar="S", help="The same seed makes the same world.")]
File = Annotated[
    Path | None, typer.Option("--scenario", metavar="FILE", help="What happens when; else changes come by chance.")
]


def simulate(
    host: Host = "127.0.0.1", port: Port = 8765, users: Users = None, seed: Seed = None, scenario: File = None
) -> None:
    """Serve a simulated Junction until SIGTERM or SIGINT."""
    chosen = _chosen(users, seed, scenario)
    session.run(_serve(chosen, host, port))


def _chosen(users: int | None, seed: int | None, file: Path | None) -> "Scenario":
    from monitor.simulator import ScenarioError, load  # noqa: PLC0415 - keeps the program's start quick

    try:
        scenario = load(file) if file is not None else _by_chance(USERS if users is None else users)
    except ScenarioError as error:
        raise ConfigurationError(error.lines) from error
    said = {"users": users, "seed": seed}
    return scenario.model_copy(update={key: value for key, value in said.items() if value is not None})


def _by_chance(users: int) -> "Scenario":
    from monitor.simulator import Scenario  # noqa: PLC0415 - keeps the program's start quick

    return Scenario.model_validate(
        {"users": users, "changes": {"per_second": users / CHANGES_EACH_USER_AFTER, "rest": 30}}
    )


async def _serve(scenario: "Scenario", host: str, port: int) -> None:
    from monitor.simulator import serve  # noqa: PLC0415 - keeps the program's start quick

    def tell(bound: int) -> None:
        url = f"http://{f'[{host}]' if ':' in host else host}:{bound}"
        streams.put(f"{url}\n")
        streams.flush()
        streams.note(f"a simulated Junction with {scenario.users:,} users, its key is {scenario.api_key}; try it with:")
        streams.note(
            f"export MONITOR_TARGETS__SIMULATED__BASE_URL={url} MONITOR_TARGETS__SIMULATED__API_KEY={scenario.api_key}"
            " && monitor cohort sync --target simulated && monitor run"
        )

    with stopping() as stop:
        await serve(scenario=scenario, host=host, port=port, on_ready=tell, until=stop)
