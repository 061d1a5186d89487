"""How clinicians name what they want: synonyms, sides, abbreviations, and what dictation makes of them."""

from __future__ import annotations

import numpy as np

# {s} is the side; TG-263 spellings are opened up as `Phrase.read` does
ORGANS: dict[str, tuple[str, ...]] = {
    "Brainstem": ("brainstem", "brain stem", "the brainstem", "pons and medulla", "truncus encephali"),
    "SpinalCord": ("spinal cord", "cord", "the cord", "myelon", "spine cord", "medulla spinalis"),
    "Esophagus": ("esophagus", "oesophagus", "gullet", "cervical oesophagus", "the esophagus"),
    "Larynx": ("larynx", "voice box", "the larynx", "laryngeal structures", "supraglottic larynx"),
    "Mandible": ("mandible", "bone mandible", "lower jaw", "jaw bone", "the mandible", "mandibula"),
    "LeftParotid": ("{s} parotid", "{s} parotid gland", "parotid {s}", "parotid gland {s}", "parotid on the {s}",
                    "glnd parotid {s}", "{s} parotis"),
}  # fmt: skip
ORGANS["RightParotid"] = ORGANS["LeftParotid"]
TG263 = {"LeftParotid": "Parotid_L", "RightParotid": "Parotid_R", "Mandible": "Bone_Mandible"}
BOTH = {("LeftParotid", "RightParotid"): ("both parotids", "bilateral parotid glands", "parotids", "parotid glands")}
SIDES = {"Left": ("left", "left", "left", "lt", "l"), "Right": ("right", "right", "right", "rt", "r")}
ELSEWHERE = (
    "liver", "left kidney", "right kidney", "spleen", "stomach", "pancreas", "prostate", "bladder", "rectum", "uterus",
    "left femoral head", "right femoral head", "gallbladder", "left adrenal", "small bowel", "sigmoid colon", "sacrum",
)  # fmt: skip
LESIONS = ("lesion", "mass", "nodule", "bright lesion", "the mass", "abnormality", "suspicious lesion")
TARGETS: dict[str, tuple[str, ...]] = {
    "PTV70": ("ptv70", "ptv 70", "high dose ptv", "planning target volume 70", "primary ptv", "ptv high"),
    "PTV63": ("ptv63", "ptv 63", "intermediate dose ptv", "planning target volume 63", "ptv mid"),
    "PTV56": ("ptv56", "ptv 56", "low dose ptv", "planning target volume 56", "elective ptv", "ptv low"),
    "GTV": ("gtv", "gross tumour volume", "gross tumor volume", "tumour", "tumor", "sarcoma", "the tumour",
            "gtv primary", "gtv mass", "soft tissue sarcoma"),
}  # fmt: skip
_FRAMES = (
    "{}",
    "{}",
    "{}",
    "{}",
    "{}",
    "contour the {}",
    "segment {}",
    "please draw the {}",
    "outline {}",
    "now the {}",
)
# what every other sentence may need a token for
VOCABULARY = (
    "exclude include add remove trachea lung heart aorta brain eye lens optic nerve chiasm cochlea submandibular oral "
    "cavity thyroid lips constrictor muscle breast femur head neck chest abdomen pelvis thigh leg arm knee shoulder "
    "superior inferior anterior posterior medial lateral upper lower above below level node lymph primary nodal gross "
    "clinical planning target volume tumor tumour oedema edema necrosis cyst bone soft tissue ct mr pet scan image "
    "millimetre millimeter centimetre slice here this that one two three four five six seven eight nine ten is there "
    "with without not no and or of in on at to from between near around behind beside under over stage grade "
)


def spoken(structure: str, random: np.random.Generator) -> str:
    """One way to ask for a structure; sometimes misspelt. One that is not in the tables above goes by its name."""
    side = "Left" if structure.startswith("Left") else "Right" if structure.startswith("Right") else ""
    forms = ORGANS.get(structure) or TARGETS.get(structure) or (structure,)
    phrase = forms[random.integers(len(forms))]
    if side:
        phrase = phrase.format(s=SIDES[side][random.integers(len(SIDES[side]))])
    return misheard(framed(phrase, random), random)


def framed(phrase: str, random: np.random.Generator) -> str:
    return _FRAMES[random.integers(len(_FRAMES))].format(phrase)


def misheard(phrase: str, random: np.random.Generator) -> str:
    """A letter lost, doubled or swapped, in one phrase of twelve; never in a word that says the side."""
    if random.random() > 1 / 12:
        return phrase
    words = phrase.split()
    long = [n for n, word in enumerate(words) if len(word) > 5]
    if not long:
        return phrase
    n = long[random.integers(len(long))]
    at = int(random.integers(1, len(words[n]) - 1))
    word = words[n]
    words[n] = (
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
    )[random.integers(3)]
    return " ".join(words)


def every_word() -> list[str]:
    """All text that the pruned vocabulary must spell without falling apart."""
    tables = [*ORGANS.values(), *TARGETS.values(), *BOTH.values(), *SIDES.values(), ELSEWHERE, LESIONS, _FRAMES]
    return [phrase.replace("{s}", "").replace("{}", "") for forms in tables for phrase in forms] + [VOCABULARY]
