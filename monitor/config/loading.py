"""From a file and the environment to settings, or to a line for every fault."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from monitor.config import document, environment, faults
from monitor.config.document import Document
from monitor.config.settings import Config
from monitor.config.wording import tidy
from monitor.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FILE: Final = Path("config.yaml")


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the settings: the environment over the file over the defaults.

    Without ``path`` the file is ``$MONITOR_CONFIG``, else ``config.yaml`` where that exists, else there is none.

    Raises:
        ConfigurationError: a line for every fault, the same ones in the same order each time.
    """
    file = _file(path, environ)
    written = Document(values={}) if file is None else document.read(file)
    variables = environment.read(environ)
    if not written.values.get("targets") and "targets" not in variables.values and environ.get(environment.KEY):
        variables.add(environment.ONLY_KEY, environment.KEY, environ[environment.KEY])
    sources = faults.Sources(file=None if file is None else str(file), document=written.values, variables=variables)
    config, wrong = _validated(sources)
    repeated = [f"{file}: {each}" for each in written.repeated]
    if config is None or repeated or variables.faults:
        # Raised here and not where it was caught: a ValidationError as its context would hold what was written.
        raise ConfigurationError([tidy(each) for each in (*repeated, *wrong, *variables.faults)])
    config.came_from(sources.file)
    return config


def _file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if named := environ.get(environment.FILE):
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _validated(sources: faults.Sources) -> tuple[Config | None, list[str]]:
    layers = (
        InitSettingsSource(Config, sources.variables.values),
        InitSettingsSource(Config, dict(sources.document)),
    )
    try:
        return Config(_build_sources=(layers, {})), []
    except ValidationError as error:
        return None, list(faults.lines(error, sources))
