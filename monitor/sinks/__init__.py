"""Where alerts are told: the log, webhooks, Alertmanager."""

from monitor.sinks.alertmanager import AlertmanagerSink
from monitor.sinks.log import LogSink
from monitor.sinks.webhook import WebhookSink

__all__ = ["AlertmanagerSink", "LogSink", "WebhookSink"]
