"""What structures and ROIs are called in a journal."""

from __future__ import annotations

from osirix_agent.imaging.structure import public_name
from osirix_agent.record.events import RoiMark
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.viewer.roi import RoiSpec


class Marks:
    """Names and marks under a site's key."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms

    def name(self, structure: str) -> str:
        """The structure's name as it stands in the journal."""
        return public_name(structure, self._pseudonyms.of(structure))

    def mark(self, roi: RoiSpec) -> RoiMark:
        """By what the ROI is known again."""
        return RoiMark(k=roi.k, itype=roi.itype, shape=roi.shape_digest, name=self._pseudonyms.of(roi.name))
