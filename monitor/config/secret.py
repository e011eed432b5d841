"""Keys: given in place or in a file, never shown."""

from __future__ import annotations

import base64
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, InstanceOf, PlainSerializer, WithJsonSchema

from monitor.config.expectation import expected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MASK: Final = "**********"
MAX_BYTES: Final = 65536
LOOK_AGAIN_AFTER: Final = 1.0
"""Seconds for which a key file is taken to be what it was."""
SIGNING_PREFIX: Final = "whsec_"
SIGNING_BYTES: Final = (24, 64)
MOST_SIGNING: Final = 2
"""During a rotation there is the secret of before and the one that follows it."""
_SIGNING_SHAPE: Final = "a Standard Webhooks secret: whsec_ and 24 to 64 bytes in base64"
_SHAPE: Final = "a key of printable ASCII characters without white space"


class Secret:
    """A key. Only :meth:`reveal` gives it away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key itself."""
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({MASK!r})"


class SecretFile(Secret):
    """A key in a file, read again when the file was changed or replaced; what cannot be read changes nothing."""

    __slots__ = ("_check", "_clock", "_looked_at", "_seen", "path")

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        check: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Read the key; ``check`` raises a ValueError for one that will not do.

        Raises:
            OSError: the file cannot be read.
            ValueError: what is in it is no key; the text says what was found, and not the key.
        """
        self.path = path
        self._clock = clock
        self._check = check
        self._looked_at = clock()
        value, self._seen = _read(path)
        check(value)
        super().__init__(value)

    def reveal(self) -> str:
        """Return the key as the file had it at most a second ago."""
        now = self._clock()
        if now - self._looked_at >= LOOK_AGAIN_AFTER:
            self._looked_at = now
            self._look_again()
        return self._value

    def _look_again(self) -> None:
        try:
            if _identity(self.path.stat()) != self._seen:
                value, seen = _read(self.path)
                self._check(value)
                self._value, self._seen = value, seen
        except (OSError, ValueError):
            return  # half-way through a rotation: the last good key stays, and the next look comes soon


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    """Return what differs when the file was written again, or a symbolic link on the way leads elsewhere."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: Path) -> tuple[str, tuple[int, int, int, int]]:
    # Not blocking: opening a pipe would wait for its writer.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("something that is not a regular file")
        content = file.read(MAX_BYTES + 1)
    return _key(content), _identity(found)


def _key(content: bytes) -> str:
    value = content.decode("latin-1").rstrip("\r\n")
    if not value:
        raise ValueError("an empty file")
    if not _fits(value):
        raise ValueError("a file with other content")
    return value


def _fits(value: str) -> bool:
    return len(value) <= MAX_BYTES and all("!" <= letter <= "~" for letter in value)


def _in_place(value: object) -> Any:
    if not isinstance(value, str):
        return value if isinstance(value, Secret) else _refuse_type(value)
    if not value or not _fits(value):
        raise expected(_SHAPE, got="an empty one" if not value else "other characters in it")
    return Secret(value)


def _refuse_type(value: object) -> None:
    hint = " (put it in quotes)" if isinstance(value, int | float) else ""
    raise expected(f"a string{hint}")


def in_file(value: object, shape: str = _SHAPE, check: Callable[[str], None] = lambda _: None) -> Any:
    """Return the secret in the file that ``value`` names; ``check`` raises a ValueError for one that will not do."""
    if isinstance(value, SecretFile):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise expected("the path of a file")
    try:
        return SecretFile(Path(value), check=check)
    except OSError as fault:
        raise expected("a readable file", got=f"{value!r}: {fault.strerror}") from None
    except ValueError as fault:
        raise expected(f"a file with {shape}", got=f"{value!r}: {fault}") from None


def _signs(value: str) -> None:
    """Refuse what is no secret of Standard Webhooks, saying what it is and not the secret."""
    if not value.startswith(SIGNING_PREFIX):
        raise ValueError(f"one that does not begin with {SIGNING_PREFIX}")
    encoded = value.removeprefix(SIGNING_PREFIX)
    try:
        size = len(base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True))
    except ValueError:
        raise ValueError("one that is not base64") from None
    if not SIGNING_BYTES[0] <= size <= SIGNING_BYTES[1]:
        raise ValueError(f"one of {size} bytes")


def _signing_in_place(value: object) -> Any:
    secret = _in_place(value)
    try:
        _signs(secret.reveal())
    except ValueError as fault:
        raise expected(_SIGNING_SHAPE, got=str(fault)) from None
    return secret


def _signing_in_file(value: object) -> Any:
    return in_file(value, _SIGNING_SHAPE, _signs)


class Secrets:
    """The secrets that a message is signed with: one, or during a rotation two."""

    __slots__ = ("members",)

    def __init__(self, members: Sequence[Secret]) -> None:
        self.members = tuple(members)

    def reveal(self) -> tuple[str, ...]:
        """Return the secrets themselves as they are now."""
        return tuple(each.reveal() for each in self.members)

    def shown(self, show: Callable[[Any], str]) -> str | list[str]:
        """Return each member as ``show`` shows it: one by itself, two as a list."""
        texts = [show(each) for each in self.members]
        return texts if len(texts) > 1 else texts[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({MASK!r})"


def _several(one: Callable[[object], Any]) -> Callable[[object], Any]:
    """Return a validator that takes what ``one`` takes, or a list of up to two of it."""

    def taken(value: object) -> Any:
        if isinstance(value, Secrets):
            return value
        given = value if isinstance(value, list) else [value]
        if not 1 <= len(given) <= MOST_SIGNING:
            raise expected("one secret, or a list of two during a rotation", got=f"a list of {len(given)}")
        return Secrets([one(each) for each in given])

    return taken


def _split(value: object) -> object:
    """Return the parts of a text with commas, as an environment variable has to give a list."""
    return [each.strip() for each in value.split(",")] if isinstance(value, str) and "," in value else value


def _one_or_two(one: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of one value, or a list of up to two."""
    return {"anyOf": [one, {"type": "array", "minItems": 1, "maxItems": MOST_SIGNING, "items": one}]}


Key = Annotated[
    InstanceOf[Secret],
    BeforeValidator(_in_place),
    PlainSerializer(lambda _: MASK, return_type=str),
    WithJsonSchema({"type": "string", "writeOnly": True, "minLength": 1, "pattern": "^[!-~]+$"}),
]
"""A key in place."""

KeyFile = Annotated[
    InstanceOf[SecretFile],
    BeforeValidator(in_file),
    PlainSerializer(lambda key: str(key.path), return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
"""The path of a file with a key."""

SigningKeys = Annotated[
    InstanceOf[Secrets],
    BeforeValidator(_several(_signing_in_place)),
    BeforeValidator(_split),
    PlainSerializer(lambda keys: keys.shown(lambda _: MASK), return_type=str | list[str]),
    WithJsonSchema(_one_or_two({"type": "string", "writeOnly": True, "pattern": "^whsec_[A-Za-z0-9+/]{32,86}={0,2}$"})),
]
"""A secret of Standard Webhooks in place, or two during a rotation."""

SigningKeyFiles = Annotated[
    InstanceOf[Secrets],
    BeforeValidator(_several(_signing_in_file)),
    PlainSerializer(lambda keys: keys.shown(lambda key: str(key.path)), return_type=str | list[str]),
    WithJsonSchema(_one_or_two({"type": "string", "minLength": 1})),
]
"""The path of a file with a secret of Standard Webhooks, or two during a rotation."""
