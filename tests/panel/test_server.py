"""The companion page's server: who may come in, and what the page can do through the session's one queue."""

import http.client
import json
import socket
import threading
import time
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from osirix_agent.agent.state import PAGE
from osirix_agent.errors import ModelError, NoViewerError, SettingsError
from osirix_agent.panel.server import Panel
from osirix_agent.record.events import PromptChanged
from osirix_agent.record.journal import read_journal
from osirix_agent.virtual_osirix.roi import ToolMode
from tests.conftest import until
from tests.panel.desk import Desk, Heard, Page, Parrot


@pytest.fixture
def parrot():
    return Parrot()


@pytest.fixture
def desk(practice, parrot):
    with Desk(practice, parrot) as held:
        yield held


@pytest.fixture
def page(desk):
    with desk.page() as held:
        yield held


def click(page: Page, k: int, row: float, column: float, *, include: bool = True, **more) -> dict:
    return page.ask(do="draw", shape="point", plane=0, index=k, points=[[row, column]], include=include, **more)


# -- the door --------------------------------------------------------------------------------------------------
def test_the_link_opens_once_and_a_stale_one_is_refused_with_what_to_do(desk):
    cookie = desk.enter()
    assert desk.get("/", Cookie=cookie).status == 200
    old = desk.links[0].rpartition("/")[2]
    assert len(desk.links) == 2  # a new one for another browser
    again = desk.get(f"/{old}")
    assert again.status == 403
    assert "newest one from the terminal" in again.text
    assert again.headers["Set-Cookie"] is None
    assert desk.get("/").status == 403
    assert "link that the agent printed" in desk.get("/main.js", Cookie="osirix-agent-1=guess").text


def test_every_file_of_the_page_is_there_and_nothing_comes_from_elsewhere(desk):
    cookie = desk.enter()
    scripts = ("main.js", "link.js", "picture.js", "lists.js", "speech.js", "recorder.js", "gaze.js")
    for name in ("", "style.css", "icon.svg", *scripts):
        answer = desk.get(f"/{name}", Cookie=cookie)
        assert answer.status == 200
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "https://" not in answer.text
    for path in ("/nothing", "/../server.py", "/%2e%2e/server.py", "//etc/passwd"):
        assert desk.get(path, Cookie=cookie).status in (403, 404)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},  # a name that was rebound to this machine
        {"Host": "127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},  # another port of this machine
    ],
)
def test_other_sites_are_refused_even_with_the_cookie(desk, headers):
    assert desk.get("/", Cookie=desk.enter(), **headers).status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null", None])
def test_the_socket_opens_for_the_own_page_only(desk, origin):
    from websockets.sync.client import connect

    port, cookie = desk.panel.port, desk.enter()
    address = f"ws://127.0.0.1:{port}/live"
    for given in (
        {"origin": origin, "additional_headers": {"Cookie": cookie}},
        {"origin": f"http://127.0.0.1:{port}"},
    ):
        with pytest.raises(InvalidStatus, match="403"), connect(address, proxy=None, **given):
            pass


def test_it_listens_on_this_machine_only_and_says_when_its_port_is_taken(desk):
    assert desk.panel._server.socket.getsockname()[0] == "127.0.0.1"
    with pytest.raises(SettingsError, match="panel_port"):
        Panel(desk.panel.port)


def test_garbage_on_the_wire_is_hung_up_on(desk):
    for sent in (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"\x16\x03\x01\x00\n\n", b"GET / FTP\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", desk.panel.port), timeout=10) as talk:
            talk.sendall(sent)
            assert b" 200 " not in talk.recv(4096)
    assert desk.get("/", Cookie=desk.enter()).status == 200


def test_a_pointer_that_stands_for_the_eyes_is_handed_on(practice):
    went = []
    with Panel(0, None, pointer=lambda x, y: went.append((x, y))) as panel:
        panel.attach(practice.engine)
        parts = urlsplit(panel.door.link)
        talk = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=20)
        talk.request("GET", f"{parts.path}?{parts.query}")
        cookie = talk.getresponse().headers["Set-Cookie"].split(";")[0]
        talk.close()
        with Page(panel.port, cookie) as page:
            page.send(do="pointer", at=[0.25, 0.5])
            until(lambda: went == [(0.25, 0.5)])


# -- the job ---------------------------------------------------------------------------------------------------
def test_click_correct_undo_accept_reach_the_session_and_osirix(desk, page, practice):
    page.look(0, 6)
    assert np.array_equal(page.slice, practice.engine.session.volume.array[6])
    assert click(page, 6, 24, 28)["ok"]
    found = page.rests(1)
    assert [one["name"] for one in found["structures"]] == ["GTV"]
    assert found["structures"][0]["cm3"] > 1
    assert {one["level"] for one in page.last["lines"]["outlines"]} == {5, 50, 95}
    assert page.last["lines"]["marks"][0]["points"] == [[24, 28]]
    page.read(lambda: page.has("looks")["slices"])

    assert click(page, 6, 24, 31, include=False)["ok"]
    smaller = page.rests(2)["structures"][0]["cm3"]
    assert smaller < found["structures"][0]["cm3"]
    assert page.ask(do="press", verb="undo")["ok"]
    assert page.rests(1)["redo"] == 1
    until(practice.drafts)  # and OsiriX shows it
    assert page.ask(do="say", text="accept")["ok"]
    assert page.rests(2)["structures"][0]["accepted"]
    until(lambda: "GTV" in practice.names())

    added = [event for event in read_journal(practice.journal) if isinstance(event, PromptChanged)]
    assert [(event.change, event.viewer, event.roi) for event in added] == [("added", PAGE, None)] * 2


def test_a_prompt_of_either_place_can_be_taken_out(desk, page, practice):
    practice.clinician.point((28.5, 24.5), k=6, name="+GTV")
    page.rests(1)
    click(page, 6, 24, 34)
    both = page.rests(2)
    first, second = (one["number"] for one in both["prompts"])
    assert page.ask(do="take_out", number=first)["ok"]
    one = page.rests(3)
    assert [prompt["number"] for prompt in one["prompts"]] == [second]
    assert one["structures"][0]["cm3"] < both["structures"][0]["cm3"]
    until(lambda: not [roi for roi in practice.clinician.rois() if roi.itype == ToolMode.POINT])  # its ROI went too
    assert "no longer part" in page.ask(do="take_out", number=first)["said"]
    page.ask(do="press", verb="accept")
    page.rests(4)
    assert "accepted" in page.ask(do="take_out", number=second)["said"]
    assert not page.ask(do="take_out", number=99)["ok"]


def test_boxes_and_strokes_and_all_three_planes(desk, page, practice):
    geometry = practice.engine.session.volume.geometry
    assert page.ask(do="draw", shape="box", plane=0, index=5, points=[[20, 24], [28, 33]])["ok"]
    assert page.ask(do="draw", shape="scribble", plane=0, index=5, points=[[20, 24], [22, 30], [25, 30]])["ok"]
    page.rests(2)
    hello = page.has("hello")
    assert [plane["name"] for plane in hello["planes"]] == ["axial", "coronal", "sagittal"]
    assert [plane["letters"][0] for plane in hello["planes"]] == ["A", "S", "S"]
    for plane in (1, 2):
        middle = hello["planes"][plane]["count"] // 2
        page.look(plane, middle)
        rows, columns = hello["planes"][plane]["shape"]
        assert page.slice.shape == (rows, columns)
        assert any(one["level"] == 50 for one in page.last["lines"]["outlines"])
        place = [rows // 2, columns // 2]
        steps = page.last["session"]["undo"]
        assert page.ask(do="draw", shape="point", plane=plane, index=middle, points=[place])["ok"]
        page.rests(steps + 1)
        record = max(practice.engine.session.state.structure("GTV").prompts, key=lambda one: one.number)
        kji = geometry.to_kji(record.prompt.position_lps)
        assert kji[plane] == pytest.approx(middle)
        at = {1: (0, middle, columns // 2), 2: (0, columns // 2, middle)}[plane]
        assert kji[1:] == pytest.approx(at[1:])
        value = practice.engine.session.volume.array[tuple(np.round(kji).astype(int))]
        assert page.slice[tuple(place)] == value  # what was under the pointer is what was marked
    assert "across the slices" in page.ask(do="draw", shape="box", plane=1, index=20, points=[[1, 5], [8, 20]])["said"]


def test_scrolling_goes_both_ways(desk, page, practice):
    page.look(0, 3, turn=True)
    page.read(lambda: page.last.get("answer", {}).get("ok") is True)
    assert practice.hospital.window.index == 3
    practice.clinician.scroll_to(8)
    page.read(lambda: page.has("session")["displayed"] == 8)
    practice.hospital.window.flipped = True
    page.look(0, 2, turn=True)
    page.read(lambda: page.has("session")["displayed"] == 2)
    assert page.last["session"]["flipped"]
    assert practice.hospital.window.index == 2


def test_her_edit_and_a_lock_in_osirix_are_seen_on_the_page(desk, page, practice):
    page.look(0, 6)
    click(page, 6, 24, 28)
    page.rests(1)
    until(lambda: practice.drafts() and not practice.engine.pending)
    (roi,) = [one for one in practice.clinician.rois(6) if "~draft" in one.name]
    practice.clinician.move_vertex(roi, 0, (45.0, 24.5))

    def read() -> int:
        practice.now += 1.0  # a polygon must rest before it is read
        return len(practice.engine.session.state.structure("GTV").edits)

    until(read)
    edited = page.rests(2)["structures"][0]
    assert edited["edited"] == [6]
    (outline,) = page.last["lines"]["outlines"]
    assert max(column for ring in outline["rings"] for _, column in ring) == pytest.approx(44.5)
    page.look(1, 24)
    (across,) = [one for one in page.last["lines"]["outlines"] if one["level"] == 50]
    edits = practice.engine.session.state.structure("GTV").edits[6]
    (columns,) = practice.viewer.pixels.mask_of([spec for _, spec in edits])[24].nonzero()
    there = [column for ring in across["rings"] for row, column in ring if abs(row - (11 - 6)) < 0.1]
    assert max(there) == pytest.approx(columns.max() + 0.5, abs=0.1)  # the edited slice is a row of the plane across
    page.ask(do="press", verb="lock", name="GTV")
    assert page.rests(3)["structures"][0]["locked"]


# -- words -----------------------------------------------------------------------------------------------------
def test_what_was_heard_comes_back_to_be_corrected_before_it_acts(desk, page, parrot):
    page.has("hello")
    page.socket.send(b"\x01\x00" * 1600 + b"\x07")
    assert page.has("heard") == {"kind": "heard", "text": "undo", "confidence": 0.9, "said": ""}
    assert len(parrot.sounds[0]) == 1600  # whole samples
    assert parrot.known == {"GTV"}
    assert page.has("session")["undo"] == 0
    assert "Only 0 steps" in page.ask(do="say", text="undo", heard=0.9)["said"]
    assert "Did you mean" in page.ask(do="say", text="accept", heard=0.3)["said"]
    assert "Nothing was done" in page.ask(do="say", text="no")["said"]


def test_what_cannot_be_heard_is_said(practice, desk, page, parrot):
    page.has("hello")
    parrot.says = Heard(why="Nothing was heard.")
    page.socket.send(b"\x00" * 3200)
    assert page.has("heard")["said"] == "Nothing was heard."

    def refuses(*sound: object) -> Heard:
        raise ModelError("The speech model is gone.", "Put it back.")

    parrot.hear = refuses
    page.socket.send(b"\x00" * 3200)
    page.read(lambda: "Put it back." in page.has("heard")["said"])


def test_without_a_recogniser_the_page_says_that_voice_is_not_installed(practice):
    with Desk(practice) as desk, desk.page() as page:
        assert page.has("hello")["voice"] is False
        page.socket.send(b"\x01\x00" * 1600)
        assert page.has("heard")["said"] == "Voice is not installed."


# -- bad input -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "said",
    [
        "nonsense",
        "[]",
        '{"do": "press", "verb": "quit"}',
        '{"do": "say", "text": ""}',
        '{"do": "say", "text": "%s"}' % ("x" * 401),
        '{"do": "draw", "shape": "point", "plane": 3, "index": 0, "points": [[1, 1]]}',
        '{"do": "draw", "shape": "point", "plane": 0, "index": 0, "points": [[NaN, 1]]}',
        '{"do": "draw", "shape": "point", "plane": 0, "index": 0, "points": [[1, 1]], "structure": "G\\u00e9"}',
        '{"do": "draw", "shape": "point", "plane": 0, "index": 0, "points": []}',
        '{"do": "look", "plane": 0, "index": -1}',
    ],
)
def test_messages_that_mean_nothing_change_nothing(desk, page, said):
    page.has("session")
    page.socket.send(said)
    assert page.has("answer")["ok"] is False
    assert page.last["session"]["undo"] == 0


def test_prompts_that_mean_nothing_are_refused_as_in_osirix(desk, page):
    assert "outside the image" in click(page, 6, -50, 20)["said"]
    assert "outside the image" in click(page, 400, 10, 20)["said"]
    assert "outside the body" in click(page, 6, 0, 0)["said"]
    assert "no area" in page.ask(do="draw", shape="box", plane=0, index=5, points=[[3, 3], [3, 9]])["said"]
    assert "empty" in page.ask(do="draw", shape="scribble", plane=0, index=5, points=[[3, 3]])["said"]
    assert page.last["session"]["undo"] == 0


def test_a_second_tab_takes_over_and_the_first_is_told(desk):
    cookie = desk.enter()
    with desk.page(cookie) as first:
        first.has("hello")
        with desk.page(cookie) as second:
            assert second.has("hello")
            with pytest.raises(ConnectionClosedError) as closed:
                first.read(lambda: False)
            assert closed.value.rcvd.code == 4001
            assert click(second, 6, 24, 28)["ok"]
            assert second.rests(1)


def test_a_page_that_comes_back_finds_all_as_it_is(desk):
    cookie = desk.enter()
    with desk.page(cookie) as page:
        click(page, 6, 24, 28)
        page.rests(1)
    desk.panel.notice("said meanwhile", "GTV")
    with desk.page(cookie) as page:
        page.look(0, 6)
        assert page.rests(1)["structures"][0]["cm3"]
        assert page.last["lines"]["outlines"]
        assert page.has("notice")["text"] == "GTV: said meanwhile"


def test_osirix_away_is_shown_and_what_was_asked_waits(hospital, open_practice):
    practice = open_practice()
    practice.engine.wait_for(_gone)
    with Desk(practice) as desk, desk.page() as page:
        page.has("session")
        hospital.app.close_viewer(hospital.window)
        page.read(lambda: page.last["session"]["lost"])


def _gone():
    raise NoViewerError("No 2D viewer is open in OsiriX.", "Open it.")


def test_messages_are_valid_json_without_names_of_the_patient(desk, page, practice):
    page.look(0, 6)
    click(page, 6, 24, 28)
    page.rests(1)
    everything = json.dumps(page.last, allow_nan=False)
    identity = practice.viewer.identity
    for secret in (identity.patient_id, identity.study_uid, identity.series_uid, identity.sop_uids[0]):
        assert secret not in everything


def test_a_page_that_keeps_up_has_its_lines_before_the_session_goes_on(practice, monkeypatch):
    monkeypatch.setattr("osirix_agent.panel.server.HEAD_START_S", 30.0)
    with Desk(practice) as desk, desk.page() as page:
        page.look(0, 6)
        page.ask(do="say", text="hide")
        until(lambda: desk.panel._page.sent is not None)
        desk.stop_engine()  # it would show something else meanwhile
        until(lambda: desk.panel._page.sent is desk.panel._sight)
        sight = desk.panel._sight
        desk.panel._show(replace(sight, busy=not sight.busy))
        assert desk.panel._page.sent is desk.panel._sight


def test_a_page_that_has_stopped_reading_is_not_waited_for(practice, monkeypatch):
    monkeypatch.setattr("osirix_agent.panel.server.HEAD_START_S", 0.2)
    with Desk(practice) as desk, desk.page() as page:
        page.look(0, 6)
        until(lambda: desk.panel._page.sent is desk.panel._sight)
        stuck = threading.Event()
        monkeypatch.setattr(desk.panel._page, "_send_lines", lambda *_: stuck.wait(60.0))
        try:
            began = time.monotonic()
            for _ in range(20):  # the first is waited for, the others are not
                desk.panel._show(replace(desk.panel._sight))
            assert time.monotonic() - began < 2.0
        finally:
            stuck.set()
