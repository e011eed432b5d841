"""The password file of a PostgreSQL address: libpq passes over one that it cannot use, and asks without a password."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from monitor.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine


def look_at_passfile(engine: Engine) -> None:
    """Refuse to connect with a password file that libpq would pass over; mended, it serves the next attempt."""

    @event.listens_for(engine, "do_connect")
    def connecting(_dialect: Any, _record: Any, _arguments: Any, given: dict[str, Any]) -> None:
        passfile = given.get("passfile")
        # A password beside it goes first, and then libpq does not open the file.
        if not passfile or "password" in given:
            return
        fault = _fault_of(Path(passfile))
        if fault:
            raise StoreUnavailable(f"password file {passfile}: {fault}", remedy="")


def _fault_of(passfile: Path) -> str | None:
    if not passfile.exists():
        return "there is no such file"
    if not passfile.is_file():
        return "it is not a plain file"
    if passfile.stat().st_mode & 0o077:
        return "others may use it, and so it is not used; chmod 600 helps"
    return None if os.access(passfile, os.R_OK) else "it cannot be read"
