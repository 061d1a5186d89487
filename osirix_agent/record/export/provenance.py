"""Who made an object: the product, the segmenter with the digest of its weights, and that a clinician decided."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from osirix_agent import __version__
from osirix_agent.record.export.structures import SOFTWARE, AcceptedStructure

NOTICE = "Research software, not a medical device; to be reviewed before use."
AI = ("123110", "DCM", "Artificial Intelligence")  # of CID 7162, as is
NEIGHBOURHOOD = ("123101", "DCM", "Neighborhood Analysis")


def new_uid() -> str:
    """A UID that nobody else has (PS3.5 B.2: 2.25 and a random UUID)."""
    return str(generate_uid(prefix=None))


def line(text: str, longest: int = 64) -> str:
    """One line that DICOM's short strings can hold."""
    return " ".join(text.replace("\\", "/").split())[:longest].strip()


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def versions(made_by: Iterable[str]) -> list[str]:
    """Of the product and of what segmented."""
    return [f"{SOFTWARE} {__version__}", *dict.fromkeys(line(text) for text in made_by if text)]


def equipment(item: Dataset, made_by: Iterable[str]) -> None:
    """The General Equipment module, or the same attributes of a contributing equipment."""
    item.Manufacturer = SOFTWARE
    item.ManufacturerModelName = SOFTWARE
    item.SoftwareVersions = versions(made_by)


def contribution(made_by: Iterable[str], now: datetime) -> Dataset:
    """An item of the Contributing Equipment Sequence, for an object that others began."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = Sequence([code("109102", "DCM", "Processing Equipment")])
    equipment(item, made_by)
    item.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    item.ContributionDescription = f"Structures were added. {NOTICE}"
    return item


def parameters(structure: AcceptedStructure) -> str:
    """What else a structure depends on, in words."""
    mask = "" if structure.belief is None else f"mask sha256 {structure.belief.mask_digest}; "
    return f"segmenter {structure.made_by or 'clinician'}; {mask}probabilities {structure.calibration}"


def family(structure: AcceptedStructure) -> tuple[str, str, str]:
    return NEIGHBOURHOOD if "classical" in structure.made_by else AI


def algorithm(structure: AcceptedStructure) -> Dataset:
    """The Algorithm Identification macro (PS3.3 10.16)."""
    item = Dataset()
    item.AlgorithmFamilyCodeSequence = Sequence([code(*family(structure))])
    item.AlgorithmName = line(structure.made_by or SOFTWARE)
    item.AlgorithmVersion = line(f"{SOFTWARE} {structure.version}")
    item.AlgorithmParameters = parameters(structure)
    item.AlgorithmSource = SOFTWARE
    return item
