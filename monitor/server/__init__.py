"""The HTTP server: metrics, and whether this process lives and is ready."""

from monitor.server.access import Access
from monitor.server.certificate import Certificate
from monitor.server.server import Server

__all__ = ["Access", "Certificate", "Server"]
