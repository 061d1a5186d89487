"""Organs by their TG-263 names (Mayo et al. 2018), each with what clinicians call it in speech and in ROI names.

Words are lower case and without the side; a paired organ's name takes `_L` or `_R`.
"""

from __future__ import annotations

SINGLE: dict[str, tuple[str, ...]] = {
    "A_Aorta": ("aorta",),
    "A_Pulmonary": ("pulmonary artery",),
    "Bag_Bowel": ("bowel bag",),
    "Bladder": ("bladder", "urinary bladder"),
    "Body": ("body", "external", "skin contour", "body contour", "body outline", "patient outline"),
    "Bone_Mandible": ("mandible", "bone mandible", "lower jaw", "jaw", "jaw bone", "jawbone", "mandibula"),
    "Bowel": ("bowel", "bowels"),
    "Bowel_Large": ("large bowel", "large intestine"),
    "Bowel_Small": ("small bowel", "small intestine"),
    "Brain": ("brain", "whole brain"),
    "Brainstem": ("brainstem", "brain stem", "pons and medulla", "truncus encephali"),
    "Canal_Anal": ("anal canal",),
    "Carina": ("carina",),
    "CaudaEquina": ("cauda equina",),
    "Cavity_Oral": ("oral cavity", "mouth"),
    "Cerebellum": ("cerebellum",),
    "Colon_Sigmoid": ("sigmoid", "sigmoid colon"),
    "Duodenum": ("duodenum",),
    "Esophagus": ("oesophagus", "esophagus", "gullet", "cervical oesophagus", "cervical esophagus"),
    "Gallbladder": ("gallbladder", "gall bladder"),
    "Glnd_Thyroid": ("thyroid", "thyroid gland"),
    "Heart": ("heart",),
    "Larynx": ("larynx", "voice box", "supraglottic larynx"),
    "Lips": ("lips",),
    "Liver": ("liver",),
    "Musc_Constrict": ("constrictor", "constrictors", "constrictor muscle", "constrictor muscles",
                       "pharyngeal constrictor", "pharyngeal constrictors"),
    "OpticChiasm": ("chiasm", "optic chiasm", "chiasma"),
    "Pancreas": ("pancreas",),
    "PenileBulb": ("penile bulb", "bulb of penis", "bulb of the penis"),
    "Pericardium": ("pericardium",),
    "Pharynx": ("pharynx",),
    "Pituitary": ("pituitary", "pituitary gland"),
    "Prostate": ("prostate", "prostate gland"),
    "Rectum": ("rectum",),
    "Sacrum": ("sacrum",),
    "SeminalVes": ("seminal vesicles", "seminal vesicle"),
    "SpinalCanal": ("spinal canal", "vertebral canal"),
    "SpinalCord": ("cord", "spinal cord", "spine cord", "myelon", "medulla spinalis"),
    "Spleen": ("spleen",),
    "Stomach": ("stomach",),
    "Tongue": ("tongue",),
    "Tongue_Base": ("tongue base", "base of tongue", "base of the tongue"),
    "Trachea": ("trachea", "windpipe"),
    "Urethra": ("urethra",),
    "Uterus": ("uterus", "womb"),
    "V_Venacava_I": ("inferior vena cava", "ivc"),
    "V_Venacava_S": ("superior vena cava", "svc"),
    "Vagina": ("vagina",),
}  # fmt: skip

PAIRED: dict[str, tuple[str, ...]] = {
    "A_Carotid": ("carotid", "carotid artery"),
    "BrachialPlex": ("brachial plexus", "plexus"),
    "Breast": ("breast",),
    "Cochlea": ("cochlea", "inner ear"),
    "Eye": ("eye", "eyeball", "globe"),
    "Femur": ("femur",),
    "Femur_Head": ("femoral head", "femur head", "head of femur", "hip"),
    "Glnd_Adrenal": ("adrenal", "adrenal gland"),
    "Glnd_Lacrimal": ("lacrimal gland", "lachrymal gland"),
    "Glnd_Submand": ("submandibular", "submandibular gland", "submand"),
    "Hippocampus": ("hippocampus",),
    "Humerus_Head": ("humeral head", "humerus head", "head of humerus"),
    "Joint_TM": ("temporomandibular joint", "tm joint", "tmj"),
    "Kidney": ("kidney",),
    "Lens": ("lens",),
    "Lobe_Frontal": ("frontal lobe",),
    "Lobe_Occipital": ("occipital lobe",),
    "Lobe_Parietal": ("parietal lobe",),
    "Lobe_Temporal": ("temporal lobe",),
    "Lung": ("lung",),
    "Musc_Masseter": ("masseter", "masseter muscle"),
    "OpticNrv": ("optic nerve",),
    "Ovary": ("ovary",),
    "Parotid": ("parotid", "parotid gland", "parotis", "glnd parotid"),
    "Testis": ("testis", "testicle"),
    "Ureter": ("ureter",),
    "V_Jugular": ("jugular", "jugular vein"),
}

# spoken plurals: both sides are meant
PLURALS: dict[str, tuple[str, ...]] = {
    "Breast": ("breasts",),
    "Cochlea": ("cochleas", "cochleae"),
    "Eye": ("eyes",),
    "Femur_Head": ("femoral heads", "hips"),
    "Glnd_Submand": ("submandibulars", "submandibular glands"),
    "Hippocampus": ("hippocampi",),
    "Kidney": ("kidneys",),
    "Lens": ("lenses",),
    "Lobe_Temporal": ("temporal lobes",),
    "Lung": ("lungs",),
    "OpticNrv": ("optic nerves",),
    "Ovary": ("ovaries",),
    "Parotid": ("parotids", "parotid glands"),
    "Testis": ("testes", "testicles"),
}

NECK_LEVELS = ("IA", "IB", "II", "IIA", "IIB", "III", "IV", "V", "VA", "VB", "VI", "VII")
SIDES = {"left": "L", "right": "R"}

ORGANS: tuple[str, ...] = (
    *SINGLE,
    *(f"{base}_{side}" for base in PAIRED for side in SIDES.values()),
    *(f"LN_Neck_{level}_{side}" for level in NECK_LEVELS for side in SIDES.values()),
)


def spellings() -> dict[str, str]:
    """Every one-line spelling of an organ (side before or after) to its TG-263 name."""
    found = {name: name for name in ORGANS}
    found |= {form: name for name, forms in SINGLE.items() for form in forms}
    for base, forms in PAIRED.items():
        for form in forms:
            for word, side in SIDES.items():
                found |= {f"{word} {form}": f"{base}_{side}", f"{form} {word}": f"{base}_{side}"}
    return found
