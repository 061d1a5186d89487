"""Session happenings as journal events, pseudonymised on the way."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Literal

from osirix_agent import __version__
from osirix_agent.agent.marks import Marks
from osirix_agent.agent.outline import RingsLps
from osirix_agent.agent.state import PromptRecord, StructureState
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.canonical import canonical, screened
from osirix_agent.prompting.gaze.place import Place
from osirix_agent.prompting.intent import Intent
from osirix_agent.prompting.prompt import MaskPrompt, PointLps, Prompt, ShapePrompt, prompt_points_lps
from osirix_agent.record import events
from osirix_agent.record.journal import Journal
from osirix_agent.record.keeping import Keeper
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.settings import Settings
from osirix_agent.viewer.protocol import SeriesIdentity
from osirix_agent.viewer.roi import RoiSpec

LOGGED_PACKAGES = ("numpy", "scipy", "scikit-image", "grpcio", "protobuf", "osirixgrpc")
LOGGED_SETTINGS = ("isoline_levels", "half_pixel_px", "remove_prompts_on_accept", "segmenter", "study_blind",
                   "study_arms")  # fmt: skip


class SessionLog(Marks):
    """Writes one session's events.

    Parameters
    ----------
    journal : Journal
    pseudonyms : Pseudonyms
    wall, monotonic : callables returning seconds
    before : sequence of Event
        Of the session so far, when it is continued.
    keeper : Keeper or None
        Where masks and beliefs go; None: only their digests are written down.
    keep_words : bool
        Write down what was said, as far as the grammar knows the words (a study's setting).

    Attributes
    ----------
    geometry : Geometry or None
        Of the image: prompts get their voxels by it.
    began_with : SessionStarted or None
    revealed : dict of structure, as it stands in the journal, to its study's arm
    """

    def __init__(
        self, journal: Journal, pseudonyms: Pseudonyms, wall: Callable[[], float], monotonic: Callable[[], float],
        before: Sequence[events.Event] = (), *, keeper: Keeper | None = None, keep_words: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(pseudonyms)
        self._journal = journal
        self._wall, self._monotonic = wall, monotonic
        self._keeper, self._keep_words = keeper, keep_words
        self._began = monotonic() - (before[-1].elapsed_s if before else 0.0)
        self._muted = False
        self._modality: events.Modality = "mouse"
        self._shift_s = 0.0
        self._slice: tuple[int, float] | None = None  # displayed, and since when
        self._level_width: tuple[float, float] | None = None
        self._believed: dict[str, events.BeliefSummary] = {}
        self._first_prompt_s: dict[str, float] = {}
        self._added_path_mm: dict[str, float] = {}
        self.geometry: Geometry | None = None
        self.began_with: events.SessionStarted | None = None
        self.revealed: dict[str, events.Arm | None] = {}
        for event in before:
            self._count(event)

    @contextmanager
    def muted(self) -> Iterator[None]:
        """What happens meanwhile stands in the journal already."""
        self._muted = True
        try:
            yield
        finally:
            self._muted = False

    @contextmanager
    def by(self, modality: events.Modality) -> Iterator[None]:
        """How what happens meanwhile was asked for."""
        before, self._modality = self._modality, modality
        try:
            yield
        finally:
            self._modality = before

    def looking_at(self, k: int, level_width: tuple[float, float] | None = None) -> None:
        """This slice is displayed, in this grey window as far as it is known."""
        self._level_width = level_width
        if self._slice is None or self._slice[0] != k:
            self._slice = k, self._monotonic()

    def started(
        self, run: str, identity: SeriesIdentity, volume: Volume, segmenter: str, settings: Settings,
        nth: int | None = None,
    ) -> None:  # fmt: skip
        of, (along_k, along_j, along_i) = self._pseudonyms.of, volume.geometry.axes_lps
        self._write(
            events.SessionStarted,
            run=run, patient=of(identity.patient_id), study=of(identity.study_uid), series=of(identity.series_uid),
            slices=tuple(of(uid) for uid in identity.sop_uids), modality=identity.modality,
            volume_digest=volume.digest, shape_kji=volume.geometry.shape_kji,
            spacing_kji_mm=volume.geometry.spacing_kji_mm, segmenter=segmenter, versions=versions(),
            device=f"{platform.system()} {platform.machine()}",
            settings=settings.model_dump(mode="json", include=set(LOGGED_SETTINGS)) | _committed(settings),
            frame=events.Frame(origin_lps=volume.geometry.origin_lps, axes_lps=(along_k, along_j, along_i)),
            clinician=of(f"clinician {settings.clinician or _login()}"), nth=nth,
        )  # fmt: skip

    def baseline(self, rois: Iterable[RoiSpec]) -> None:
        self._write(events.Baseline, rois=tuple(self.mark(roi) for roi in rois))

    def resumed(self, after: Literal["viewer", "agent"]) -> None:
        self._write(events.Resumed, after=after, missing=self._journal.missing if after == "agent" else 0)

    def prompt(
        self, change: Literal["added", "changed", "removed", "let_go"], record: PromptRecord, structure: str,
        displayed_k: int,
    ) -> None:  # fmt: skip
        self._write(
            events.PromptChanged, change=change, number=record.number, structure=self.name(structure),
            prompt=record.prompt, viewer=record.viewer, displayed_k=displayed_k,
            roi=None if record.roi is None else self.mark(record.roi), permanent=record.permanent,
            modality="typed" if self._modality == "mouse" and record.prompt.kind == "text" else self._modality,
            points_kji=self._voxels(record.prompt), dwell_s=self._dwell_s(displayed_k),
            level_width=self._level_width,
        )  # fmt: skip

    def refused(self, kind: str, reason: str) -> None:
        self._write(events.PromptRefused, kind=kind, reason=reason)

    def edited(
        self, structure: str, k: int, rings: tuple[tuple[PointLps, ...], ...], rois: Iterable[tuple[int, RoiSpec]],
        *, joined: bool, added_path_mm: float | None = None,
    ) -> None:  # fmt: skip
        fixed = events.FixedRings(k=k, rings_lps=rings)
        marks = tuple((n, self.mark(roi)) for n, roi in rois)
        self._write(
            events.SliceEdited, structure=self.name(structure), fixed=fixed, rois=marks, joined=joined,
            added_path_mm=added_path_mm,
        )  # fmt: skip

    def command(self, verb: str, structure: str | None) -> None:
        named = None if structure is None else self.name(structure)
        self._write(events.CommandGiven, verb=verb, structure=named, modality=self._modality)

    def said(self, intents: Iterable[Intent], heard: float, text: str) -> None:
        """A sentence that was understood; the text itself goes no further unless a study keeps it, screened."""
        self._write(
            events.Said, phrase=canonical(intents, self.name), heard=heard, modality=self._modality,
            text=screened(text) if self._keep_words else None,
        )  # fmt: skip

    def decided(
        self, decision: Literal["accepted", "rejected"], structure: StructureState, seen: Belief | None
    ) -> None:
        """A structure as it was accepted or rejected; `seen`: as the clinician saw it, on disk before this returns."""
        name, mask = self.name(structure.name), None
        self.settle()
        if seen is not None and self._keeper is not None and not self._muted:
            mask = self._keeper.store.put(seen.mask_bytes)
        first = self._first_prompt_s.get(name)
        self._write(
            events.Decided, structure=name, decision=decision, mask=mask, prompts=len(structure.prompts),
            edited_slices=len(structure.edits), added_path_mm=self._added_path_mm.get(name, 0.0),
            since_first_prompt_s=None if first is None else self._elapsed_s() - first,
        )  # fmt: skip

    def reveals(self, structure: str, arm: events.Arm | None, *, blind: bool) -> None:
        self._write(events.Revealed, structure=self.name(structure), arm=arm, blind=blind)

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
        if belief is not None and self._keeper is not None and not self._muted:
            self._keeper.keep(self.name(request.structure), request.digest, belief, request.volume.geometry)

    def painted(self, writes: int, slices: int, plan_ms: float, paint_ms: float, total_ms: float | None) -> None:
        self._write(
            events.Painted, writes=writes, slices=slices, plan_ms=plan_ms, paint_ms=paint_ms,
            click_to_redraw_ms=total_ms,
        )  # fmt: skip

    def dwelt(self, k: int, seconds: float) -> None:
        self._write(events.SliceDwelt, k=k, seconds=round(seconds, 3))

    def looked_at(self, place: Place) -> None:
        self._write(
            events.PlaceLookedAt, position_lps=place.position_lps, position_kji=place.position_kji, axis=place.axis,
            sd_mm=round(place.sd_mm, 3), sharp_mm=round(place.sharp_mm, 3), seconds=round(place.seconds, 3),
        )  # fmt: skip

    def ended(self, reason: str, accepted: tuple[str, ...]) -> None:
        self.settle()
        self._write(events.SessionEnded, reason=reason, accepted=tuple(self.name(name) for name in accepted))

    def settle(self, *, wait: bool = True) -> None:
        """Begin to put into the store what waits for it, and write down what is there; `wait`: all of it.

        Raises
        ------
        JournalError
            The disk is full.
        """
        if self._keeper is not None:
            self._keeper.begin()
        self._tell_kept(wait=wait)

    def _tell_kept(self, *, wait: bool = False) -> None:
        for kept in () if self._keeper is None else self._keeper.done(wait=wait):
            self._append(
                events.Believed, structure=kept.structure, request_digest=kept.request,
                before=self._believed.get(kept.structure), after=kept.summary, mask=kept.mask, belief=kept.belief,
            )  # fmt: skip

    def close(self) -> None:
        self._journal.close()

    def discard(self) -> None:
        """Close it and take the journal away: nothing of hers is in it."""
        self._journal.discard()

    def _voxels(self, prompt: Prompt) -> tuple[events.PointKji, ...]:
        points = () if isinstance(prompt, MaskPrompt | ShapePrompt) else prompt_points_lps(prompt)
        if self.geometry is None or not points:
            return ()
        return tuple((float(k), float(j), float(i)) for k, j, i in self.geometry.to_kji(points).round(3))

    def _dwell_s(self, k: int) -> float | None:
        if self._slice is None or self._slice[0] != k:
            return None
        return self._monotonic() - self._slice[1]

    def _elapsed_s(self) -> float:
        return self._monotonic() - self._began

    def _write(self, event: type, /, **fields: Any) -> None:
        if self._muted:
            return
        self._tell_kept()
        self._append(event, **fields)

    def _append(self, event: type, /, **fields: Any) -> None:
        if event is events.SessionStarted:
            self._shift_s = self._pseudonyms.shift_s(fields["patient"])
        made = event(at=self._wall() - self._shift_s, elapsed_s=self._elapsed_s(), **fields)
        self._journal.append(made)
        self._count(made)

    def _count(self, event: events.Event) -> None:
        """What later events say of earlier ones."""
        match event:
            case events.SessionStarted():
                self._shift_s = self._pseudonyms.shift_s(event.patient)
                self.began_with = event
            case events.Revealed():
                self.revealed[event.structure] = event.arm
            case events.PromptChanged():
                self._first_prompt_s.setdefault(event.structure, event.elapsed_s)
            case events.SliceEdited():
                self._first_prompt_s.setdefault(event.structure, event.elapsed_s)
                added = self._added_path_mm.get(event.structure, 0.0)
                self._added_path_mm[event.structure] = added + (event.added_path_mm or 0.0)
            case events.Believed():
                self._believed[event.structure] = event.after
            case events.Decided():
                self._first_prompt_s.pop(event.structure, None)
                self._added_path_mm.pop(event.structure, None)
                self._believed.pop(event.structure, None)


def _committed(settings: Settings) -> dict[str, str]:
    """That the lots were drawn by one seed, without telling which."""
    seed = settings.study_seed
    return {} if seed is None else {"study_seed_sha256": hashlib.sha256(f"study seed {seed}".encode()).hexdigest()}


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return str(os.getuid())


def versions() -> dict[str, str]:
    """Versions that a result may depend on."""
    found = {"osirix-agent": __version__, "python": sys.version.split()[0]}
    return found | {name: version(name) for name in LOGGED_PACKAGES}
