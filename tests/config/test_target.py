"""Where a target is, and what its key has to say about that."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from monitor.config import Target

PLACES = [
    ("pk_us_", "production", "us", "https://api.us.junction.com"),
    ("pk_eu_", "production", "eu", "https://api.eu.junction.com"),
    ("sk_us_", "sandbox", "us", "https://api.sandbox.us.junction.com"),
    ("sk_eu_", "sandbox", "eu", "https://api.sandbox.eu.junction.com"),
]


def target(**keys: object) -> Target:
    """Return a target with these keys."""
    return Target.model_validate(keys)


@pytest.mark.parametrize(("prefix", "environment", "region", "url"), PLACES)
def test_the_prefix_of_a_key_tells_where_its_team_lives(prefix: str, environment: str, region: str, url: str) -> None:
    """The trap: sk_ is sandbox, pk_ is production."""
    found = target(api_key=f"{prefix}0123456789")
    assert (found.environment, found.region, found.url) == (environment, region, url)


@pytest.mark.parametrize(("prefix", "environment", "region", "url"), PLACES)
def test_what_is_stated_must_agree_with_the_prefix(prefix: str, environment: str, region: str, url: str) -> None:
    """Of the four places, one key fits one."""
    for _, other_environment, other_region, _ in PLACES:
        keys = {"api_key": f"{prefix}0123456789", "environment": other_environment, "region": other_region}
        if (other_environment, other_region) == (environment, region):
            assert target(**keys).url == url
        else:
            with pytest.raises(ValidationError, match=f"as the key starts with {prefix}"):
                target(**keys)


def test_half_of_a_place_is_completed_by_the_key() -> None:
    """What is left out is read off the prefix."""
    assert target(api_key="pk_eu_0123456789", region="eu").environment == "production"


def test_a_key_with_another_prefix_needs_a_stated_place() -> None:
    """Then it is taken: the vendor may change its prefixes."""
    assert target(api_key="tk_0123456789", region="us", environment="sandbox").url == PLACES[2][3]
    with pytest.raises(ValidationError, match="as the key starts with none of"):
        target(api_key="tk_0123456789", region="us")


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:8080", "http://127.8.9.1", "http://[::1]:8080", "http://localhost:8080", "https://127.0.0.1"],
)
def test_on_this_machine_any_key_is_taken(base_url: str) -> None:
    """A simulator has no team."""
    assert target(api_key="any", base_url=base_url, environment="production").url == base_url


def test_a_proxy_takes_any_key_where_nothing_is_stated() -> None:
    """Its address says nothing about the place."""
    found = target(api_key="pk_us_0123456789", base_url="https://proxy.example.com/junction/")
    assert (found.url, found.region) == ("https://proxy.example.com/junction", None)
    assert target(api_key="any", base_url="https://proxy.example.com").environment is None


def test_behind_a_proxy_what_is_stated_must_agree_all_the_same() -> None:
    """It was stated to be held against the key."""
    with pytest.raises(ValidationError, match="production, as the key starts with pk_us_"):
        target(api_key="pk_us_0123456789", base_url="https://proxy.example.com", environment="sandbox")


@pytest.mark.parametrize(
    "base_url",
    [
        "http://junction.example.com",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://[::2]",
        "http://2130706433",
        "http://127.1",
    ],
)
def test_a_key_never_leaves_the_machine_in_clear(base_url: str) -> None:
    """Only what is loopback beyond doubt may be asked without TLS."""
    with pytest.raises(ValidationError, match="only to loopback"):
        target(api_key="any", base_url=base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "proxy.example.com",
        "ftp://proxy.example.com",
        "https://",
        "https://user@proxy.example.com",
        "https://127.0.0.1\\@proxy.example.com",
        "https://proxy.example.com?",
        "https://proxy.example.com/#",
        "https://proxy.example.com:0",
        "https://proxy.example.com:65536",
        "https://[::1",
        "https://proxy.example.com/\n",
        "https://pröxy.example.com",
        "https://pro xy.example.com",
        "https://127.0.0.1%2f.example.com",
    ],
)
def test_an_address_must_be_plain(base_url: str) -> None:
    """No credentials, no query, nothing that two programs could read in two ways."""
    with pytest.raises(ValidationError, match="an address"):
        target(api_key="any", base_url=base_url)


def test_the_login_of_a_proxy_is_never_shown() -> None:
    """Not in what is shown, and in no repr; the client gets it."""
    found = target(api_key="pk_us_0123456789", proxy="https://ann:open%40sesame@proxy.example.com:3128/")
    assert found.model_dump(mode="json")["proxy"] == "https://**********@proxy.example.com:3128"
    assert "sesame" not in repr(found)
    assert found.proxy is not None
    assert found.proxy.reveal() == "https://ann:open%40sesame@proxy.example.com:3128"


def test_a_proxy_without_a_login_is_shown_whole() -> None:
    """There is nothing to hide."""
    found = target(api_key="pk_us_0123456789", proxy="http://proxy.example.com:3128")
    assert found.model_dump(mode="json")["proxy"] == "http://proxy.example.com:3128"
