"""The Prometheus Operator's own types, from its npm package, and what they say of manifests."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

MODULES: Final = Path(os.environ.get("OPERATOR_MODULES", Path(__file__).parents[2] / ".venv" / "node" / "node_modules"))
"""Where ``npm install`` put the package and the TypeScript compiler; .ci/run does it."""
PACKAGE: Final = "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"
STRICT: Final = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022")
VALIDATE: Final = f"""
import * as models from "{PACKAGE}";
for (const each of JSON.parse(process.argv[2])) new models[each.kind](each).validate();
"""


def faults(manifests: list[dict[str, Any]], cwd: Path) -> str:
    """Return what is wrong, empty where nothing is: unknown keys by the compiler, values by the validators."""
    assert MODULES.is_dir(), "npm install --prefix .venv/node, as .ci/run does"
    (cwd / "node_modules").unlink(missing_ok=True)
    (cwd / "node_modules").symlink_to(MODULES)
    lines = [f'import type {{ I{kind} }} from "{PACKAGE}";' for kind in sorted({each["kind"] for each in manifests})]
    for number, each in enumerate(manifests):
        lines.append(f"export const manifest{number}: I{each['kind']} = {json.dumps(each)};")
    (cwd / "manifests.ts").write_text("\n".join(lines), encoding="utf-8")
    (cwd / "validate.mjs").write_text(VALIDATE, encoding="utf-8")
    commands = (
        ["node", str(MODULES / "typescript" / "bin" / "tsc"), *STRICT, "manifests.ts"],
        ["node", "validate.mjs", json.dumps(manifests)],
    )
    ended = [subprocess.run(each, cwd=cwd, capture_output=True, text=True, check=False) for each in commands]
    return "".join(each.stdout + each.stderr for each in ended if each.returncode)
