from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import kubernetes_validate
import pytest
import yaml

from deploy.generate import files
from deploy.generate.values import CHART_VALUES
from monitor.config import load
from tests.deploy import operator
from tests.deploy.boards import NAMES, board
from tests.deploy.chart import CASES, CHART, containers, one, refused, rendered

if TYPE_CHECKING:
    from pathlib import Path

OPERATORS: Final = "monitoring.coreos.com/v1"
VERSIONS: Final = ("1.25", "1.29", "1.33", kubernetes_validate.latest_version())
KEYS: Final = {
    "api-key.default": "pk_us_1",
    "api-key.acme_us": "pk_us_1",
    "api-key.acme_eu": "pk_eu_1",
    "database-url": "postgresql://monitor@db/monitor",
    "sink.pager": "whsec_cHV0LXlvdXItb3duLXNlY3JldC1oZXJlIQ",
    "hash-key": "0123456789abcdef",
    "metrics-token": "t0ken",
}
every_case = pytest.mark.parametrize("case", CASES, ids=lambda each: each.stem)


def values(path: Path = CHART / "values.yaml") -> dict[str, Any]:
    """Return the values in a file."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def test_the_schema_of_the_values_is_made_of_the_monitor_s_own() -> None:
    """A setting that is new is taken by the chart as well."""
    for path, text in files.schema():
        assert path.read_text(encoding="utf-8") == text, "run `make generate`"


def test_every_value_has_a_default_a_schema_and_a_case() -> None:
    """Nothing is taken that is not shown, and the fullest case sets all of it to something else."""
    assert set(values()) == {*CHART_VALUES, "config"}
    whole = values(CHART / "ci" / "everything-values.yaml")
    rest = set(values()) - {"replicas", "persistence"}  # autoscaling and PostgreSQL have none
    assert set(whole) == rest
    assert [each for each in rest if whole[each] == values()[each]] == []


@pytest.mark.tools
def test_helm_has_nothing_to_say() -> None:
    """Not even a warning."""
    done = subprocess.run(["helm", "lint", "--strict", str(CHART)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.tools
@pytest.mark.parametrize("version", VERSIONS)
@every_case
def test_kubernetes_takes_every_manifest(case: Path, version: str) -> None:
    """Strictly: no key that the version does not know, and no kind without a schema."""
    found = [each for each in rendered(case) if each["apiVersion"] != OPERATORS]
    assert len(found) >= 3
    for each in found:
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.tools
def test_the_operator_takes_its_manifests(tmp_path: Path) -> None:
    """As its own types have them, which do find what is wrong."""
    found = [each for case in CASES for each in rendered(case) if each["apiVersion"] == OPERATORS]
    assert {each["kind"] for each in found} == {"PodMonitor", "PrometheusRule"}
    assert operator.faults(found, tmp_path) == ""
    found[0]["spec"]["selectr"] = {}
    assert "selectr" in operator.faults(found, tmp_path)


@pytest.mark.tools
def test_plain_manifests_are_those_of_the_chart() -> None:
    """What is committed is what the chart renders today."""
    for path, text in files.plain():
        assert path.read_text(encoding="utf-8") == text, "run `make generate`"


@pytest.mark.tools
@every_case
def test_the_monitor_takes_its_configuration(case: Path, tmp_path: Path, certificate: Path) -> None:
    """With the secrets that the chart asks for, and no others."""
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_bytes(certificate.read_bytes())
    config = one("ConfigMap", [each for each in rendered(case) if "config.yaml" in each.get("data", {})])
    text = config["data"]["config.yaml"].replace("/run/secrets/junction-monitor", str(tmp_path))
    for name, key in KEYS.items():
        (tmp_path / name).write_text(key, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    loaded = load(tmp_path / "config.yaml", {})
    whole = values(case)
    assert loaded.targets.keys() == whole.get("config", {}).get("targets", {"default": None}).keys()
    kind = whole.get("database", {}).get("type", "sqlite")
    assert loaded.database.address.startswith(kind)
    grace = one("Deployment", rendered(case))["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= loaded.poll.timeout.total_seconds() + 12


@pytest.mark.tools
@every_case
def test_a_pod_keeps_to_the_restricted_standard(case: Path) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, and beyond it."""
    found = rendered(case)
    pod = one("Deployment", found)["spec"]["template"]["spec"]
    security = pod["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 65532)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is one("ServiceAccount", found)["automountServiceAccountToken"] is False
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    assert {kind for each in pod["volumes"] for kind in each if kind != "name"} <= {
        "configMap",
        "secret",
        "persistentVolumeClaim",
    }
    for each in containers(found):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert each["resources"].keys() == {"requests", "limits"}
        assert each["terminationMessagePolicy"] == "FallbackToLogsOnError"
        assert not [name for name in (pair["name"] for pair in each["env"]) if "KEY" in name or "URL" in name]


@pytest.mark.tools
def test_probes_and_scrapes_follow_the_certificate() -> None:
    """Kubelet and Prometheus speak TLS where the monitor does."""
    for name, scheme in (("everything", "HTTPS"), ("postgresql", None)):
        found = rendered(CHART / "ci" / f"{name}-values.yaml")
        daemon = one("Deployment", found)["spec"]["template"]["spec"]["containers"][0]
        for probe in ("startupProbe", "livenessProbe"):
            assert daemon[probe]["httpGet"].get("scheme") == scheme
    endpoint = one("PodMonitor", rendered(CHART / "ci" / "everything-values.yaml"))["spec"]["podMetricsEndpoints"][0]
    assert endpoint["scheme"] == "https"
    assert endpoint["authorization"]["credentials"]["key"] == "metrics-token"


@pytest.mark.tools
def test_sqlite_is_one_pod_with_a_volume_and_postgresql_several_without() -> None:
    """The one ends before its successor starts; of the others one is always there."""
    alone = one("Deployment", rendered(CHART / "ci" / "sqlite-values.yaml"))["spec"]
    assert (alone["replicas"], alone["strategy"]["type"]) == (1, "Recreate")
    assert "initContainers" not in alone["template"]["spec"]
    found = rendered(CHART / "ci" / "postgresql-values.yaml")
    several = one("Deployment", found)["spec"]
    assert (several["replicas"], several["strategy"]["rollingUpdate"]["maxUnavailable"]) == (2, 0)
    assert [each["args"] for each in containers(found)] == [["db", "upgrade"], ["run"]]
    assert "PersistentVolumeClaim" not in {each["kind"] for each in found}
    assert one("PodDisruptionBudget", found)["spec"]["maxUnavailable"] == 1


@pytest.mark.tools
def test_only_readiness_depends_on_anything_outside() -> None:
    """A database or a Junction that is away restarts nobody."""
    monitor = containers(rendered(CHART / "ci" / "postgresql-values.yaml"))[-1]
    for probe in ("startupProbe", "livenessProbe"):
        assert monitor[probe]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert monitor["readinessProbe"]["exec"]["command"] == ["monitor", "health", "--ready"]


@pytest.mark.tools
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["replicas=2"], "SQLite has one writer: set replicas to 1"),
        (["autoscaling.enabled=true"], "SQLite has one writer: set replicas to 1 and autoscaling.enabled to false"),
        (["replica=2"], "additional properties 'replica' not allowed"),
        (["database.type=mysql"], "value must be one of 'sqlite', 'postgresql'"),
        (["config.poll.intervall=5m"], "at '/config/poll': additional properties 'intervall' not allowed"),
        (["config.poll.interval=5x"], "'5x' does not match pattern"),
        (["config.targets.acme.api_key=pk_us_1"], "additional properties 'api_key' not allowed"),
        (["config.targets.acme.proxy=http://ann:secret@proxy"], "does not match pattern"),
        (["config.database.url=postgresql://db/monitor"], "additional properties 'database' not allowed"),
        (["config.alerts.sinks.desk.secret=whsec_1"], "additional properties 'secret' not allowed"),
    ],
)
def test_what_is_wrong_in_the_values_is_named(settings: list[str], said: str) -> None:
    """And nothing is rendered."""
    assert said in refused(*settings)


@pytest.mark.tools
def test_rules_and_alerts_link_to_the_runbooks_of_this_installation() -> None:
    """One value names the place for both."""
    found = rendered(CHART / "ci" / "everything-values.yaml")
    rules = [rule for group in one("PrometheusRule", found)["spec"]["groups"] for rule in group["rules"]]
    alerts = [each for each in rules if "alert" in each]
    assert len(alerts) >= 19
    for each in alerts:
        assert each["annotations"]["runbook_url"] == f"https://wiki.example.com/runbooks/{each['alert']}.md"
    config = [each for each in found if "config.yaml" in each.get("data", {})]
    assert "runbook_base_url: https://wiki.example.com/runbooks" in config[0]["data"]["config.yaml"]


@pytest.mark.tools
def test_the_network_policy_opens_what_the_values_name() -> None:
    """DNS, Junction, the database, the sinks, a proxy; and to the inside the port that is scraped."""
    policy = one("NetworkPolicy", rendered(CHART / "ci" / "everything-values.yaml"))["spec"]
    ports = [port["port"] for rule in policy["egress"] for port in rule["ports"]]
    assert sorted(ports) == [53, 53, 443, 3128, 3129, 6543, 8443, 9093]
    assert policy["ingress"][0]["ports"] == [{"port": "http", "protocol": "TCP"}]


@pytest.mark.tools
def test_the_operator_s_kinds_come_where_the_cluster_knows_them() -> None:
    """`auto` asks the cluster."""
    kinds = {each["kind"] for each in rendered(CHART / "ci" / "sqlite-values.yaml")}
    knowing = {each["kind"] for each in rendered(CHART / "ci" / "sqlite-values.yaml", f"--api-versions={OPERATORS}")}
    assert knowing - kinds == {"PodMonitor", "PrometheusRule"}


@pytest.mark.tools
def test_every_dashboard_is_a_config_map_for_the_sidecar() -> None:
    """Word for word, under the labels and annotations that were chosen."""
    whole = rendered(CHART / "ci" / "everything-values.yaml")
    found = [each for each in whole if "-dashboard-" in each["metadata"]["name"]]
    assert len(found) == len(NAMES)
    for each in found:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "yes"
        assert each["metadata"]["annotations"] == {"grafana_folder": "Junction"}
        ((file, text),) = each["data"].items()
        assert json.loads(text) == board(file.removeprefix("junction-").removesuffix(".json"))
