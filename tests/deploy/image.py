"""The image, built and run for real: a base made on the spot, since no registry can be asked; Buildah and Podman."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[2]
BASE: Final = "localhost/base"
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A machine that is a container itself: no namespaces to build in, no cgroups to delegate.
BUILDING: Final = (
    *(
        "--isolation=chroot",
        "--network=host",
        "--pull=never",
        "--no-cache",
        "--layers=false",
        "--format=oci",
        "--timestamp=0",
    ),
    *("--volume=/etc/ssl/certs:/etc/ssl/certs:ro", f"--build-arg=BASE={BASE}"),
)
RUNNING: Final = (
    *("--rm", "--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"),
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges"),
)
"""Nothing may be written, and nothing is allowed."""


@dataclass(frozen=True, slots=True)
class Images:
    """Images and containers of their own, in one folder."""

    place: Path

    @property
    def _stored(self) -> tuple[str, ...]:
        return ("--storage-driver=vfs", f"--root={self.place}/storage", f"--runroot={self.place}/run")

    @property
    def podman(self) -> tuple[str, ...]:
        """The command, with where it stores, and how it runs inside another container."""
        ways = ("--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=file")
        return ("podman", *self._stored, *ways)

    @property
    def buildah(self) -> tuple[str, ...]:
        """The command, with where it stores."""
        return ("buildah", *self._stored)

    def bootstrap(self) -> None:
        """Make the base: Debian with Python and certificates, and nothing else."""
        tar = self.place / "base.tar"
        packages = "python3-minimal,python3,python3-venv,ca-certificates"
        leave_out = "--dpkgopt=path-exclude=/usr/share/{man,doc,locale}/*"
        done("mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", leave_out, "bookworm", str(tar))
        done(*self.podman, "import", "--change", f"ENV PATH={PATH}", str(tar), BASE)
        tar.unlink()

    def make(self, tag: str, revision: str) -> None:
        """Build with Podman, as a person does."""
        variables = (f"BUILDER={' '.join(self.podman)}", f"TAG={tag}", f"REVISION={revision}")
        done("make", "image", *variables, f"ARGS={' '.join(BUILDING)}")

    def build(self, tag: str, revision: str) -> None:
        """Build with Buildah."""
        arguments = ("--file=deploy/Dockerfile", f"--build-arg=REVISION={revision}", f"--tag={tag}")
        done(*self.buildah, "build", *BUILDING, *arguments, ".")

    def inspect(self, tag: str, what: str) -> str:
        """Return what a template gives of an image."""
        return done(*self.podman, "image", "inspect", "--format", what, tag).strip()

    def command(self, tag: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        """Return the command that runs an image in a container that may do nothing."""
        return [*self.podman, "run", *RUNNING, *options, tag, *arguments]


def done(*command: str) -> str:
    """Run a command in the project's folder and return what it prints; it must end well."""
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout[-3000:]}{ended.stderr[-3000:]}"
    return ended.stdout
