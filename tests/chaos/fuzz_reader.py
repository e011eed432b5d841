"""Coverage-guided fuzzing of what reads Junction's answers, by atheris: `make fuzz ARGS=-max_total_time=3600`.

Arguments are libFuzzer's. It begins with the vendor's example and ends with a traceback and the bytes that led to it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import atheris

with atheris.instrument_imports(include=["monitor.junction.wire", "monitor.junction.listing"]):
    from monitor.junction import listing, wire

from tests.junction.answers import RESPONSE_EXAMPLE, answer, row

if TYPE_CHECKING:
    from monitor.core.model import Connection

WORDS: Final = (
    *("null", "true", "1e999", "NaN", "-0", "\\\\ud800", "\\\\u0000", "[]", "{}", "2026-13-01T00:00:00Z"),
    *('"providers":', '"slug":', '"status":', '"error"', '"error_details":', '"errored_at":', '"created_on":'),
    *('"resource_availability":', '"external_user_id":', '"users":', '"total":', "+23:59", "0001-01-01T00:00:00+23:59"),
)


def keep_the_rules(read: Connection) -> None:
    """Fail where what was read breaks a rule of the model."""
    assert read.provider.strip()
    assert read.status.strip()
    assert "\0" not in f"{read}"
    for each in (read.created_on, read.errored_at):
        assert each is None or each.utcoffset() is not None
    if not read.in_error:
        assert (read.error_type, read.error_message, read.errored_at) == (None, None, None)


def read(body: bytes) -> None:
    """Read bytes in every way that there is."""
    seen = wire.read(body, lambda given: given)
    for each in seen.connections.values() if seen else ():
        keep_the_rules(each)
    listing.read_page(body)
    listing.read_errored(body)


def main(arguments: list[str]) -> None:
    """Fuzz until told to stop."""
    with tempfile.TemporaryDirectory() as place:
        corpus = Path(place, "corpus")
        corpus.mkdir()
        for number, example in enumerate((RESPONSE_EXAMPLE, answer(row()))):
            (corpus / f"{number}.json").write_bytes(example)
        escaped = (each.replace("\\", "\\\\").replace('"', '\\"') for each in WORDS)
        Path(place, "words").write_text("".join(f'"{each}"\n' for each in escaped))
        options = [f"-dict={place}/words", "-max_len=4096", "-timeout=10", f"-artifact_prefix={place}/"]
        atheris.Setup([sys.argv[0], *options, *arguments, str(corpus)], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
