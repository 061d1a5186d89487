"""Did probabilities keep their word? What was believed first, against what was accepted in the end.

The first belief, since the later ones know the clinician's own marks. Accepted contours are not the truth: where she
left the proposal as it was, she may have been anchored by it.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from osirix_agent.errors import JournalError
from osirix_agent.imaging.mask import mask_from_bytes
from osirix_agent.record.keeping import LIMIT, logit_from_bytes
from osirix_agent.record.sessions import Session
from osirix_agent.record.store import Store
from osirix_agent.record.tables import DecisionRow, rows_of

BINS = 10


def calibration_error(belief: bytes, mask: bytes) -> float | None:
    """Expected calibration error over the voxels that the belief is unsure of: the mean distance, over ten bins of
    probability, between what was said and the share that was accepted (Guo et al. 2017). None: it was sure everywhere.
    """
    logit, accepted = logit_from_bytes(belief), mask_from_bytes(mask)
    unsure = np.abs(logit) < LIMIT
    if not unsure.any():
        return None
    said, came = expit(logit[unsure].astype(float)), accepted[unsure]
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    off = np.bincount(bins, said - came, BINS)
    return float(np.abs(off).sum() / len(said))


def calibration_errors(session: Session) -> list[float]:
    """Of every accepted structure whose first belief is in the store."""
    store, found = Store.beside(session.path), []
    for row in rows_of(session):
        if isinstance(row, DecisionRow) and row.decision == "accepted" and row.mask and row.first_belief:
            try:
                error = calibration_error(store.get(row.first_belief), store.get(row.mask))
            except JournalError:  # the store was not brought along
                continue
            found += [] if error is None else [error]
    return found
