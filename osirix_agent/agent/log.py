"""Session happenings as journal events, pseudonymised on the way."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Literal

from osirix_agent import __version__
from osirix_agent.agent.outline import RingsLps
from osirix_agent.agent.state import PromptRecord
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.structure import public_name
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointLps
from osirix_agent.record import events
from osirix_agent.record.journal import Journal
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.settings import Settings
from osirix_agent.viewer.protocol import SeriesIdentity
from osirix_agent.viewer.roi import RoiSpec

LOGGED_PACKAGES = ("numpy", "scipy", "scikit-image", "grpcio", "protobuf", "osirixgrpc")
LOGGED_SETTINGS = ("isoline_levels", "half_pixel_px", "remove_prompts_on_accept", "segmenter")


class SessionLog:
    """Writes one session's events.

    Parameters
    ----------
    journal : Journal
    pseudonyms : Pseudonyms
    wall, monotonic : callables returning seconds
    elapsed_s : float
        Of the session so far, when it is continued.
    """

    def __init__(
        self, journal: Journal, pseudonyms: Pseudonyms, wall: Callable[[], float], monotonic: Callable[[], float],
        elapsed_s: float = 0.0,
    ) -> None:  # fmt: skip
        self._journal, self._pseudonyms = journal, pseudonyms
        self._wall, self._monotonic = wall, monotonic
        self._began = monotonic() - elapsed_s
        self._muted = False

    @contextmanager
    def muted(self) -> Iterator[None]:
        """What happens meanwhile stands in the journal already."""
        self._muted = True
        try:
            yield
        finally:
            self._muted = False

    def started(self, run: str, identity: SeriesIdentity, volume: Volume, segmenter: str, settings: Settings) -> None:
        of = self._pseudonyms.of
        self._write(
            events.SessionStarted,
            run=run, patient=of(identity.patient_id), study=of(identity.study_uid), series=of(identity.series_uid),
            slices=tuple(of(uid) for uid in identity.sop_uids), modality=identity.modality,
            volume_digest=volume.digest, shape_kji=volume.geometry.shape_kji,
            spacing_kji_mm=volume.geometry.spacing_kji_mm, segmenter=segmenter, versions=versions(),
            device=f"{platform.system()} {platform.machine()}",
            settings=settings.model_dump(mode="json", include=set(LOGGED_SETTINGS)),
        )  # fmt: skip

    def baseline(self, rois: Iterable[RoiSpec]) -> None:
        self._write(events.Baseline, rois=tuple(self.mark(roi) for roi in rois))

    def resumed(self, after: Literal["viewer", "agent"]) -> None:
        self._write(events.Resumed, after=after)

    def prompt(
        self, change: Literal["added", "changed", "removed", "let_go"], record: PromptRecord, structure: str,
        displayed_k: int,
    ) -> None:  # fmt: skip
        self._write(
            events.PromptChanged, change=change, number=record.number, structure=self.name(structure),
            prompt=record.prompt, viewer=record.viewer, displayed_k=displayed_k,
            roi=None if record.roi is None else self.mark(record.roi), permanent=record.permanent,
        )  # fmt: skip

    def refused(self, kind: str, reason: str) -> None:
        self._write(events.PromptRefused, kind=kind, reason=reason)

    def edited(
        self, structure: str, k: int, rings: tuple[tuple[PointLps, ...], ...], rois: Iterable[tuple[int, RoiSpec]],
        *, joined: bool,
    ) -> None:  # fmt: skip
        fixed = events.FixedRings(k=k, rings_lps=rings)
        marks = tuple((n, self.mark(roi)) for n, roi in rois)
        self._write(events.SliceEdited, structure=self.name(structure), fixed=fixed, rois=marks, joined=joined)

    def command(self, verb: str, structure: str | None) -> None:
        self._write(events.CommandGiven, verb=verb, structure=None if structure is None else self.name(structure))

    def locked(self, structure: str, mask_digest: str, slices: Mapping[int, RingsLps]) -> None:
        fixed = tuple(events.FixedRings(k=k, rings_lps=rings) for k, rings in sorted(slices.items()))
        self._write(events.StructureLocked, structure=self.name(structure), mask_digest=mask_digest, slices=fixed)

    def proposed(
        self,
        request: SegmentationRequest,
        belief: Belief | None,
        error: PromptError | None,
        segment_ms: float,
    ) -> None:
        self._write(
            events.Proposed, structure=self.name(request.structure), request_digest=request.digest,
            prompts=request.prompts,
            fixed=tuple(events.FixedRings(k=f.k, rings_lps=f.rings_lps) for f in request.fixed),
            excluded=tuple(b.mask_digest for b in request.excluded),
            mask_digest=None if belief is None else belief.mask_digest,
            volume_mm3=None if belief is None else belief.volume_mm3(request.volume.geometry),
            refused=None if error is None else error.what, segment_ms=segment_ms,
        )  # fmt: skip

    def painted(self, writes: int, slices: int, plan_ms: float, paint_ms: float, total_ms: float | None) -> None:
        self._write(
            events.Painted, writes=writes, slices=slices, plan_ms=plan_ms, paint_ms=paint_ms,
            click_to_redraw_ms=total_ms,
        )  # fmt: skip

    def dwelt(self, k: int, seconds: float) -> None:
        self._write(events.SliceDwelt, k=k, seconds=round(seconds, 3))

    def ended(self, reason: str, accepted: tuple[str, ...]) -> None:
        self._write(events.SessionEnded, reason=reason, accepted=tuple(self.name(name) for name in accepted))

    def close(self) -> None:
        self._journal.close()

    def name(self, structure: str) -> str:
        """The structure's name as it stands in the journal."""
        return public_name(structure, self._pseudonyms.of(structure))

    def mark(self, roi: RoiSpec) -> events.RoiMark:
        """By what the ROI is known again."""
        return events.RoiMark(k=roi.k, itype=roi.itype, shape=roi.shape_digest, name=self._pseudonyms.of(roi.name))

    def _write(self, event: type, /, **fields: Any) -> None:
        if self._muted:
            return
        self._journal.append(event(at=self._wall(), elapsed_s=self._monotonic() - self._began, **fields))


def versions() -> dict[str, str]:
    """Versions that a result may depend on."""
    found = {"osirix-agent": __version__, "python": sys.version.split()[0]}
    return found | {name: version(name) for name in LOGGED_PACKAGES}
