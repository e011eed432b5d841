"""Keys never show, and key files are followed."""

from __future__ import annotations

import json
import os
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.config import Config, Secret, SecretFile, Target, load, show
from monitor.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk_us_hunter2hunter2"
PASSWORD = "correct-horse"


class Clock:
    """A clock that moves when told."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A key file as an editor leaves it."""
    path = tmp_path / "api-key"
    path.write_text(f"{KEY}\r\n", encoding="ascii")
    return path


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration full of secrets."""
    path = tmp_path / "config.yaml"
    path.write_text(
        f"targets: {{acme: {{api_key: {KEY}}}}}\n"
        f"database: {{url: 'postgresql://monitor:{PASSWORD}@db/monitor?sslpassword={PASSWORD}&p%61ssword={PASSWORD}'}}\n"
        f"privacy: {{log_user_id: hash, hash_key: {PASSWORD}}}\n",
        encoding="utf-8",
    )
    return load(path, {})


def test_secrets_stay_out_of_every_text_of_a_configuration(config: Config) -> None:
    """Not in repr, str, YAML, JSON or a dump of the model."""
    texts = (repr(config), str(config), show(config), config.model_dump_json(), str(config.model_dump()))
    assert not [text for text in texts if KEY in text or PASSWORD in text]


def test_secrets_are_there_for_those_who_need_them(config: Config) -> None:
    """The client, the hasher and the driver get the real thing."""
    assert (config.targets["acme"].key(), config.privacy.key()) == (KEY, PASSWORD)
    assert config.database.url.startswith(f"postgresql://monitor:{PASSWORD}@db/")


def test_a_secret_shows_a_mask() -> None:
    """Its type is told, and that there is something."""
    assert repr(Secret(KEY)) == f"{Secret(KEY)}" == "Secret('**********')"


def test_a_refusal_holds_no_secret_anywhere(tmp_path: Path) -> None:
    """Neither in its lines nor in its chain, as a traceback or a crash report would print it."""
    path = tmp_path / "config.yaml"
    path.write_text(f"targets: {{acme: {{api_key: {KEY}, api_key_file: {KEY}, region: eu}}}}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load(path, {})
    error = refused.value
    assert "hunter2" not in "".join(traceback.format_exception(error))
    assert error.__context__ is None
    assert error.__cause__ is None


def test_a_model_refused_outside_of_load_hides_its_input() -> None:
    """Even the library's own error has no key in it."""
    with pytest.raises(ValueError, match="valid boolean") as refused:
        Config.model_validate({"targets": {"acme": {"api_key": KEY, "discover": KEY}}})
    assert KEY not in str(refused.value)


def test_the_end_of_a_line_is_no_part_of_a_key(file: Path) -> None:
    """Editors and ``echo`` leave one."""
    assert SecretFile(file).reveal() == KEY


def test_a_changed_file_is_read_again(file: Path, clock: Clock) -> None:
    """At most a second later."""
    secret = SecretFile(file, clock)
    file.write_text("another-key", encoding="ascii")
    clock.now += 0.9
    assert secret.reveal() == KEY
    clock.now += 0.1
    assert secret.reveal() == "another-key"


def test_a_swapped_link_is_followed(tmp_path: Path, clock: Clock) -> None:
    """Kubernetes replaces a directory by moving a symbolic link; size and times of the file may stay the same."""
    for name, key in (("old", "key-1"), ("new", "key-2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "api-key").write_text(key, encoding="ascii")
        os.utime(tmp_path / name / "api-key", ns=(1, 1))
    (tmp_path / "data").symlink_to("old")
    secret = SecretFile(tmp_path / "data" / "api-key", clock)
    (tmp_path / "fresh").symlink_to("new")
    (tmp_path / "fresh").replace(tmp_path / "data")
    clock.now += 1
    assert secret.reveal() == "key-2"


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"two\nlines", b"caf\xc3\xa9", b"x" * 65537])
def test_what_is_no_key_leaves_the_last_good_one(file: Path, clock: Clock, content: bytes) -> None:
    """A file caught half-way through a rotation does not stop the monitor."""
    secret = SecretFile(file, clock)
    file.write_bytes(content)
    clock.now += 1
    assert secret.reveal() == KEY
    file.write_text("the-next-key", encoding="ascii")
    clock.now += 1
    assert secret.reveal() == "the-next-key"


def test_a_file_that_vanished_leaves_the_last_good_key(file: Path, clock: Clock) -> None:
    """Until it is there again."""
    secret = SecretFile(file, clock)
    file.unlink()
    clock.now += 1
    assert secret.reveal() == KEY


def test_an_unchanged_file_is_not_read_again(file: Path, clock: Clock) -> None:
    """Its state is enough to know."""
    secret = SecretFile(file, clock)
    state = file.stat()
    file.write_text(KEY[::-1] + "\r\n", encoding="ascii")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    clock.now += 1
    assert secret.reveal() == KEY


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Reading it would block, and a second time there would be nothing."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        SecretFile(tmp_path / "pipe")


def test_show_names_the_file_of_a_key(file: Path) -> None:
    """Where a key comes from is no secret."""
    config = load(None, {"MONITOR_TARGETS__ACME__API_KEY_FILE": str(file)})
    assert f"api_key_file: {file}" in show(config)
    assert json.loads(config.model_dump_json())["targets"]["acme"]["api_key_file"] == str(file)


def test_settings_can_be_made_in_code_from_what_settings_hold(file: Path) -> None:
    """A program or a test that has the values need not write them as text first."""
    target = Target(api_key_file=SecretFile(file), discover_interval=timedelta(hours=2))
    assert (target.key(), target.discover_interval) == (KEY, timedelta(hours=2))
