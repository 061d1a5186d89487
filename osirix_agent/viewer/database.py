"""Files into OsiriX's database: handed to its browser, then looked for until they are there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from osirixgrpc import browsercontroller_pb2, utilities_pb2

from osirix_agent.errors import ExportError, ViewerClosedError
from osirix_agent.viewer.connection import OsirixConnection

LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class StoredFile:
    """A DICOM file and by what it is known again."""

    path: Path
    study_uid: str
    series_uid: str
    sop_uid: str


def hand_over(
    connection: OsirixConnection, files: Sequence[StoredFile], deadline_s: float, *,
    clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep,
) -> None:  # fmt: skip
    """Let OsiriX copy files into its database; returns once they are in it.

    OsiriX answers before it has copied anything, and says nothing of a file that it cannot read (one on another
    machine, say): that a file is there is the only sign.

    Raises
    ------
    ExportError
        Some are not there in time.
    ViewerError
        OsiriX does not answer, or refuses.
    """
    browser = connection.call("OsirixCurrentBrowser", utilities_pb2.Empty()).browser_controller
    paths = [str(file.path.resolve()) for file in files]
    request = browsercontroller_pb2.BrowserControllerCopyFilesIfNeededRequest(browser=browser, paths=paths)
    connection.call("BrowserControllerCopyFilesIfNeeded", request)
    missing, until = list(files), clock() + deadline_s
    while True:
        with suppress(ViewerClosedError):  # the database was reloaded while it was looked through
            missing = [file for file in missing if file.sop_uid not in set(_stored(connection, browser, file))]
        if not missing:
            return
        if clock() > until:
            raise ExportError(
                f"{len(missing)} of {len(files)} files did not come into OsiriX's database within {deadline_s:g} s.",
                "They are still in the folder: import them there by hand, or run the agent on OsiriX's machine.",
            )
        sleep(LOOK_EVERY_S)


def _stored(connection: OsirixConnection, browser: object, file: StoredFile) -> Iterator[str]:
    """SOP Instance UIDs of the file's series, as far as the database has it."""
    for study in connection.call("BrowserControllerDatabaseStudies", browser).studies:
        if connection.call("DicomStudyStudyInstanceUID", study).study_instance_uid != file.study_uid:
            continue
        for series in connection.call("DicomStudySeries", study).series:
            if connection.call("DicomSeriesSeriesInstanceUID", series).series_instance_uid == file.series_uid:
                images = connection.call("DicomSeriesImages", series).images
                yield from (a.sop_instance_uid for a in connection.call_many("DicomImageSOPInstanceUID", images))
