"""The simulator's closed sets of words."""

from enum import StrEnum
from typing import Final

CONNECTED: Final = "connected"
ERROR: Final = "error"
PAUSED: Final = "paused"
KNOWN_STATUSES: Final = frozenset({CONNECTED, ERROR, PAUSED})

ERROR_TYPES: Final = (
    "token_refresh_failed",
    "webhook_registration_failed",
    "user_not_found",
    "deregistered_per_provider",
    "required_scopes_not_granted",
    "provider_credential_error",
    "provider_password_expired",
    "unknown",
)
"""What the vendor documents; the set is open, so a change may bring any other word."""


class Kind(StrEnum):
    """What a change looks like to an observer; only ``user_created`` is no word of the contract."""

    APPEARED = "appeared"
    ERRORED = "errored"
    ERROR_CHANGED = "error_changed"
    RECOVERED = "recovered"
    RECONNECTED = "reconnected"
    STATUS_CHANGED = "status_changed"
    DISAPPEARED = "disappeared"
    RESOURCE_LOST = "resource_lost"
    RESOURCE_RESTORED = "resource_restored"
    USER_GONE = "user_gone"
    USER_RETURNED = "user_returned"
    USER_CREATED = "user_created"


class Do(StrEnum):
    """What can be done to the world."""

    BREAK = "break"
    HEAL = "heal"
    RELINK = "relink"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    VANISH = "vanish"
    COME_BACK = "come_back"
    LOSE_RESOURCE = "lose_resource"
    REGAIN_RESOURCE = "regain_resource"
    CHANGE_ERROR = "change_error"
    SET_STATUS = "set_status"
    DELETE_USER = "delete_user"
    DELETE_USERS = "delete_users"
    RESTORE_USER = "restore_user"
    NEW_USER = "new_user"
    WAVE = "wave"


class Endpoint(StrEnum):
    """The vendor's endpoints, so that a fault can meet one and leave the others alone."""

    POLL = "poll"
    LIST = "list"
    METRICS = "metrics"


class Fault(StrEnum):
    """How an answer can go wrong; the package's docstring tells what each one does."""

    THROTTLE = "throttle"
    THROTTLE_DATE = "throttle_date"
    THROTTLE_BARE = "throttle_bare"
    UNAVAILABLE = "unavailable"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    HTML = "html"
    TIMEOUT = "timeout"
    DRIP = "drip"
    TRUNCATE = "truncate"
    TRUNCATE_CHUNKED = "truncate_chunked"
    EMPTY_OBJECT = "empty_object"
    NO_LIST = "no_list"
    MALFORMED_ROW = "malformed_row"
    OVERSIZE = "oversize"
    REDIRECT = "redirect"
    RESET = "reset"
    REVOKED = "revoked"
    MISSING = "missing"
    STATUS = "status"
    EMPTY_LIST = "empty_list"
    MISSING_PROVIDER = "missing_provider"
    RESTAMP = "restamp"
    ODD_DATES = "odd_dates"
    ODD_TEXTS = "odd_texts"
    SHORT_PAGES = "short_pages"
    LATENCY = "latency"
