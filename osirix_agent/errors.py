"""Every error the product raises on purpose: what happened, and what to do about it.

    OsirixAgentError
    |- SettingsError            a setting that cannot be used                    exit 2
    |- ViewerError              OsiriX or its viewer                             exit 3
    |  |- NoServerError         nothing answers where OsiriX was looked for
    |  |- NoViewerError         OsiriX answers, no 2D viewer is open
    |  |- ViewerClosedError     the viewer (or an object of it) is gone
    |  |- SeriesChangedError    the viewer shows other images than the session's
    |  |- ViewerTimeoutError    OsiriX did not answer before the deadline
    |  |- ViewerRefusedError    OsiriX answered "no" (status 0)
    |  `- EditedMeanwhileError  an ROI about to be written was edited by the clinician
    |- UnsupportedSeriesError   a series the geometry of which would be a guess  exit 4
    |- DicomError               files that cannot be read as needed              exit 4
    |- PromptError              a prompt that cannot be acted on                 exit 5
    |- JournalError             the journal cannot be written or read            exit 6
    |- PluginError              the buttons in OsiriX cannot be put there or taken away  exit 7
    |- ControlError             the socket through which they speak              exit 7
    |- ModelError               a model folder cannot be used                    exit 8
    |- RemoteError              a segmenter on another machine                   exit 9
    |  |- UnreachableError      nothing answers there, or no longer
    |  |- CertificateError      it is not the paired server, or it does not take this pairing
    |  |- VersionError          the two machines do not understand each other
    |  |- BusyError             its queue is full, or a quota is used up
    |  |- SupersededError       a newer request of the same session came first
    |  `- DamagedError          what arrived is not what was sent
    |- ExportError              contours that cannot leave: file, database or DICOM node  exit 10
    |- VoiceError               sound that cannot be used, or nothing to hear it with  exit 11
    `- LearningError            a log that an adapter cannot or must not learn from    exit 12

`str(error)` is one or two sentences without patient data; `error.cure` is the part that says what to do.
"""

from __future__ import annotations

from typing import Any


class OsirixAgentError(Exception):
    """Base of all deliberate errors.

    Parameters
    ----------
    what : str
        What happened, in one sentence without patient data.
    cure : str
        What the user can do, in one imperative sentence.
    """

    exit_code = 1

    def __init__(self, what: str, cure: str) -> None:
        self.what = what
        self.cure = cure
        super().__init__(f"{what} {cure}")

    def __reduce__(self) -> tuple[type[OsirixAgentError], tuple[str, str]]:
        return type(self), (self.what, self.cure)


class SettingsError(OsirixAgentError):
    exit_code = 2


class ViewerError(OsirixAgentError):
    """`unanswered` is the write that was sent and may still be carried out, if there is one."""

    exit_code = 3
    unanswered: Any = None


class NoServerError(ViewerError):
    pass


class NoViewerError(ViewerError):
    pass


class ViewerClosedError(ViewerError):
    pass


class SeriesChangedError(ViewerError):
    pass


class ViewerTimeoutError(ViewerError):
    pass


class ViewerRefusedError(ViewerError):
    pass


class EditedMeanwhileError(ViewerError):
    """`nothing_written` tells that it was found before the first write."""

    nothing_written = False


class UnsupportedSeriesError(OsirixAgentError):
    exit_code = 4


class DicomError(OsirixAgentError):
    exit_code = 4


class PromptError(OsirixAgentError):
    """`passing`: the prompts are sound, and asking once more may succeed."""

    exit_code = 5
    passing = False


class JournalError(OsirixAgentError):
    exit_code = 6


class PluginError(OsirixAgentError):
    exit_code = 7


class ControlError(OsirixAgentError):
    exit_code = 7


class ModelError(OsirixAgentError):
    exit_code = 8


class RemoteError(OsirixAgentError):
    exit_code = 9


class UnreachableError(RemoteError):
    pass


class CertificateError(RemoteError):
    pass


class VersionError(RemoteError):
    pass


class BusyError(RemoteError):
    pass


class SupersededError(RemoteError):
    pass


class DamagedError(RemoteError):
    pass


class ExportError(OsirixAgentError):
    exit_code = 10


class VoiceError(OsirixAgentError):
    exit_code = 11


class LearningError(OsirixAgentError):
    exit_code = 12
