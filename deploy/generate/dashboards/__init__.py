"""The dashboards, built with Grafana's own library for the schema of Grafana 11.6; newer ones read it as well."""

from deploy.generate.dashboards import operations, overview, provider, users

BOARDS = {"overview": overview.board, "provider": provider.board, "operations": operations.board, "users": users.board}

__all__ = ["BOARDS"]
