"""`run --panel` and `demo --panel` as a person starts them."""

import http.client
import re
import signal
import subprocess
from urllib.parse import urlsplit

import pytest

from osirix_agent.cli import main
from tests.panel.desk import Page
from tests.test_cli import RUN, end, osirix, read_until, start  # noqa: F401 (osirix is a fixture)

pytestmark = pytest.mark.slow


def follow(process: subprocess.Popen) -> Page:
    """The page behind the link that the process prints."""
    link = re.search(r"http://\S+", read_until(process, "Companion page:", 300))[0]
    parts = urlsplit(link)
    talk = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    talk.request("GET", f"{parts.path}?{parts.query}")
    cookie = talk.getresponse().headers["Set-Cookie"].split(";")[0]
    talk.close()
    read_until(process, "The page is open.")
    return Page(parts.port, cookie)


def test_a_run_with_its_page(osirix, phantom, tmp_path):  # noqa: F811
    process = start(
        [*RUN, "run", "--panel", "--server", osirix, "--state-dir", str(tmp_path)], stdin=subprocess.DEVNULL
    )
    with follow(process) as page:
        read_until(process, "Journal:")
        page.read(lambda: page.has("session")["structures"][0]["cm3"])  # the clinician in OsiriX has clicked
        assert page.ask(do="say", text="accept")["ok"]
        page.read(lambda: page.has("session")["structures"][0]["accepted"])
    assert end(process, signal.SIGTERM) == 0


def test_the_demo_stays_open_in_its_page(tmp_path):
    command = [*RUN, "demo", "--panel", "--segmenter", "classical", "--out", str(tmp_path / "out")]
    process = start(command, stdin=subprocess.DEVNULL)
    with follow(process) as page:
        page.look(0, page.has("hello")["displayed"])
        assert any(one["level"] == 0 for one in page.last["lines"]["outlines"])  # what the demo accepted is hers now
    assert end(process, signal.SIGINT) == 0


def test_without_its_package_it_says_what_to_install(monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "websockets.datastructures", None)
    monkeypatch.delitem(sys.modules, "osirix_agent.panel.server", raising=False)
    monkeypatch.delitem(sys.modules, "osirix_agent.panel.door", raising=False)
    assert main(["run", "--panel", "--wait", "0", "--server", "127.0.0.1:9"]) == 2
    assert "osirix-agent[panel]" in capsys.readouterr().err
