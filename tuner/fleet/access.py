"""Who may speak to a fleet: whoever holds its key. One certificate, made on the first machine, is everybody's proof."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spak.tuner.errors import TunerError

CERTIFICATE, KEY, ADDRESS = "certificate.pem", "key.pem", "address"
"""Files of a fleet's folder: its certificate, the key of it, and where its scheduler listens."""

DAYS = 365
"""A certificate's life; a fleet of a year is started anew."""


@dataclass(frozen=True)
class FleetAccess:
    """How to reach a fleet.

    Attributes:
        address: Of its scheduler, such as `tls://10.0.0.1:8786`.
        keys: Folder with its certificate and key; None without TLS.
    """

    address: str
    keys: Path | None

    def connection(self) -> dict[str, str]:
        """What Dask's `Security` takes: the same certificate proves each role, and is the authority that each is held to.

        Raises:
            TunerError: If a file is missing or cannot be used, or others than its owner can read the key.
        """
        if self.keys is None:
            return {}
        certificate, key = self.keys / CERTIFICATE, self.keys / KEY
        for file in (certificate, key):
            if not file.is_file():
                raise TunerError(f"{file}: not found; copy the folder from where `spak fleet up` made it")
        if _others_read(key.stat()):
            raise TunerError(f"{key}: others than its owner can read it; chmod 600, or make another fleet")
        check_certificate(certificate, key, time.time())
        roles = ("client", "scheduler", "worker")
        files = {f"tls_{role}_cert": str(certificate) for role in roles} | {
            f"tls_{role}_key": str(key) for role in roles
        }
        return {"tls_ca_file": str(certificate), **files}


def check_certificate(certificate: Path, key: Path, now: float) -> None:
    """Refuse a certificate with which nobody would be let in.

    Args:
        certificate: What is shown, which is its own authority.
        key: Its key.
        now: Seconds of the time of day.

    Raises:
        TunerError: If one cannot be read, they are no pair, or it is not valid now.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        for file in (certificate, key):
            file.read_bytes()
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(certificate)
    except ssl.SSLError:
        raise TunerError(
            f"{certificate} and {key.name} are no certificate and its key; copy the folder of the fleet again"
        ) from None
    except OSError as error:
        raise TunerError(f"{error.filename}: cannot be read ({error.strerror}); it is for its owner alone") from None
    for known in context.get_ca_certs():
        begins, ends = str(known["notBefore"]), str(known["notAfter"])
        if now > ssl.cert_time_to_seconds(ends):
            raise TunerError(
                f"{certificate}: expired on {ends}; move the folder away, and start the fleet with a new one"
            )
        if now < ssl.cert_time_to_seconds(begins):
            clock = time.strftime("%b %d %H:%M:%S %Y GMT", time.gmtime(now))
            raise TunerError(
                f"{certificate}: valid from {begins} on, and the clock of this machine says {clock}; set it"
            )


def is_there(access: FleetAccess, within_s: float = 10.0) -> bool:
    """Whether a scheduler listens at its address, over TLS one of the fleet whose keys these are.

    Raises:
        TunerError: If it is another fleet's.
    """
    files, (host, _, port) = access.connection(), access.address.partition("://")[2].rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), within_s) as plain:
            if files:
                context = ssl.create_default_context(cafile=files["tls_ca_file"])
                context.check_hostname = False
                context.load_cert_chain(files["tls_client_cert"], files["tls_client_key"])
                context.wrap_socket(plain).close()
    except ssl.SSLCertVerificationError:
        raise TunerError(
            f"fleet {access.address}: its certificate is not that of {access.keys}; copy the folder of that fleet"
        ) from None
    except (OSError, ValueError):
        return False
    return True


def _others_read(key: os.stat_result) -> bool:
    """Whether others than this process's user can read a key.

    A group may where root gave the file to it, as Kubernetes does where a pod has an `fsGroup`.

    Source: PostgreSQL, Secure TCP/IP Connections with SSL, permissions of `server.key`, which has the same rule.
    """
    given_by_root = key.st_uid == 0 and os.geteuid() != 0
    return bool(key.st_mode & (0o037 if given_by_root else 0o077))


def keep_address(folder: Path, address: str, say: Callable[[str], None]) -> None:
    """Write where a fleet's scheduler is into its folder; where that is read-only, as a mounted secret is, say it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / ADDRESS).write_text(address + "\n", encoding="utf-8")
    except OSError as error:
        say(f"{folder / ADDRESS} was not written ({error.strerror}): name the fleet {address}, with --keys {folder}")


def find_fleet(named: str, keys: Path) -> FleetAccess:
    """The fleet that a person names: by an address, whose keys are in `keys`, or by the folder that `spak fleet up` wrote.

    Raises:
        TunerError: If it is neither.
    """
    folder = Path(named)
    if "://" not in named:
        if not (folder / ADDRESS).is_file():
            raise TunerError(f"--fleet {named}: neither an address such as tls://host:8786 nor a folder with one")
        return find_fleet((folder / ADDRESS).read_text(encoding="utf-8").strip(), folder)
    protocol, _, rest = named.partition("://")
    if protocol not in {"tls", "tcp"} or not rest.rpartition(":")[2].isdigit():
        raise TunerError(f"--fleet {named}: an address is tls://HOST:PORT, or tcp://127.0.0.1:PORT on this machine")
    check_bind(rest.rpartition(":")[0], named)
    return FleetAccess(named, keys if protocol == "tls" else None)


def check_bind(host: str, address: str) -> None:
    """Refuse to speak without TLS to other machines.

    Args:
        host: Where a server is to listen, or what is to be reached.
        address: With the protocol; the host too, if `host` is empty.

    Raises:
        TunerError: If it is not this machine's own and there is no TLS.
    """
    protocol, _, rest = address.partition("://")
    host = host or rest.rpartition(":")[0]
    if protocol != "tls" and not is_loopback(host):
        raise TunerError(
            f"a fleet speaks to other machines over TLS only, and {host or 'every address'} is not loopback"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def make_keys(folder: Path) -> None:
    """A new certificate that is its own authority, and its key, which only their owner can read; kept if they are there.

    Raises:
        TunerError: If openssl is not there or fails.
    """
    if (folder / CERTIFICATE).is_file() and (folder / KEY).is_file():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise TunerError(f"{folder}: there are no keys, and they cannot be made: {error.strerror}") from None
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:3072",
        "-nodes",
        "-days",
        str(DAYS),
        "-subj",
        "/CN=spak-fleet",
    ]
    command += ["-keyout", str(folder / KEY), "-out", str(folder / CERTIFICATE)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, umask=0o077)
    except FileNotFoundError:
        raise TunerError(
            "openssl was not found, which makes the fleet's certificate; install it, or copy a folder of keys"
        ) from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise TunerError(f"openssl could not make a certificate in {folder}: {last}") from None
