"""How notices get from the outbox to a sink: each sink in a loop of its own."""

from monitor.delivery.courier import Courier, Rules
from monitor.delivery.health import Health
from monitor.delivery.resend import Resend

__all__ = ["Courier", "Health", "Resend", "Rules"]
