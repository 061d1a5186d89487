"""A segmenter on another machine, and everything that goes wrong on the way there."""

import os
import shutil
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from osirix_agent.bench.line import Line
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.errors import (
    BusyError,
    CertificateError,
    PromptError,
    RemoteError,
    SettingsError,
    SupersededError,
    UnreachableError,
    UnsupportedSeriesError,
    VersionError,
)
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt
from osirix_agent.segmenter import remote as remote_module
from osirix_agent.segmenter.choice import make_segmenter
from osirix_agent.segmenter.protocol import LooksAhead, SegmentationRequest
from osirix_agent.segmenter.remote import SILENT_S, _Link
from osirix_agent.segmenter.wire.dialling import Address, pairing_for, why_not
from osirix_agent.settings import Settings
from tests.segmenter.conftest import asking

AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
GEOMETRY = Geometry((6, 40, 44), (0.0, 0.0, 0.0), (3.0, 2.0, 2.0), AXES)
IMAGE = Volume(np.random.default_rng(1).integers(-1000, 1000, (6, 40, 44)).astype(np.float32), GEOMETRY, "CT")


def request(j=20, image=IMAGE):
    at = tuple(float(v) for v in image.geometry.to_lps((3, j, 20)))
    return SegmentationRequest(image, "GTV", (PointPrompt(position_lps=at),))


class Held(BallSegmenter):
    """Answers when it is let."""

    def __init__(self):
        super().__init__()
        self.let, self.began = threading.Event(), threading.Semaphore(0)
        self.asked = 0

    def propose(self, request):
        self.asked += 1
        self.began.release()
        assert self.let.wait(30)
        return super().propose(request)


@pytest.fixture
def serve(tls):
    from osirix_agent.segmenter.server.run import SegmenterServer
    from osirix_agent.segmenter.server.service import Limits

    open_ones = []

    def start(segmenter=None, port=0, folder=tls, clock=None, **limits):
        events = []
        server = SegmenterServer(
            segmenter or BallSegmenter(), Limits(**limits), folder, port=port, clock=clock,
            tell=lambda event, **fields: events.append((event, fields)),
        )  # fmt: skip
        server.events = events
        server.start()
        open_ones.append(server)
        return server

    yield start
    for server in open_ones:
        server.kill()
        server.service.queue.close(0)


@pytest.fixture
def ask(tls):
    open_ones = []

    def make(server, folder=tls, **settings):
        address = server if isinstance(server, str) else server.address
        open_ones.append(asking(address, folder, **settings))
        return open_ones[-1]

    yield make
    for one in open_ones:
        one.close()


def same(a, b):
    return a.mean_logit.tobytes() == b.mean_logit.tobytes() and a.corner_kji == b.corner_kji


LOCAL = BallSegmenter().propose(request())


def in_background(act):
    """Carried out beside; its outcome when called."""
    found = []

    def run():
        try:
            found.append(act())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def outcome():
        thread.join(60)
        return found[0]

    return outcome


def test_it_is_asked_as_if_it_were_here(serve, ask):
    server = serve()
    remote = ask(server)
    assert isinstance(remote, LooksAhead)
    remote.look(IMAGE)
    assert same(remote.propose(request()), LOCAL)
    assert remote.name == BallSegmenter().name
    outside = request().prompts[0].model_copy(update={"position_lps": (1e4, 0.0, 0.0)})
    with pytest.raises(PromptError, match="outside the image"):
        remote.propose(SegmentationRequest(IMAGE, "GTV", (outside,)))
    uploads = [fields for event, fields in server.events if event == "uploaded"]
    assert len(uploads) == 1
    assert uploads[0]["bytes"] < IMAGE.array.nbytes / 2 + 5000  # int16, not float32
    logged = repr(server.events)
    assert IMAGE.digest not in logged
    assert "GTV" not in logged
    assert server.service.volumes.bytes_held
    remote.close()
    assert not server.service.volumes.bytes_held


def test_a_server_killed_while_it_works_costs_nothing(serve, ask):
    held = Held()
    first = serve(held)
    remote = ask(first)
    answer = in_background(lambda: remote.propose(request()))
    assert held.began.acquire(timeout=30)
    first.kill()
    held.let.set()
    serve(port=first.port)  # a new one: it knows neither lease nor volume
    assert same(answer(), LOCAL)


def test_a_lost_server_is_said_with_a_cure(serve, ask):
    server = serve()
    remote = ask(server, remote_retry_s=0.5, remote_connect_s=3)
    assert remote.name
    server.kill()
    with pytest.raises(UnreachableError, match="Nothing listens") as caught:
        remote.propose(request())
    assert "osirix-agent serve" in caught.value.cure


def test_an_expired_lease_and_a_forgotten_volume_are_made_anew(serve, ask):
    now = [0.0]
    server = serve(clock=lambda: now[0])
    remote = ask(server)
    remote.propose(request())
    now[0] += 1e4
    server.service.tidy()
    assert not server.service.volumes.bytes_held
    assert same(remote.propose(request()), LOCAL)
    server.service.volumes.forget(next(iter(server.service.leases._sessions.values())).client)
    assert same(remote.propose(request()), LOCAL)
    assert [event for event, _ in server.events].count("uploaded") == 3


def test_an_upload_goes_on_where_it_was_cut(serve, ask, monkeypatch):
    server = serve()
    monkeypatch.setattr(remote_module, "CHUNK_VOXELS", 1000)
    whole, given = remote_module._parts, []

    def cut(lease, volume, first):
        given.append(first)
        for n, part in enumerate(whole(lease, volume, first)):
            if len(given) == 1 and n == 4:
                return  # the line goes dead
            yield part

    monkeypatch.setattr(remote_module, "_parts", cut)
    assert same(_patiently(ask(server)), LOCAL)
    assert given == [0, 3000]


def _patiently(remote):
    assert remote.name
    return remote.propose(request())


def test_a_volume_damaged_on_its_way_is_sent_again(serve, ask, monkeypatch):
    server = serve()
    whole, tries = remote_module._parts, []

    def damaged(lease, volume, first):
        tries.append(first)
        for part in whole(lease, volume, first):
            if len(tries) == 1 and part.WhichOneof("part") == "chunk":
                plane = part.chunk.values.planes[0]
                part.chunk.values.planes[0] = bytes([plane[0] ^ 1]) + plane[1:]
            yield part

    monkeypatch.setattr(remote_module, "_parts", damaged)
    assert same(_patiently(ask(server)), LOCAL)
    assert len(tries) == 2


@pytest.fixture
def line(serve):
    held = Line(serve().port)
    yield held
    held.close()


def test_a_frame_corrupted_on_the_line_is_noticed_and_the_answer_is_the_same(line, ask):
    remote = ask(line.address)
    assert remote.name
    line.spoil = 1
    assert same(remote.propose(request()), LOCAL)
    assert line.spoil == 0


def test_a_cut_line_is_made_anew(line, ask):
    remote = ask(line.address)
    assert same(remote.propose(request()), LOCAL)
    line.cut()
    assert same(remote.propose(request()), LOCAL)


def test_a_line_that_dies_while_a_lease_is_opened_is_soon_given_up(serve, ask, monkeypatch):
    server = serve()
    line = Line(server.port)
    remote = ask(line.address)
    assert same(remote.propose(request()), LOCAL)
    for session in list(server.service.leases.all()):
        server.service.end_lease(session)
    answered = _Link._first_to_answer

    def dies(link, connect_s):
        found = answered(link, connect_s)
        monkeypatch.undo()
        line.swallowing = True
        threading.Timer(0.3, setattr, (line, "swallowing", False)).start()
        return found

    monkeypatch.setattr(_Link, "_first_to_answer", dies)
    began = time.monotonic()
    assert same(remote.propose(request()), LOCAL)
    assert line.swallowing is False
    assert time.monotonic() - began < SILENT_S + 2.5  # not remote_connect_s on top of it
    line.close()


def test_a_slow_server_is_given_up_at_the_deadline(serve, ask):
    held = Held()
    remote = ask(serve(held), remote_deadline_s=2)
    remote.look(IMAGE)
    with pytest.raises(RemoteError, match="did not answer within 2 s") as caught:
        remote.propose(request())
    assert "remote_deadline_s" in caught.value.cure
    held.let.set()


def test_a_full_queue_and_a_used_up_quota_are_said(serve, ask):
    held = Held()
    server = serve(held, waiting=1, sessions_each=3)
    remotes = [ask(server) for _ in range(4)]
    first = in_background(lambda: remotes[0].propose(request()))
    assert held.began.acquire(timeout=30)
    second = in_background(lambda: remotes[1].propose(request()))
    while server.service.queue.waiting < 1:
        assert second is not None
    with pytest.raises(BusyError, match="1 sessions are waiting"):
        remotes[2].propose(request())
    with pytest.raises(BusyError, match="3 sessions open there"):
        remotes[3].propose(request())
    held.let.set()
    assert same(first(), LOCAL)
    assert same(second(), LOCAL)


def test_a_request_can_be_taken_back(serve, ask):
    held = Held()
    remote = ask(serve(held))
    answer = in_background(lambda: remote.propose(request()))
    assert held.began.acquire(timeout=30)
    remote.cancel()
    assert isinstance(answer(), SupersededError)
    held.let.set()


def test_a_volume_beyond_the_limit_is_refused(serve, ask):
    with pytest.raises(UnsupportedSeriesError, match="takes up to"):
        ask(serve(longest_volume=1000)).look(IMAGE)


def test_what_is_being_worked_on_is_finished_before_the_server_stops(serve, ask):
    held = Held()
    server = serve(held)
    answer = in_background(lambda: ask(server).propose(request()))
    assert held.began.acquire(timeout=30)
    stopped = in_background(lambda: server.drain(20))
    held.let.set()
    assert same(answer(), LOCAL)
    assert stopped() is True


def test_another_segmenter_behind_the_same_address_is_not_taken(serve, ask):
    class Other(BallSegmenter):
        name = "another"

    first = serve()
    remote = ask(first)
    assert remote.name
    first.kill()
    serve(Other(), port=first.port)
    with pytest.raises(RemoteError, match="now runs another segmenter"):
        remote.propose(request())


@pytest.mark.parametrize("newer", ["agent", "server"])
def test_a_newer_version_is_refused_with_a_cure(serve, ask, monkeypatch, newer):
    from osirix_agent.segmenter.server import service

    server = serve()
    monkeypatch.setattr(service, "PROTOCOL", 7 if newer == "server" else 1)
    monkeypatch.setattr(service, "OLDEST_PROTOCOL", 5 if newer == "server" else 1)
    monkeypatch.setattr(remote_module, "PROTOCOL", 1 if newer == "server" else 2)
    with pytest.raises(VersionError) as caught:
        ask(server).look(IMAGE)
    assert "Update osirix-agent" in caught.value.cure


# -- who may come --------------------------------------------------------------------------------------------------
def test_a_server_with_another_authority_is_told_from_a_dead_host(serve, ask, tls, tmp_path):
    from osirix_agent.doctor import _remote_segmenter
    from osirix_agent.segmenter.server.tls import init_tls

    init_tls(tmp_path / "other", datetime.now(UTC))
    server = serve()
    with pytest.raises(CertificateError, match="is not the server of this pairing"):
        ask(server, tmp_path / "other").look(IMAGE)

    def finding(address, folder):
        settings = Settings(segmenter=address, pairing=folder / "agent.pairing", remote_connect_s=5)
        return _remote_segmenter(settings)[0]

    assert finding(server.address, tls).good
    wrong = finding(server.address, tmp_path / "other")
    assert (wrong.what, wrong.good) == ("segmenter certificate", False)
    server.kill()
    dead = finding(server.address, tls)
    assert (dead.what, dead.good) == ("segmenter", False)
    assert "Nothing listens" in dead.detail


def test_who_is_not_paired_is_shut_out_and_who_is_taken_out_too(serve, ask, tls, tmp_path):
    from osirix_agent.segmenter.server.tls import pair

    folder = tmp_path / "serve"
    shutil.copytree(tls, folder)
    server = serve(folder=folder)
    stranger = pair(
        tls, f"s{tmp_path.name.replace('-', '_')}"[-30:], datetime.now(UTC)
    )  # signed, but not on the server's list
    shutil.copy(stranger, tmp_path / "agent.pairing")
    (tmp_path / "agent.pairing").chmod(0o600)
    with pytest.raises(CertificateError, match="no longer takes this pairing"):
        ask(server, tmp_path).look(IMAGE)
    remote = ask(server)
    remote.look(IMAGE)
    (folder / "clients.txt").write_text("")
    with pytest.raises(CertificateError):
        remote.propose(request())
    with socket.create_connection(("127.0.0.1", server.port)) as plain:  # TLS, but no certificate at all
        context = ssl.create_default_context(cafile=tls / "authority.pem")
        context.set_alpn_protocols(["h2"])
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _first_byte(context, plain)


def _first_byte(context, plain):
    with context.wrap_socket(plain, server_hostname="osirix-agent-segmenter") as secure:
        if not secure.recv(1):
            raise ConnectionResetError


def test_an_agents_certificate_is_no_servers(tls, ask, tmp_path):
    """A colleague's pairing cannot stand in for the server."""
    from osirix_agent.segmenter.wire.pairing import read_pairing

    pairing = read_pairing(tls / "agent.pairing")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pairing.path)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            for _ in range(20):
                try:
                    context.wrap_socket(listening.accept()[0], server_side=True).close()
                except OSError:
                    return

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(RemoteError):
            ask(f"grpcs://127.0.0.1:{listening.getsockname()[1]}", remote_connect_s=5).look(IMAGE)


def test_what_init_makes_is_its_owners_only_and_can_be_renewed(tmp_path):
    pytest.importorskip("cryptography")
    from osirix_agent.segmenter.server.tls import identity, init_tls, pair

    folder = tmp_path / "tls"
    now = datetime.now(UTC)
    assert init_tls(folder, now) == folder / "agent.pairing"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *folder.iterdir()))
    before = identity(folder)
    assert init_tls(folder, now + timedelta(days=9)) is None
    after = identity(folder)
    assert after.authority == before.authority
    assert (after.expires_at - before.expires_at).days == 9
    with pytest.raises(SettingsError, match="pairing of the name"):
        pair(folder, "agent", now)
    with pytest.raises(SettingsError, match="letters"):
        pair(folder, "../x", now)
    (folder / "server.key").chmod(0o644)
    with pytest.raises(CertificateError, match="Others"):
        identity(folder)


@pytest.mark.parametrize(("spoil", "what"), [("gone", "no readable"), ("open", "Others"), ("short", "damaged"),
                                              ("newer", "newer"), ("ended", "ended")])  # fmt: skip
def test_a_pairing_that_cannot_be_used_says_why(tls, tmp_path, spoil, what):
    path = tmp_path / "agent.pairing"
    content = (tls / "agent.pairing").read_text()
    ends = content.split("\n")[1]
    changed = {"short": content[:900], "newer": content.replace("pairing 1", "pairing 2", 1),
               "ended": content.replace(ends, "expires 2020-01-01", 1)}.get(spoil, content)  # fmt: skip
    if spoil != "gone":
        path.write_text(changed)
        os.chmod(path, 0o644 if spoil == "open" else 0o600)
    with pytest.raises(CertificateError, match=what) as caught:
        make_segmenter(Settings(segmenter="grpcs://127.0.0.1:9", pairing=path))
    assert caught.value.cure


def test_nothing_is_bound_or_asked_beyond_this_machine_without_tls(tls):
    from osirix_agent.segmenter.server.run import SegmenterServer
    from osirix_agent.segmenter.server.service import Limits

    with pytest.raises(SettingsError, match="Without TLS"):
        SegmenterServer(BallSegmenter(), Limits(), None, host="0.0.0.0")
    with pytest.raises(SettingsError, match="Without TLS"):
        make_segmenter(Settings(segmenter="grpc://10.0.0.1:50061"))
    with pytest.raises(SettingsError, match="no address"):
        make_segmenter(Settings(segmenter="http://10.0.0.1"))
    with SegmenterServer(BallSegmenter(), Limits(), None, tell=lambda event, **fields: None) as server:
        remote = make_segmenter(Settings(segmenter=server.address))
        assert same(remote.propose(request()), LOCAL)
        remote.close()


def test_a_lease_outlives_its_connections(line, ask):
    remote = ask(line.address)
    for _ in range(6):  # more than the sessions that a client may have
        assert same(remote.propose(request()), LOCAL)
        line.cut()


@pytest.mark.parametrize("first_bytes", [b"", b"\x15\x03\x03\x00\x02\x02\x14"])  # nothing; "bad record mac"
def test_a_line_that_breaks_is_no_matter_of_certificates(tls, first_bytes):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up():
            there, _ = listening.accept()
            there.recv(5)
            there.sendall(first_bytes)
            there.close()

        threading.Thread(target=hang_up, daemon=True).start()
        address = Address(f"grpcs://127.0.0.1:{listening.getsockname()[1]}")
        found = why_not(address, pairing_for(address, tls / "agent.pairing"), 5)
    assert isinstance(found, UnreachableError)
    assert found.cure
