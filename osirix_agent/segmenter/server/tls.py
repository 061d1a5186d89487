"""A private authority for one server and the agents paired with it.

FOLDER/authority.key, authority.pem   signs; could lie elsewhere once all are paired
FOLDER/server.key, server.pem         what the server shows; renewed by running --init-tls again
FOLDER/clients.txt                    who may come: a line each, "fingerprint name"; taking a line out shuts one out
FOLDER/NAME.pairing                   to be carried to that agent's machine and deleted here
"""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from osirix_agent.errors import CertificateError, SettingsError
from osirix_agent.segmenter.wire import SERVER_NAME
from osirix_agent.segmenter.wire.pairing import write_pairing
from osirix_agent.whole import write_whole

AUTHORITY_DAYS = 3650
DAYS = 730
NEEDED = "pip install 'osirix-agent[serve]'"


@dataclass(frozen=True)
class Identity:
    """What the server shows and whom it trusts: PEM, and when it ends."""

    key: bytes
    certificate: bytes
    authority: bytes
    expires_at: datetime


def fingerprint(certificate_pem: bytes) -> str:
    """SHA-256 of a certificate, hex."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate_pem.decode())).hexdigest()


def init_tls(folder: Path, now: datetime) -> Path | None:
    """Make the authority and the server's certificate; on a folder that has the authority, renew the certificate.

    Returns
    -------
    pairing : the first agent's file; None where agents are paired already
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    fresh = not (folder / "authority.key").exists()
    if fresh:
        key, certificate = _signed("osirix-agent authority", now, AUTHORITY_DAYS)
        write_whole(folder / "authority.key", key, private=True)
        write_whole(folder / "authority.pem", certificate, private=True)
    key, certificate = _signed(SERVER_NAME, now, DAYS, folder, server=True)
    write_whole(folder / "server.key", key, private=True)
    write_whole(folder / "server.pem", certificate, private=True)
    return pair(folder, "agent", now) if fresh else None


def pair(folder: Path, name: str, now: datetime) -> Path:
    """A pairing file for one more agent; its name stays in this folder.

    Raises
    ------
    SettingsError
        There is no authority in the folder, or the name is taken.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name):
        raise SettingsError("A pairing's name is 1 to 40 letters, digits, '-' and '_'.", "Choose another.")
    if not (folder / "authority.key").exists():
        raise SettingsError(f"{folder} holds no authority.", f"Make one: osirix-agent serve --init-tls '{folder}'")
    known = clients(folder)
    if name in known.values():
        raise SettingsError(
            f"There is a pairing of the name '{name}'.",
            f"Choose another, or take its line out of {folder}/clients.txt.",
        )
    key, certificate = _signed("osirix-agent client", now, DAYS, folder)
    path = folder / f"{name}.pairing"
    authority = (folder / "authority.pem").read_bytes()
    write_whole(path, write_pairing(certificate, key, authority, now + timedelta(days=DAYS)), private=True)
    lines = [f"{print_} {who}\n" for print_, who in {**known, fingerprint(certificate): name}.items()]
    write_whole(folder / "clients.txt", "".join(lines).encode(), private=True)
    return path


def clients(folder: Path) -> dict[str, str]:
    """Fingerprint to name of those who may come."""
    try:
        lines = (folder / "clients.txt").read_text(encoding="utf-8").split("\n")
    except OSError:
        return {}
    return dict(line.split(None, 1) for line in lines if len(line.split(None, 1)) == 2)


def identity(folder: Path) -> Identity:
    """What the server shows.

    Raises
    ------
    CertificateError
        Missing, or others can read the key.
    """
    x509 = _library()[0]
    cure = f"osirix-agent serve --init-tls '{folder}'"
    try:
        key, certificate, authority = (
            (folder / name).read_bytes() for name in ("server.key", "server.pem", "authority.pem")
        )
    except OSError:
        raise CertificateError(f"{folder} does not hold a server's certificate.", cure) from None
    if (folder / "server.key").stat().st_mode & 0o077:
        raise CertificateError(f"Others on this machine can read {folder}/server.key.", f"chmod -R go-rwx '{folder}'")
    try:
        expires_at = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError:
        raise CertificateError(f"{folder}/server.pem is damaged.", cure) from None
    return Identity(key, certificate, authority, expires_at)


def _signed(name: str, now: datetime, days: int, folder: Path | None = None, *, server: bool = False) -> Any:
    """(key, certificate) in PEM; signed by itself without a folder, else by the folder's authority."""
    x509, serialization, hashes, ec, oids = _library()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(oids.NameOID.COMMON_NAME, name)])
    issuer, signer = subject, key
    if folder is not None:
        issuer = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes()).subject
        signer = serialization.load_pem_private_key((folder / "authority.key").read_bytes(), None)
    alone = folder is None
    usage = {
        "digital_signature": not alone, "key_cert_sign": alone, "crl_sign": alone, "content_commitment": False,
        "key_encipherment": False, "data_encipherment": False, "key_agreement": False, "encipher_only": False,
        "decipher_only": False,
    }  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=alone, path_length=0 if alone else None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not alone:  # an agent's certificate is no server's: it cannot stand in for one
        use = oids.ExtendedKeyUsageOID.SERVER_AUTH if server else oids.ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=True)
    if server:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    certificate = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate


def _library() -> Any:
    """cryptography, loaded when it is needed."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509 import oid
    except ImportError:
        raise SettingsError("Serving needs packages that are not installed.", f"{NEEDED}") from None
    return x509, serialization, hashes, ec, oid


def days_left(expires_at: datetime) -> float:
    return (expires_at - datetime.now(UTC)).total_seconds() / 86400
