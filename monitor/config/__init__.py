"""The configuration: a YAML file, the environment over it, and one line for every fault."""

from monitor.config.display import schema, show
from monitor.config.loading import load
from monitor.config.secret import Secret, SecretFile
from monitor.config.serving import Http
from monitor.config.settings import Alerts, Config, Database, Log, Poll, Privacy, Severity
from monitor.config.sink import AlertmanagerSink, WebhookSink
from monitor.config.target import Target

__all__ = [
    "AlertmanagerSink",
    "Alerts",
    "Config",
    "Database",
    "Http",
    "Log",
    "Poll",
    "Privacy",
    "Secret",
    "SecretFile",
    "Severity",
    "Target",
    "WebhookSink",
    "load",
    "schema",
    "show",
]
