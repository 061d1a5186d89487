import pytest

from osirix_agent.imaging.structure import ascii_name, public_name, structure_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("GTVp", "GTVp"), ("PTV_7000", "PTV_7000"), ("left parotid", "Parotid_L"), ("Parotid_L", "Parotid_L"),
        ("cord", "SpinalCord"), ("ROI 1", None), ("Point 3", None), ("", None), ("GTV é", None), ("G" * 10_000, None),
        ("Unnamed", None),
    ],
)  # fmt: skip
def test_structure_name(text, name):
    assert structure_name(text) == name


def test_public_name_lets_no_free_text_through():
    assert public_name("GTVp", "0123456789abcdef") == "GTVp"
    assert public_name("Parotid_L", "x") == "Parotid_L"
    assert public_name("PTV_70", "x") == "PTV_70"
    hidden = public_name("GTV_Smith", "0123456789abcdef")
    assert hidden == "GTV-01234567"
    assert "mueller" not in public_name("mueller", "0123456789abcdef")


def test_ascii_name():
    assert ascii_name("GTV é\n ü") == "GTV e u"
    assert ascii_name("日本") == "structure"
    assert len(ascii_name("x" * 10_000)) == 64
