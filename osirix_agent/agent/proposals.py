"""Beliefs by request: computed once, kept while recent, recomputed (identically) when undo comes back to them."""

from __future__ import annotations

import time
from collections import ChainMap, OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from osirix_agent.agent.session import ContouringSession
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import OsirixAgentError, PromptError, RemoteError
from osirix_agent.segmenter.believing import foretold
from osirix_agent.segmenter.edited import propose
from osirix_agent.segmenter.protocol import FixedSlice, SegmentationRequest, Segmenter

CACHE_BYTES = 512 * 2**20
SLOW_MS = 500.0  # a segmenter that took longer is not waited for


@dataclass(frozen=True, eq=False)
class Answer:
    """What became of a request: a belief, or why there is none."""

    request: SegmentationRequest
    belief: Belief | None
    error: PromptError | None
    segment_ms: float

    @property
    def found(self) -> Belief | PromptError:
        found = self.belief if self.belief is not None else self.error
        assert found is not None
        return found

    @property
    def nbytes(self) -> int:
        """What it costs to keep."""
        return 0 if self.belief is None else self.belief.nbytes


class Proposals:
    """Keeps `shown`, the belief of each structure, in step with the session; and, while a slow answer is on its way,
    `ahead`, what it is expected to be. `seen` is what the clinician sees: ahead where there is one, else shown.

    Parameters
    ----------
    executor : Executor or None
        None: compute in `update` itself.
    deliver : callable
        Takes an answer from another thread.
    on_answer : callable
        Told of every answer on the session's thread (for the journal).
    on_error : callable
        Told once when a structure's request cannot be answered.
    """

    def __init__(
        self, segmenter: Segmenter, executor: Executor | None, deliver: Callable[[Answer], None],
        on_answer: Callable[[Answer], None], on_error: Callable[[str, PromptError], None],
    ) -> None:  # fmt: skip
        self.shown: dict[str, Belief] = {}
        self.ahead: dict[str, Belief] = {}
        self.seen: Mapping[str, Belief] = ChainMap(self.ahead, self.shown)
        self.in_flight: set[str] = set()
        self.version = 0  # grows whenever `seen` changes
        self._segmenter, self._executor, self._deliver = segmenter, executor, deliver
        self._on_answer, self._on_error = on_answer, on_error
        self._known: OrderedDict[str, Answer] = OrderedDict()
        self._settled: dict[str, str] = {}
        self._foretold: dict[str, str] = {}
        self._seen: tuple[object, int] | None = None

    def update(
        self,
        session: ContouringSession,
        fixed: Callable[[], Mapping[str, tuple[FixedSlice, ...]]],
        *,
        wait: bool = False,
    ) -> None:
        """Bring every structure up to its request; accepted and locked ones stay what they were."""
        state = session.state
        if self._seen == (state, self.version) and not wait:
            return
        for name in [name for name in self.shown if not state.structure(name).is_asked]:
            self._hide(name)
        slices = fixed()
        complete = True
        for structure in state.structures.values():
            kept = structure.final if structure.accepted else structure.frozen
            if kept is not None or structure.is_closed:  # what is accepted or locked is never recomputed
                self._show(structure.name, f"kept {id(kept)}", kept)
                continue
            request = session.request(structure.name, slices)
            if request is not None:
                complete &= self._answer(structure.name, request, wait)
        self._seen = (state, self.version) if complete else None

    def take(self, answer: Answer) -> None:
        """An answer has arrived; it shows only if the session still asks for it (see `update`)."""
        self.in_flight.discard(answer.request.digest)
        self._keep(answer)
        self._seen = None

    @property
    def current(self) -> list[Answer]:
        """The answers that are shown, or say why nothing is."""
        return [self._known[digest] for digest in self._settled.values() if digest in self._known]

    def _answer(self, name: str, request: SegmentationRequest, wait: bool) -> bool:
        known = self._known.get(request.digest)
        if wait and known is not None and known.error is not None and known.error.passing:  # it may be back
            del self._known[request.digest]
        if request.digest not in self._known:
            if self._executor is None or wait:
                self._keep(segment(self._segmenter, request))
            else:
                if not self.in_flight:  # one at a time; what is newest when it ends goes next
                    self.in_flight.add(request.digest)
                    self._executor.submit(segment, self._segmenter, request).add_done_callback(self._done)
                self._foretell(name, request)
                return False
        self._known.move_to_end(request.digest)
        self._show(name, request.digest, self._known[request.digest].found)
        return True

    def _foretell(self, name: str, request: SegmentationRequest) -> None:
        """Where answers are slow, show at once what this one is expected to be."""
        before = self._known.get(self._settled.get(name, ""))
        if self._foretold.get(name) == request.digest or before is None or before.segment_ms < SLOW_MS:
            return
        found = None if before.belief is None else foretold(before.request, before.belief, request)
        self._forget(name)
        self._foretold[name] = request.digest
        if found is not None:
            self.ahead[name] = found
            self.version += 1

    def _forget(self, name: str) -> None:
        self._foretold.pop(name, None)
        if self.ahead.pop(name, None) is not None:
            self.version += 1

    def _done(self, future: Future[Answer]) -> None:
        if not future.cancelled():
            self._deliver(future.result())

    def _keep(self, answer: Answer) -> None:
        needed = {answer.request.digest, *self._settled.values()}  # what is shown would be asked for again at once
        self._known[answer.request.digest] = answer
        held = sum(one.nbytes for one in self._known.values())
        for digest in [digest for digest in self._known if digest not in needed]:
            if held <= CACHE_BYTES:
                break
            held -= self._known.pop(digest).nbytes
        self._on_answer(answer)

    def _show(self, name: str, digest: str, found: Belief | PromptError | None) -> None:
        self._forget(name)
        if self._settled.get(name) == digest and (not isinstance(found, Belief) or self.shown.get(name) is found):
            return
        self._settled[name] = digest
        self.version += 1
        if isinstance(found, Belief):
            self.shown[name] = found
            return
        self.shown.pop(name, None)
        if found is not None:
            self._on_error(name, found)

    def _hide(self, name: str) -> None:
        del self.shown[name]
        self._forget(name)
        self._settled.pop(name, None)
        self.version += 1


def segment(segmenter: Segmenter, request: SegmentationRequest) -> Answer:
    """Ask the segmenter; whatever it raises on purpose becomes the answer."""
    began = time.perf_counter()
    belief, error = None, None
    try:
        belief = propose(segmenter, request)
        _ = belief.crop_logit  # worked out once, here: the session's thread, the page's and the painting all need it
    except PromptError as refusal:
        error = refusal
    except OsirixAgentError as failure:
        error = PromptError(failure.what, failure.cure)
        error.passing = isinstance(failure, RemoteError)
    except Exception as failure:  # a fault of the segmenter must not stop the session: she is told and goes on
        error = PromptError(
            f"The segmenter failed ({type(failure).__name__}).", "Undo the last prompt and try another."
        )
    return Answer(request, belief, error, (time.perf_counter() - began) * 1e3)
