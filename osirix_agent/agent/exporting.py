"""Accepted structures out: from a running session, or from a journal."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from osirix_agent.agent.feedback import Feedback
from osirix_agent.agent.recorded import rebuilt, recorded_series
from osirix_agent.agent.scene import HUES
from osirix_agent.agent.state import SessionState
from osirix_agent.errors import ExportError, OsirixAgentError
from osirix_agent.imaging.contour import FloatArray
from osirix_agent.record.events import SessionStarted
from osirix_agent.record.export.files import RTSTRUCT, Formats, write_files
from osirix_agent.record.export.node import Node, send
from osirix_agent.record.export.series import ImageSeries, read_identity
from osirix_agent.record.export.structures import AcceptedStructure
from osirix_agent.record.journal import read_journal
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.segmenter.choice import NAMES, make_segmenter
from osirix_agent.settings import Settings
from osirix_agent.viewer.client import OsirixViewer
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.viewer.database import StoredFile, hand_over
from osirix_agent.viewer.pixel import PixelMap


@dataclass(frozen=True)
class Exported:
    """What left.

    Attributes
    ----------
    structures : names as they are outside
    files : written, in the order of writing
    """

    structures: tuple[str, ...]
    files: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "files": [str(path) for path in self.files]}


def accepted_structures(state: SessionState, pixels: PixelMap) -> list[AcceptedStructure]:
    """What is accepted, slice by slice as it stays in the viewer: her edited slices are just as she left them."""
    found = []
    for structure in state.structures.values():
        staying = structure.kept or structure
        if not staying.accepted:
            continue
        edits = {**staying.edits, **structure.edits}
        rings: dict[int, tuple[FloatArray, ...]] = {}
        if staying.final is not None:
            rings = {k: staying.final.isoline(k) for k in staying.final.slices()}
        for k, rois in edits.items():
            rings[k] = tuple(ring for _, roi in rois for ring in pixels.rings_of(roi))
        made_by = "" if staying.final is None else staying.final.source
        held = {k: drawn for k, drawn in sorted(rings.items()) if drawn}
        color = HUES[structure.hue % len(HUES)]
        found.append(AcceptedStructure(structure.name, held, frozenset(edits), staying.final, color, made_by))
    return found


def export_session(
    journal: Path, dicom: Path | None, out: Path, formats: Formats, settings: Settings, names: Sequence[str] = ()
) -> Exported:
    """Write the structures that a journalled session ended with.

    Parameters
    ----------
    dicom : folder of the series; None: 'study' beside the journal, else the series open in OsiriX
    out : folder, made if missing
    names : only these structures; all that were accepted if empty

    Raises
    ------
    ExportError
        None was accepted, or the files cannot be written.
    JournalError
        The session cannot be put together again.
    """
    events = read_journal(journal)
    started = next(event for event in events if isinstance(event, SessionStarted))
    pseudonyms = Pseudonyms.at(settings.state_dir)
    kind = next((k for k in NAMES if started.segmenter.startswith(k)), "model")
    segmenter = make_segmenter(settings.model_copy(update={"segmenter": kind}))
    with recorded_series(journal, started, dicom, settings, pseudonyms) as (viewer, volume):
        half_pixel = float(started.settings.get("half_pixel_px", viewer.pixels.half_pixel_px))
        pixels = PixelMap(volume.geometry, half_pixel)
        state = rebuilt(events, volume, pixels, segmenter, pseudonyms, names)
        structures = chosen(accepted_structures(state, pixels), names)
        series = ImageSeries.read(viewer.files, volume.geometry)
        return export(series, structures, out, formats, datetime.now())


def deliver(exported: Exported, settings: Settings, *, node: str | None, to_osirix: bool) -> None:
    """Hand the DICOM files of an export on: to OsiriX's database, to a DICOM node.

    Parameters
    ----------
    node : TITLE@host:port

    Raises
    ------
    OsirixAgentError
        It did not work, or not for all of them; the files stay in their folder.
    """
    dicom = [path for path in exported.files if path.suffix == ".dcm"]
    if to_osirix:
        with closing(OsirixConnection.find(settings)) as connection:
            hand_over(connection, [StoredFile(path, *read_identity(path)) for path in dicom], settings.dicom_deadline_s)
    if node is not None:
        send(dicom, Node.parse(node), settings.dicom_title, settings.dicom_deadline_s)


class ExportOnAccept:
    """Keeps an RTSTRUCT of what is accepted in a running session; what goes wrong is said, and the session goes on.

    Parameters
    ----------
    viewer : OsirixViewer
        The session's; its files are read from here.
    folder : Path
        Of this session.
    """

    def __init__(self, viewer: OsirixViewer, folder: Path, feedback: Feedback) -> None:
        self._viewer, self._folder, self._feedback = viewer, folder, feedback
        self._series: ImageSeries | None = None

    def __call__(self, state: SessionState) -> None:
        """Write what is accepted now; take the file away when nothing is any more."""
        try:
            structures = accepted_structures(state, self._viewer.pixels)
            if not structures:
                (self._folder / RTSTRUCT).unlink(missing_ok=True)
                return
            self._series = self._series or ImageSeries.read(self._viewer.files, self._viewer.pixels.geometry)
            export(self._series, structures, self._folder, Formats(), datetime.now())
        except OsirixAgentError as error:
            self._feedback.notice(f"Not exported: {error}")


def export(
    series: ImageSeries, structures: Sequence[AcceptedStructure], out: Path, formats: Formats, now: datetime
) -> Exported:
    files = write_files(series, structures, out, formats, now)
    return Exported(tuple(structure.public_name for structure in structures), tuple(files))


def chosen(structures: Sequence[AcceptedStructure], names: Sequence[str]) -> list[AcceptedStructure]:
    """Those of these names; all if there are none.

    Raises
    ------
    ExportError
        Nothing is accepted, or a name is not.
    """
    if not structures:
        raise ExportError("No structure was accepted in this session.", "Accept one ('!accept'), then export.")
    missing = [name for name in names if name not in {s.name for s in structures}]
    if missing:
        raise ExportError(
            f"{len(missing)} of the structures named were not accepted in this session.",
            f"Accepted: {', '.join(sorted(s.name for s in structures))}.",
        )
    return [s for s in structures if not names or s.name in names]
