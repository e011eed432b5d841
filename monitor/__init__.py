"""The connection-health monitor for Junction."""

__version__ = "0.1.0"
