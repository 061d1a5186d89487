"""A way to the server, and why there is none: a dead host, or a certificate that does not fit."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc

from osirix_agent.errors import CertificateError, RemoteError, SettingsError, UnreachableError
from osirix_agent.segmenter.wire import SERVER_NAME
from osirix_agent.segmenter.wire.pairing import Pairing, read_pairing

MAX_MESSAGE = 16 * 2**20
START = "Start it there ('osirix-agent serve'), and check the address, the network and the firewall."
REPAIR = "Ask whoever runs the server for a new pairing file, and put it at {path}."


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Address:
    """grpcs://host:port, or grpc://host:port on this machine.

    Raises
    ------
    SettingsError
    """

    def __init__(self, text: str) -> None:
        scheme, _, rest = text.partition("://")
        self.host, _, port = rest.rpartition(":")
        self.secure, self.text = scheme == "grpcs", text
        if scheme not in ("grpc", "grpcs") or not self.host or not port.isdigit() or not 0 < int(port) < 65536:
            raise SettingsError(f"'{text}' is no address of a segmenter.", "Write it as grpcs://host:port.")
        if not self.secure and not is_loopback(self.host):
            raise SettingsError(
                f"Without TLS only this machine is asked, not {self.host}.", f"Write grpcs://{self.host}:{port}."
            )
        self.port = int(port)


def open_channel(address: Address, pairing: Pairing | None) -> Any:
    """A channel; nothing is sent before the first call."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        ("grpc.enable_http_proxy", 0),
        ("grpc.keepalive_time_ms", 10_000),  # a cut cable is noticed within these two while a call waits
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new try, not the old one's back-off
    ]
    target = f"{address.host}:{address.port}"
    if pairing is None:
        return grpc.insecure_channel(target, options)
    credentials = grpc.ssl_channel_credentials(pairing.authority, pairing.key, pairing.certificate)
    return grpc.secure_channel(target, credentials, [*options, ("grpc.ssl_target_name_override", SERVER_NAME)])


def pairing_for(address: Address, path: Path) -> Pairing | None:
    """The pairing that an address needs; None on loopback without TLS.

    Raises
    ------
    CertificateError
        Missing, damaged, readable by others, ended.
    """
    if not address.secure:
        return None
    pairing = read_pairing(path)
    if pairing.days_left(datetime.now(UTC)) <= 0:
        raise CertificateError(f"The pairing ended on {pairing.expires_at:%d %B %Y}.", REPAIR.format(path=path))
    return pairing


def why_not(address: Address, pairing: Pairing | None, timeout_s: float) -> RemoteError | None:
    """Look below gRPC at why nothing answers; None: as far as TLS goes, all is well."""
    try:
        plain = socket.create_connection((address.host.strip("[]"), address.port), timeout_s)
    except socket.gaierror:
        return UnreachableError(f"There is no machine of the name {address.host}.", "Check the address.")
    except ConnectionRefusedError:
        return UnreachableError(f"Nothing listens at {address.host}:{address.port}.", START)
    except OSError:
        return UnreachableError(f"{address.host}:{address.port} does not answer.", START)
    with plain:
        if pairing is None:
            return None
        try:
            context = ssl.create_default_context(cadata=pairing.authority.decode())
            context.load_cert_chain(pairing.path)
            context.set_alpn_protocols(["h2"])
            with context.wrap_socket(plain, server_hostname=SERVER_NAME) as secure:
                secure.recv(1)  # TLS 1.3: whether our certificate is taken shows only now
        except ssl.SSLCertVerificationError as error:
            if "expired" in error.verify_message:
                return CertificateError(
                    "The certificate of the segmenter's server has ended.",
                    "Ask whoever runs it to renew it: osirix-agent serve --init-tls FOLDER",
                )
            return CertificateError(
                f"What answers at {address.host}:{address.port} is not the server of this pairing "
                f"({error.verify_message}).",
                f"Check the address. If the server was set up anew: {REPAIR.format(path=pairing.path)}",
            )
        except TimeoutError:
            return UnreachableError(f"{address.host}:{address.port} is there and says nothing.", START)
        except ssl.SSLError as error:
            reason = error.reason or ""
            if any(word in reason for word in ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")):
                return CertificateError(
                    "The segmenter's server does not take this pairing.", REPAIR.format(path=pairing.path)
                )
            if not any(word in reason for word in ("VERSION", "HTTP", "PROTOCOL", "RECORD_LAYER", "TOO_LONG")):
                return UnreachableError(
                    f"The line to {address.host}:{address.port} breaks off or damages what it carries.",
                    "Check the network between the two; ask again.",
                )
            return CertificateError(
                f"What answers at {address.host}:{address.port} does not speak TLS as our server does "
                f"({error.reason}).",
                "Check the address; a server without TLS is asked as grpc://, on this machine only.",
            )
        except OSError:
            return UnreachableError(f"{address.host}:{address.port} hung up.", START)
    return None
