from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it alone into an empty environment that can see our dependencies."""
    home = tmp_path_factory.mktemp("installed")
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(home)]
    subprocess.run([*wheel, str(ROOT)], check=True, capture_output=True)
    venv.create(home / "env", with_pip=False)
    packages = next((home / "env" / "lib").glob("python*")) / "site-packages"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(packages)]
    subprocess.run([sys.executable, "-m", "pip", *install, *map(str, home.glob("*.whl"))], check=True)
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return home / "env" / "bin" / "python"


def monitor(
    program: Path, arguments: Sequence[str], cwd: Path, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the installed program in ``cwd`` with nothing of ours in the environment."""
    environ = {"PATH": os.environ["PATH"], "JUNCTION_API_KEY": "sk_us_nobody"}
    command = [str(program), "-P", "-m", "monitor", *arguments]
    return subprocess.run(command, cwd=cwd, env=environ, input=given, capture_output=True, text=True, check=False)


def test_the_installed_program_is_the_wheel(program: Path, tmp_path: Path) -> None:
    """What is tried here is not the checkout."""
    place = [str(program), "-P", "-c", "import monitor; print(monitor.__file__)"]
    done = subprocess.run(place, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(program.parents[1]) in done.stdout


def test_the_installed_program_brings_its_migrations(program: Path, tmp_path: Path) -> None:
    """In an empty directory the schema is made, and a cohort goes into it."""
    assert monitor(program, ["db", "upgrade"], tmp_path).returncode == 0
    user = "7d3b52a0-9f3c-4d0e-8b8b-0d6f1a2b3c4d"
    done = monitor(program, ["cohort", "import", "-"], tmp_path, f"user_id\n{user}\n")
    assert done.returncode == 0, done.stderr
    assert user in monitor(program, ["cohort", "list", "--json"], tmp_path).stdout


def test_the_installed_program_demonstrates_itself(program: Path, tmp_path: Path) -> None:
    """Simulator and daemon run from the wheel alone."""
    done = monitor(program, ["demo", "--no-live", "--duration", "8s", "--users", "30"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("missed 0, invented 0\n")
