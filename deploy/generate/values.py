"""The JSON Schema of the chart's values: the monitor's own for ``config``, without what is secret, and the chart's."""

from __future__ import annotations

from typing import Any, Final

from monitor.config import schema as settings

TEXT: Final = {"type": "string", "minLength": 1}
COUNT: Final = {"type": "integer", "minimum": 1}
WORDS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
ANY: Final = {"type": "object"}
LIST: Final = {"type": "array", "items": {"type": "object"}}
PORTS: Final = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}}
SWITCH: Final = {"type": "boolean"}
WHERE_KNOWN: Final = {"enum": ["auto", True, False]}


def schema() -> dict[str, Any]:
    """Return the schema; a key that it does not name is refused."""
    config = settings()
    definitions = {name: _without_secrets(each) for name, each in config.pop("$defs").items()}
    # A login comes by an environment variable: MONITOR_TARGETS__NAME__PROXY from a Secret, in extraEnv.
    definitions["Target"]["properties"]["proxy"]["anyOf"][0]["pattern"] = "^https?://[^@]+$"
    del config["$schema"], config["properties"]["database"]
    config["properties"]["targets"]["patternProperties"] = {
        pattern: {"anyOf": [each, {"type": "null"}]}
        for pattern, each in config["properties"]["targets"]["patternProperties"].items()
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",  # the newest that Helm 3 knows
        "title": "Values of the chart junction-monitor",
        "$defs": definitions,
        **_closed(CHART_VALUES | {"config": config, "global": ANY}),
    }


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _without_secrets(definition: dict[str, Any]) -> dict[str, Any]:
    # A ConfigMap is no place for them.
    kept = {name: each for name, each in definition.get("properties", {}).items() if "writeOnly" not in str(each)}
    return definition | ({"properties": kept} if kept else {})


CHART_VALUES: Final[dict[str, Any]] = {
    "secretName": TEXT,
    "database": _closed({"type": {"enum": ["sqlite", "postgresql"]}, "ports": PORTS}),
    "replicas": _or_null(COUNT),
    "image": _closed(
        {
            "repository": TEXT,
            "tag": _or_null(TEXT),
            "digest": _or_null({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}),
            "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
            "pullSecrets": LIST,
        }
    ),
    "persistence": _closed({"size": TEXT, "storageClass": _or_null(TEXT), "existingClaim": _or_null(TEXT)}),
    "runbookBaseUrl": _or_null({"type": "string", "pattern": "^https?://[^?#]+$"}),
    "podMonitor": _closed({"enabled": WHERE_KNOWN, "labels": WORDS, "interval": TEXT, "endpoint": ANY}),
    "prometheusRule": _closed({"enabled": WHERE_KNOWN, "labels": WORDS}),
    "dashboards": _closed({"enabled": SWITCH, "labels": WORDS, "annotations": WORDS}),
    "autoscaling": _closed({"enabled": SWITCH, "minReplicas": COUNT, "maxReplicas": COUNT, "overdueUsers": COUNT}),
    "networkPolicy": _closed({"enabled": SWITCH, "scrapers": LIST, "egressPorts": PORTS}),
    "resources": ANY,
    "podLabels": WORDS,
    "podAnnotations": WORDS,
    "nodeSelector": WORDS,
    "tolerations": LIST,
    "affinity": ANY,
    "priorityClassName": _or_null(TEXT),
    "extraEnv": LIST,
    "extraVolumes": LIST,
    "extraVolumeMounts": LIST,
}
