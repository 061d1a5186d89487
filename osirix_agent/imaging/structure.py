"""Names of structures: what a clinician's ROI name addresses, after AAPM TG-263 (Mayo et al. 2018).

A name makes a structure when it is a target (GTV, CTV, ITV, PTV and their variants), a known organ, or one that
the session already has. Anything else (`ROI 1`, `Point 3`, a remark) addresses the active structure.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from osirix_agent.imaging.anatomy import ORGANS, spellings
from osirix_agent.settings import MAX_NAME_LENGTH

_TARGET = re.compile(r"^(?P<base>[iI]?(?:GTV|CTV|ITV|PTV|gtv|ctv|itv|ptv))(?P<rest>[A-Za-z0-9_+~^.\-]*)$")
# what may follow the base without being able to carry a person's name: type, index, modality, dose, side
_TARGET_REST = re.compile(
    r"^(?:p|n|sb|par|v|vas|h|l|m|r)?\d{0,2}(?:_(?:CT|MR|PET|PT|T1|T2|L|R|mass|edema|High|Mid|Low|Boost))?(?:[_]?\d{2,5})?$",
    re.IGNORECASE,
)

_BY_KEY = {re.sub(r"[^a-z0-9]", "", spelling.lower()): name for spelling, name in spellings().items()}


def structure_name(text: str) -> str | None:
    """The structure a name addresses, or None when it is no structure's name.

    Targets keep the clinician's own spelling; organs come back in TG-263 spelling.
    """
    name = text.strip()
    if not name or len(name) > MAX_NAME_LENGTH or not name.isascii():
        return None
    if _TARGET.match(name):
        return name
    return _BY_KEY.get(re.sub(r"[^a-z0-9]", "", name.lower()))


def is_target(name: str) -> bool:
    """Is it a target (GTV, CTV, ITV, PTV and their variants)?"""
    return _TARGET.match(name) is not None


def public_name(name: str, pseudonym: str) -> str:
    """A name that may be written to a log.

    A TG-263 organ or a target made of known parts stays as it is; of anything else only the target's base
    survives, with a keyed pseudonym in place of the rest (`GTV_Smith` becomes `GTV-3fa2c1d0`).
    """
    if name in ORGANS:
        return name
    match = _TARGET.match(name)
    if match and _TARGET_REST.match(match["rest"]):
        return name
    return f"{match['base'] if match else 'structure'}-{pseudonym[:8]}"


def ascii_name(text: str, fallback: str = "structure") -> str:
    """An OsiriX-safe name: ASCII (the server reads UTF-8 as MacRoman), one line, at most 64 characters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = " ".join(plain.split())[:MAX_NAME_LENGTH].strip()
    return plain or fallback


def interpreted_type(name: str) -> str:
    """RT ROI Interpreted Type (DICOM PS3.3 C.8.8.8.1); "" where the name does not tell.

    An ITV is a CTV with a margin for motion; DICOM has no word of its own for it.
    """
    if match := _TARGET.match(name):
        base = match["base"].upper()[-3:]
        return "CTV" if base == "ITV" else base
    if name == "Body":
        return "EXTERNAL"
    return "ORGAN" if name in ORGANS else ""


def kind_of(name: str) -> Literal["organ", "target", "lesion"]:
    """What sort of structure a name is: a visible tumour (GTV), a volume with margin (CTV, ITV, PTV), or an organ."""
    match = _TARGET.match(name.strip())
    if match is None:
        return "organ"
    return "lesion" if match["base"].upper().endswith("GTV") else "target"
