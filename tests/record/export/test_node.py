"""C-STORE to nodes that take, refuse, stall and go away; all on this machine."""

import gc
import socket
import sys
import threading

import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, SegmentationStorage
from pynetdicom import AE, evt

from osirix_agent.errors import ExportError, SettingsError
from osirix_agent.record.export.files import Formats, write_files
from osirix_agent.record.export.node import Node, send
from tests.record.export.conftest import NOW

QUICK_S = 1.0


@pytest.fixture
def files(study, tmp_path):
    return write_files(study.series, [study.structure()], tmp_path / "out", Formats(seg=True), NOW)


@pytest.fixture
def serve():
    """A node that answers each C-STORE as told; gives it and what it took."""
    servers = []

    def start(answer, classes=(RTStructureSetStorage, SegmentationStorage), syntaxes=None, **settings):
        entity, took = AE(ae_title="NODE"), []
        for name, value in settings.items():
            setattr(entity, name, value)
        for one in classes:
            entity.add_supported_context(one, syntaxes)

        def store(event):
            status = answer(event)
            if status == 0:
                ds = event.dataset
                ds.file_meta = event.file_meta
                took.append(ds)
            return status

        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
        servers.append(server)
        return Node("NODE", "127.0.0.1", server.server_address[1]), took

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_node_gets_every_file_as_it_is(files, serve):
    node, took = serve(lambda event: 0)
    send(files, node, "HERE", 5)
    assert [ds.SOPInstanceUID for ds in took] == [pydicom.dcmread(path).SOPInstanceUID for path in files]
    assert took[0] == pydicom.dcmread(files[0])


def test_a_node_that_takes_implicit_alone_gets_them_too(files, serve):
    node, took = serve(lambda event: 0, syntaxes=ImplicitVRLittleEndian)
    send(files, node, "HERE", 5)
    assert [ds.Modality for ds in took] == ["RTSTRUCT", "SEG"]


def stored_both(files):
    assert [pydicom.dcmread(path).Modality for path in files] == ["RTSTRUCT", "SEG"]


def test_a_refused_file_is_said_with_its_status(files, serve):
    node, took = serve(lambda event: 0 if event.request.AffectedSOPClassUID == RTStructureSetStorage else 0xA700)
    with pytest.raises(ExportError, match=r"refused a file \(status 0xA700\); it confirmed 1 of 2"):
        send(files, node, "HERE", 5)
    assert len(took) == 1
    stored_both(files)


def test_a_node_that_knows_another_title_refuses(files, serve):
    node, _ = serve(lambda event: 0, require_called_aet=True)
    with pytest.raises(ExportError, match="refused the association"):
        send(files, Node("OTHER", node.host, node.port), "HERE", 5)


def test_a_class_that_it_does_not_take_is_named(files, serve):
    node, _ = serve(lambda event: 0, classes=(RTStructureSetStorage,))
    with pytest.raises(ExportError, match="does not take SEG objects; it confirmed 1 of 2"):
        send(files, node, "HERE", 5)


def test_a_node_that_stalls_is_left(files, serve):
    go_on = threading.Event()

    def stall(event):
        go_on.wait(10)
        return 0

    node, _ = serve(stall)
    try:
        with pytest.raises(ExportError, match="did not answer within 1 s"):
            send(files, node, "HERE", QUICK_S)
    finally:
        go_on.set()
    stored_both(files)


def test_a_node_that_goes_away_half_way_is_said(files, serve):
    def leave(event):
        event.assoc.abort()
        return 0

    node, _ = serve(leave)
    with pytest.raises(ExportError, match="went away; it confirmed 0 of 2"):
        send(files, node, "HERE", 5)
    stored_both(files)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom leaves its socket open
def test_nobody_there_and_one_who_says_nothing(files):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        node = Node("NODE", *silent.getsockname())
        with pytest.raises(ExportError, match="is not there"):
            send(files, node, "HERE", QUICK_S)
    with pytest.raises(ExportError, match="is not there"):
        send(files, node, "HERE", QUICK_S)
    gc.collect()  # the socket goes here, not in a later test


def test_what_is_no_node_is_said():
    assert Node.parse("PACS@10.0.0.1:104") == Node("PACS", "10.0.0.1", 104)
    for text in ("PACS", "PACS@host", "@host:104", "PACS@host:99999", "A_TITLE_TOO_LONG_X@host:104"):
        with pytest.raises(SettingsError, match="no DICOM node"):
            Node.parse(text)


def test_without_pynetdicom_it_says_what_to_install(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    with pytest.raises(ExportError, match="osirix-agent\\[dicom\\]"):
        send(files, Node("NODE", "127.0.0.1", 1), "HERE", 1)
