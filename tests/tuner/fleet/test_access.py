"""Who may speak to a fleet: keys that only their owner reads, and no other machine without them."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spak.fleet import FleetRequest, join_fleet, open_fleet, start_fleet
from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import (
    ADDRESS,
    CERTIFICATE,
    KEY,
    FleetAccess,
    check_bind,
    check_certificate,
    find_fleet,
    is_there,
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


def made(folder: Path, begins: str, ends: str) -> FleetAccess:
    """Keys whose certificate is valid between two times, such as 20200101000000Z, as `openssl ca` makes it."""
    settings = """
[ca]
default_ca = one
[one]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
x509_extensions = authority
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
"""
    for name, content in (("settings", settings), ("index", ""), ("serial", "01")):
        (folder / name).write_text(content)
    new = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=spak-fleet", "-keyout", KEY, "-out", "request"]
    signed = ["ca", "-batch", "-selfsign", "-notext", "-config", "settings", "-keyfile", KEY, "-in", "request"]
    for command in (new, [*signed, "-out", CERTIFICATE, "-startdate", begins, "-enddate", ends]):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    (folder / KEY).chmod(0o600)
    return FleetAccess("tls://127.0.0.1:1", folder)


@pytest.mark.parametrize(
    ("begins", "ends", "said"),
    [
        ("20200101000000Z", "20210101000000Z", "expired on Jan  1 00:00:00 2021 GMT; move the folder away"),
        ("22000101000000Z", "22010101000000Z", "valid from Jan  1 00:00:00 2200 GMT on, and the clock of this machine"),
    ],
)
def test_a_certificate_that_lets_nobody_in_now_starts_no_fleet_and_joins_none(tmp_path, begins, ends, said):
    """Nor is a search begun; where a clock is wrong, it is said what it says."""
    access = made(tmp_path, begins, ends)
    request = FleetRequest(keys=tmp_path, cache=tmp_path, compilers=1, gpus=False)
    for attempt in (
        access.connection,
        lambda: start_fleet(request),
        lambda: join_fleet(access.address, request),
        lambda: open_fleet(access.address, tmp_path),
    ):
        with pytest.raises(TunerError) as refused:
            attempt()
        assert str(refused.value).startswith(f"{tmp_path / CERTIFICATE}: {said}")
        assert "\n" not in str(refused.value)


def test_a_certificate_is_valid_to_its_second(tmp_path):
    made(tmp_path, "20200101000000Z", "20210101000000Z")
    end = datetime(2021, 1, 1, tzinfo=UTC).timestamp()
    check_certificate(tmp_path / CERTIFICATE, tmp_path / KEY, end)
    with pytest.raises(TunerError, match="expired"):
        check_certificate(tmp_path / CERTIFICATE, tmp_path / KEY, end + 1)


def test_files_that_are_no_pair_are_refused(keys, tmp_path):
    """Another fleet's key, garbage, nothing."""
    make_keys(tmp_path)
    good = (keys / CERTIFICATE).read_bytes(), (keys / KEY).read_bytes()
    for certificate, key in ((good[0], (tmp_path / KEY).read_bytes()), (b"garbage", good[1]), (good[0], b"")):
        (tmp_path / CERTIFICATE).write_bytes(certificate)
        (tmp_path / KEY).write_bytes(key)
        with pytest.raises(TunerError, match=r"certificate.pem and key.pem are no certificate and its key"):
            FleetAccess("tls://127.0.0.1:1", tmp_path).connection()
    with pytest.raises(TunerError, match=r"cannot be read \(Is a directory\)"):
        check_certificate(tmp_path, tmp_path / KEY, 0.0)


def test_nobody_who_answers_is_no_error_before_a_search(keys):
    """Machines may join before the scheduler is there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert is_there(FleetAccess(f"tcp://127.0.0.1:{port}", None))
    assert not is_there(FleetAccess(f"tls://127.0.0.1:{port}", keys))


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
