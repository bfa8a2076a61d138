"""Who may speak to a fleet: keys that only their owner reads, and no other machine without them."""

from __future__ import annotations

import os
import stat

import pytest

from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import (
    ADDRESS,
    CERTIFICATE,
    KEY,
    FleetAccess,
    check_bind,
    find_fleet,
    keep_address,
    make_keys,
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys") / "fleet"
    make_keys(folder)
    return folder


def test_only_their_owner_can_read_what_was_made(keys):
    """Whatever the umask is; and keys that are there stay."""
    assert [stat.S_IMODE((keys / name).stat().st_mode) for name in (CERTIFICATE, KEY)] == [0o600, 0o600]
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    before = (keys / KEY).read_bytes()
    make_keys(keys)
    assert (keys / KEY).read_bytes() == before


def test_keys_that_others_can_read_or_that_are_missing_are_refused(keys, tmp_path):
    for name in (CERTIFICATE, KEY):
        (tmp_path / name).write_bytes((keys / name).read_bytes())
    (tmp_path / KEY).chmod(0o640)
    with pytest.raises(TunerError, match="others than its owner can read it"):
        FleetAccess("tls://10.0.0.1:8786", tmp_path).connection()
    (tmp_path / KEY).chmod(0o600)
    assert set(FleetAccess("tls://10.0.0.1:8786", tmp_path).connection().values()) == {
        str(tmp_path / CERTIFICATE),
        str(tmp_path / KEY),
    }
    (tmp_path / CERTIFICATE).unlink()
    with pytest.raises(TunerError, match=r"certificate\.pem: not found"):
        FleetAccess("tls://10.0.0.1:8786", tmp_path).connection()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_may_let_a_group_read_a_key_as_kubernetes_does(keys, tmp_path, monkeypatch):
    """A secret in a pod with an `fsGroup` is root's and the group's; the group of one's own file is not asked for."""
    for name in (CERTIFICATE, KEY):
        (tmp_path / name).write_bytes((keys / name).read_bytes())
    access = FleetAccess("tls://10.0.0.1:8786", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 65532)
    (tmp_path / KEY).chmod(0o440)
    assert access.connection()
    for mode, owner in ((0o460, 0), (0o444, 0), (0o440, 65532)):
        os.chown(tmp_path / KEY, owner, 65532)
        (tmp_path / KEY).chmod(mode)
        with pytest.raises(TunerError, match="others than its owner"):
            access.connection()


def test_a_folder_that_takes_no_address_is_said_and_no_hindrance(tmp_path):
    said = []
    keep_address(tmp_path / "keys", "tls://10.0.0.1:1", said.append)
    assert find_fleet(str(tmp_path / "keys"), tmp_path).address == "tls://10.0.0.1:1"
    (tmp_path / "file").touch()
    keep_address(tmp_path / "file", "tls://10.0.0.1:1", said.append)
    assert said == [
        f"{tmp_path}/file/address was not written (File exists): name the fleet tls://10.0.0.1:1, with --keys {tmp_path}/file"
    ]
    with pytest.raises(TunerError, match="there are no keys, and they cannot be made: Not a directory"):
        make_keys(tmp_path / "file" / "keys")


def test_a_fleet_is_named_by_its_address_or_its_folder(tmp_path):
    assert find_fleet("tls://10.0.0.1:8786", tmp_path) == FleetAccess("tls://10.0.0.1:8786", tmp_path)
    assert find_fleet("tcp://127.0.0.1:1", tmp_path) == FleetAccess("tcp://127.0.0.1:1", None)
    (tmp_path / ADDRESS).write_text("tls://10.0.0.2:1\n")
    assert find_fleet(str(tmp_path), tmp_path / "other") == FleetAccess("tls://10.0.0.2:1", tmp_path)
    for bad in ("nowhere", "tls://host", "http://host:1", "tls://host:port"):
        with pytest.raises(TunerError, match=f"^--fleet {bad}: "):
            find_fleet(bad, tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "::1", "127.1.2.3"])
def test_this_machine_alone_needs_no_tls(host):
    check_bind(host, "tcp://")


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", "[::]"])  # noqa: S104
def test_other_machines_are_spoken_to_over_tls_only(host):
    """Also where the address is the name of a host that might be this one, and where it is every address."""
    check_bind(host, "tls://")
    with pytest.raises(TunerError, match="over TLS only"):
        check_bind(host, "tcp://")
    with pytest.raises(TunerError, match="over TLS only"):
        check_bind("", f"tcp://{host}:8786")


def test_keys_that_cannot_be_made_are_said_in_one_line(tmp_path):
    (tmp_path / KEY).mkdir()
    with pytest.raises(TunerError, match=r"^openssl could not make a certificate in .*[^\n]$"):
        make_keys(tmp_path)
