"""Junction's API: the client, and the wire format read into our own values."""

from monitor.junction.client import JunctionClient

__all__ = ["JunctionClient"]
