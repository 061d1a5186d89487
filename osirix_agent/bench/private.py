"""log.private: identifying strings in every place they can come from, looked for in everything that a log gives out."""

from __future__ import annotations

import contextlib
import io
import string
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom.datadict import DicomDictionary

from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.opening import OpenSession, open_session
from osirix_agent.agent.request import Request, Sentence
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.errors import OsirixAgentError
from osirix_agent.figures import Figure
from osirix_agent.prompting.grammar import Command
from osirix_agent.record import console
from osirix_agent.record.events import Said
from osirix_agent.record.export.deidentified import images
from osirix_agent.record.journal import read_journal
from osirix_agent.settings import Settings, load_settings
from osirix_agent.virtual_osirix.app import VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom
from osirix_agent.virtual_osirix.server import VirtualServer

STRINGS, ROIS, SENTENCES, PATHS = 500, 110, 60, 3
_TEXT = {"PN", "LO", "SH", "ST", "LT", "UT", "UC", "AE"}
_KNOWN = ("use {}", "grow {} by two millimetres", "accept {}", "lock {}", "unlock {}", "reject {}")
_UNKNOWN = ("contour {}", "new structure {}", "exclude {}", "{} please", "grow it by 2 mm {}", "crop to {}", "go to {}")


class Secrets:
    """Distinct strings such as names are made of, none of which turns up by chance."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.given: list[str] = []

    def __call__(self) -> str:
        word = "Q" + "".join(self._rng.choice(list(string.ascii_lowercase), 9))
        self.given.append(word)
        return word


def measure(folder: Path, seed: int) -> Figure:
    """A session in which everything is somebody's name, and all that comes out of it."""
    secret = Secrets(seed)
    place = folder
    for _ in range(PATHS):
        place = place / secret()
    place.mkdir(parents=True)
    uids = _seeded_study(place / "study", secret, STRINGS - PATHS - ROIS - SENTENCES - 1)
    study = b"".join(content for _, content in _files(place / "study"))
    control = sum(one.encode() in study for one in (*secret.given, *uids))
    assert control == len(secret.given) - PATHS + len(uids), "the search finds what is there"
    settings = load_settings(state_dir=place / "state", notify=False, clinician=secret(), study_keeps_words=True)
    said, refusals = _session(place, settings, secret)
    assert len(secret.given) == STRINGS
    out = _given_out(settings.state_dir, place / "out")
    pixels = images(settings.state_dir, place / "study", place / "out" / "images", settings.state_dir)
    out += "\n".join(line.replace(str(place), "") for line in pixels.lines).encode()
    texts = {
        **dict(_files(settings.state_dir / "journal")),
        **dict(_files(place / "out")),
        "output": out,
        "errors": said,
    }
    secrets = [one.encode() for one in (*secret.given, *uids)]
    found = [name for name, text in texts.items() for one in secrets if one.lower() in text.lower()]
    events = read_journal(next((settings.state_dir / "journal").glob("*.jsonl")))
    understood = sum(isinstance(event, Said) for event in events)
    note = (
        f"{len(events)} events of one session, {understood} sentences understood, "
        f"{refusals} asked back or refused, {len(texts)} files and "
        f"outputs searched, images among them, also for {len(uids)} UIDs"
    )
    return Figure(id="log.private", value=float(len(found)), unit="strings found", n=STRINGS, reach="0",
                  holds=not found, note="; ".join([note, *found[:5]]))  # fmt: skip


def _seeded_study(folder: Path, secret: Callable[[], str], count: int) -> list[str]:
    """The phantom with a string in so many text fields of each file; returns its UIDs."""
    phantom = write_phantom(folder, PhantomRecipe(shape_kji=(8, 40, 44), spacing_kji_mm=(3.0, 2.0, 2.0)))
    known = {tag: entry for tag, entry in DicomDictionary.items() if entry[0] in _TEXT and entry[1] == "1"}
    first = [tag for tag in known if tag >> 16 in (0x0008, 0x0010)]  # who, where, by whom
    chosen = (first + [tag for tag in known if 0x0010 < tag >> 16 < 0x4000])[:count]
    values = {tag: secret() for tag in chosen}
    uids: set[str] = set()
    for path in sorted(phantom.folder.rglob("*.dcm")):
        ds = pydicom.dcmread(path)
        uids |= {str(e.value) for e in ds.iterall() if e.VR == "UI" and not str(e.value).startswith("1.2.840.10008")}
        if ds.Modality == "CT":
            for tag, value in values.items():
                ds.add_new(tag, known[tag][0], value)
            ds.save_as(path)
    return sorted(uids)


def _session(place: Path, settings: Settings, secret: Callable[[], str]) -> tuple[bytes, int]:
    """Draw, say and do things under names; returns every message and error, and how many sentences were refused."""
    app = VirtualOsirix()
    window = app.open_folder(place / "study")[0]
    clinician, feedback = Clinician(app, window), RecordedFeedback()
    errors: list[str] = []
    with VirtualServer(app) as server:
        opened = open_session(
            settings.model_copy(update={"server": server.address, "polygon_settle_s": 0.0}), feedback,
            segmenter=BallSegmenter(), companions=False,
        )  # fmt: skip
        try:
            _act(opened, clinician, errors, secret)
            opened.engine.finish()
        finally:
            opened.close()
    told = [*errors, *(text.split(": ", 1)[-1] for text in feedback.texts)]
    kept = [text for text in told if "Did you mean" not in text]  # asked on her screen, in her words, and kept nowhere
    return "\n".join(kept).encode(), len(errors)


def _act(opened: OpenSession, clinician: Clinician, errors: list[str], secret: Callable[[], str]) -> None:
    engine = opened.engine
    ways = (
        "{}",
        "GTV_{}",
        "+GTV_{}",
        "-{}",
        "?{}",
        "!accept {}",
        "CTV{}",
        "note of {}",
        "!{}",
        "?left parotid {}",
        "+{}",
    )
    for n in range(ROIS):
        name = ways[n % len(ways)].format(secret())
        at = (10.5 + n % 20, 12.5 + n % 16)
        if n % 4 == 3:
            clinician.box(at, (6, 6), name=name, k=n % 8)
        else:
            clinician.point(at, name=name, k=n % 8).comment = name
        engine.step()
    _settle(opened)
    for n in range(SENTENCES):
        name = secret()
        if n % 2:  # a structure of the session, so that the sentence is understood
            name = f"GTV_{name}"
            clinician.point((20.5, 20.5), name=name, k=n % 8)
            engine.step()
        said = _KNOWN if n % 2 else _UNKNOWN
        request = Request(Sentence(said[n // 2 % len(said)].format(name), 0.95 if n % 3 else 1.0))
        engine.ask(request)
        engine.step()
        done, what, _ = request.wait(10)
        if not done:
            errors.append(what)
    for name in list(engine.session.state.structures):
        engine.command(Command("accept", name))
    _settle(opened)


def _settle(opened: OpenSession) -> None:
    opened.engine.step()
    while opened.engine.pending:
        opened.engine.step()


def _given_out(state_dir: Path, out: Path) -> bytes:
    """What every `log` command prints; the files that some write are in `out`."""
    (journal,) = (path for path in (state_dir / "journal").glob("*.jsonl"))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for said in (
            console.verify(None, state_dir), console.show(journal), console.stats(state_dir),
            console.export(state_dir, out), console.report(state_dir, out / "report.html"),
        ):  # fmt: skip
            print("\n".join(line.replace(str(out), "") for line in said.lines), said.as_json)
        try:
            console.show(state_dir / "study")
        except OsirixAgentError as error:
            print(error)
    return printed.getvalue().encode()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names and content, unpacked where it is packed."""
    import pyarrow.parquet

    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        content = path.read_bytes()
        if path.parent.parent.name == "store":
            content = zlib.decompress(content)
        elif path.suffix == ".parquet":
            content += str(pyarrow.parquet.read_table(path).to_pylist()).encode()
        yield path.name, path.name.encode() + b"\n" + content
