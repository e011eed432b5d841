"""What a validator says where a value does not fit: the end of a fault line, without the value itself."""

from __future__ import annotations

from typing import Final

from pydantic_core import PydanticCustomError

EXPECTED: Final = "expected"


def expected(text: str, *, got: str | None = None, of_section: bool = False) -> PydanticCustomError:
    """Return the error for a value that should have been ``text``.

    ``got`` says what there is instead; None leaves that to the fault line, which knows what may be repeated.
    ``of_section`` puts the fault at the section around the key.
    """
    return PydanticCustomError(EXPECTED, "{text}", {"text": text, "got": got, "of_section": of_section})
