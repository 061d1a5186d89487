"""A sentence becomes typed intents, or a question."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osirix_agent.prompting.command import MAX_SENTENCE, understand
from osirix_agent.prompting.grammar import COMMANDS, Command, parse_command
from osirix_agent.prompting.intent import (
    KINDS,
    Contour,
    Copy,
    Crop,
    Edit,
    Fill,
    Go,
    Here,
    Part,
    Rename,
    Reply,
    Slab,
    from_json,
)
from osirix_agent.prompting.prompt import Polarity
from osirix_agent.prompting.words import number_at

IN, OUT = Polarity.INCLUDE, Polarity.EXCLUDE
KNOWN = {"GTV", "GTVp", "Parotid_L", "node 3"}


@pytest.mark.parametrize(
    ("sentence", "intents"),
    [
        (
            "two millimetres superiorly, undo, accept",
            [Edit("grow", 2, ("superior",)), Command("undo"), Command("accept")],
        ),
        (
            "two millimeters superiorly undo accept",
            [Edit("grow", 2, ("superior",)), Command("undo"), Command("accept")],
        ),
        ("left parotid", [Contour("Parotid_L")]),
        ("GTV primary", [Contour("GTVp")]),
        ("level two node on the right", [Contour("LN_Neck_II_R")]),
        ("not the trachea", [Part(OUT, "Trachea")]),
        ("subtract the cord from the PTV seventy", [Part(OUT, "SpinalCord", "PTV_70")]),
        ("exclude everything above slice forty", [Slab("exclude", "above", 40)]),
        ("nothing below this slice", [Slab("exclude", "below")]),
        ("this is not tumour", [Here(OUT)]),
        ("include here", [Here(IN)]),
        ("grow by two, no, three millimetres", [Edit("grow", 3)]),
        ("um, make it half a centimeter smaller all round, please", [Edit("shrink", 5)]),
        ("shrink by 2 mm left and 3 mm posteriorly", [Edit("shrink", 2, ("left",)), Edit("shrink", 3, ("posterior",))]),
        ("shift it a couple of mm medially", [Edit("shift", 2, ("medial",))]),
        ("smooth the GTV by two point five millimetres", [Edit("smooth", 2.5, (), "GTV")]),
        ("take two millimetres off the top", [Edit("shrink", 2, ("superior",))]),
        ("crop the GTV to the body", [Crop("Body", "GTV")]),
        ("fill between the slices", [Fill()]),
        ("copy this contour to the next slice", [Copy("next")]),
        ("go to slice one hundred and four", [Go(104)]),
        ("slice 40, no, 50", [Go(50)]),
        ("undo three times", [Command("undo", None, 3)]),
        ("undo, no, redo", [Command("redo")]),
        ("left, no, right parotid", [Contour("Parotid_R")]),
        ("left parotid, sorry, right", [Contour("Parotid_R")]),
        ("lock the cord and the brainstem", [Command("lock", "SpinalCord"), Command("lock", "Brainstem")]),
        (
            "exclude the cord, the trachea and the oesophagus",
            [Part(OUT, n) for n in ("SpinalCord", "Trachea", "Esophagus")],
        ),
        ("lock node 3", [Command("lock", "node 3")]),
        ("rename GTV to boost volume", [Rename("boost volume", "GTV")]),
        ("new structure called node 4", [Command("new", "node 4")]),
        ("where should I look?", [Command("next")]),
        ("turn off the isolines", [Command("hide")]),
        ("yes please", [Reply(True)]),
        ("scratch that", [Reply(False)]),
        ("push the superior border up by three millimetres", [Edit("grow", 3, ("superior",))]),
        ("pull the top edge down by 2 mm", [Edit("shrink", 2, ("superior",))]),
        ("exclude everything above forty", [Slab("exclude", "above", 40)]),
        ("remove everything outside the body", [Crop("Body")]),
        ("keep the cord as it is", [Command("lock", "SpinalCord")]),
        ("copy it down one", [Copy("below")]),
        ("copy down one slice", [Copy("below")]),
        ("right, accept the GTV", [Command("accept", "GTV")]),
        ("looks good, accept it", [Command("accept")]),
        ("that is a vessel, leave it out", [Here(OUT)]),
        ("I'd like the GTV expanded by 3 mm", [Edit("grow", 3, (), "GTV")]),
        ("the GTV needs to be 2 mm bigger at the back", [Edit("grow", 2, ("posterior",), "GTV")]),
        ("would you mind growing it by 3 mm", [Edit("grow", 3)]),
        ("raise the bottom by 5 mm", [Edit("shrink", 5, ("inferior",))]),
        ("shift it left by 3 mm, then up by 2 mm", [Edit("shift", 3, ("left",)), Edit("shift", 2, ("superior",))]),
        ("remove 2 mm from the GTVp at the back", [Edit("shrink", 2, ("posterior",), "GTVp")]),
        ("GTV without the trachea", [Part(OUT, "Trachea", "GTV")]),
        ("the trachea is not part of the GTV", [Part(OUT, "Trachea", "GTV")]),
        ("the trachea and the larynx are not part of the GTV", [Part(OUT, n, "GTV") for n in ("Trachea", "Larynx")]),
        ("keep the cord out of the PTV", [Part(OUT, "SpinalCord", "PTV")]),
        ("the PTV must not leave the body", [Crop("Body", "PTV")]),
        (
            "exclude everything above slice 60 and below slice 20",
            [Slab("exclude", "above", 60), Slab("exclude", "below", 20)],
        ),
        ("nothing should change the cord", [Command("lock", "SpinalCord")]),
        ("open it back up", [Command("reopen")]),
        ("take me to the slice that you trust least", [Command("next")]),
        ("unlock my edited slices", [Command("release")]),
        ("new structure called ring?", [Command("new", "ring")]),
        ("right and left submandibular glands", [Contour("Glnd_Submand_R"), Contour("Glnd_Submand_L")]),
        ("contour the left parotid, then the right one", [Contour("Parotid_L"), Contour("Parotid_R")]),
        ("let's see, keep only what is above slice 48", [Slab("keep", "above", 48)]),
        (
            "take off 3 mm superiorly and 2 mm inferiorly",
            [Edit("shrink", 3, ("superior",)), Edit("shrink", 2, ("inferior",))],
        ),
        ("enlarge by 4 mm both cranially and caudally", [Edit("grow", 4, ("superior", "inferior"))]),
        ("um, enlarge the, er, GTVp by uh three millimetres", [Edit("grow", 3, (), "GTVp")]),
        ("lift it three millimetres cranially", [Edit("shift", 3, ("superior",))]),
        ("take this in as well", [Here(IN)]),
        ("where are we, status please", [Command("status")]),
        ("the GTVp should not extend beyond the right lung, crop it to the right lung", [Crop("Lung_R", "GTVp")]),
        ("the larynx oughtn't to be in this, leave it out", [Part(OUT, "Larynx")]),
        ("can I get the thyroid", [Contour("Glnd_Thyroid")]),
        (
            "I want both the mandible and the oral cavity excluded",
            [Part(OUT, n) for n in ("Bone_Mandible", "Cavity_Oral")],
        ),
        ("put the uncertainty up", [Command("show")]),
        ("crop the GTV to the body and crop this to the body", [Crop("Body", "GTV"), Crop("Body")]),
        ("I'd like levels two and three on the right", [Contour("LN_Neck_II_R"), Contour("LN_Neck_III_R")]),
        ("contour left neck levels two to four", [Contour(f"LN_Neck_{n}_L") for n in ("II", "III", "IV")]),
        ("front edge in 2 mm", [Edit("shrink", 2, ("anterior",))]),
        (
            "expand the GTV by 1 cm superiorly and inferiorly and 5 mm laterally",
            [Edit("grow", 10, ("superior", "inferior"), "GTV"), Edit("grow", 5, ("lateral",), "GTV")],
        ),
        ("grow by 3 mm superiorly, no, 5 mm inferiorly", [Edit("grow", 5, ("inferior",))]),
        ("take 2 mm off the top, no, 3 mm off the bottom", [Edit("shrink", 3, ("inferior",))]),
        ("tighten the left up by 2 mm", [Edit("shrink", 2, ("left",))]),
        ("undo undo undo", [Command("undo"), Command("undo"), Command("undo")]),
        ("rename GTV to GTVn, then accept it", [Rename("GTVn", "GTV"), Command("accept", "GTVn")]),
        ("keep it out of the cord", [Part(OUT, "SpinalCord")]),
        ("crop the GTV away from the cord", [Part(OUT, "SpinalCord", "GTV")]),
        (
            "exclude the trachea and the larynx from the GTV and accept it",
            [Part(OUT, "Trachea", "GTV"), Part(OUT, "Larynx", "GTV"), Command("accept", "GTV")],
        ),
        ("bring this out of the GTV", [Here(OUT, "GTV")]),
        ("on the left, 3 mm off", [Edit("shrink", 3, ("left",))]),
        (
            "raise the top by 3 mm and lower the bottom by 2 mm",
            [Edit("grow", 3, ("superior",)), Edit("grow", 2, ("inferior",))],
        ),
        ("trim the top down by 3 mm", [Edit("shrink", 3, ("superior",))]),
        ("shrink it down by 3 mm", [Edit("shrink", 3)]),
        ("reopen the GTV and exclude the cord from it", [Command("reopen", "GTV"), Part(OUT, "SpinalCord", "GTV")]),
        ("lock the cord, include this and accept it", [Command("lock", "SpinalCord"), Here(IN), Command("accept")]),
        ("accept the GTV and lock it", [Command("accept", "GTV"), Command("lock", "GTV")]),
        ("expand the GTVp by 3 mm, then crop it to the body", [Edit("grow", 3, (), "GTVp"), Crop("Body", "GTVp")]),
        ("contour the larynx and grow it by 3 mm", [Contour("Larynx"), Edit("grow", 3, (), "Larynx")]),
        ("outline the brainstem and lock it", [Contour("Brainstem"), Command("lock", "Brainstem")]),
        ("grow the GTVp by 3 mm and smooth by 2 mm", [Edit("grow", 3, (), "GTVp"), Edit("smooth", 2, (), "GTVp")]),
        (
            "the GTVp needs 4 mm more anteriorly and 2 mm more posteriorly",
            [Edit("grow", 4, ("anterior",), "GTVp"), Edit("grow", 2, ("posterior",), "GTVp")],
        ),
        (
            "expand by 5 mm all round but not posteriorly",
            [Edit("grow", 5, ("superior", "inferior", "left", "right", "anterior"))],
        ),
        (
            "grow the GTVp by 4 mm everywhere except superiorly and inferiorly",
            [Edit("grow", 4, ("left", "right", "anterior", "posterior"), "GTVp")],
        ),
        ("exclude this and the trachea as well", [Here(OUT), Part(OUT, "Trachea")]),
        ("take this away from the GTVp", [Here(OUT, "GTVp")]),
        ("remove the part of the GTVp that lies in the trachea", [Part(OUT, "Trachea", "GTVp")]),
        ("drop the lower border by 5 mm", [Edit("grow", 5, ("inferior",))]),
        ("bring the posterior border 3 mm further back", [Edit("grow", 3, ("posterior",))]),
        ("delete whatever sticks out of the body", [Crop("Body")]),
        ("the GTVp is not to be altered", [Command("lock", "GTVp")]),
        ("start a new structure called tumour bed", [Command("new", "tumour bed")]),
        ("show slice 31 of 120", [Go(31)]),
        (
            "the GTVp must not overlap the larynx and the trachea",
            [Part(OUT, "Larynx", "GTVp"), Part(OUT, "Trachea", "GTVp")],
        ),
        (
            "the GTVp should not include the larynx or the trachea",
            [Part(OUT, "Larynx", "GTVp"), Part(OUT, "Trachea", "GTVp")],
        ),
        ("don't touch the larynx or the trachea", [Command("lock", "Larynx"), Command("lock", "Trachea")]),
        ("rename the gtvp to ctvn", [Rename("CTVn", "GTVp")]),
        (
            "expand the GTVp by 5 mm but not posteriorly",
            [Edit("grow", 5, ("superior", "inferior", "left", "right", "anterior"), "GTVp")],
        ),
        ("switch to the GTVp and put a 3 mm margin around it", [Command("use", "GTVp"), Edit("grow", 3, (), "GTVp")]),
        ("bump the GTVp out by 5 mm", [Edit("grow", 5, (), "GTVp")]),
        ("cut everything sup of slice 77", [Slab("exclude", "above", 77)]),
        ("reject the GTVp and contour it again", [Command("reject", "GTVp"), Contour("GTVp")]),
        ("everything above slice 55 should be taken away", [Slab("exclude", "above", 55)]),
        (
            "contour the mandible and subtract it from the GTVp",
            [Contour("Bone_Mandible"), Part(OUT, "Bone_Mandible", "GTVp")],
        ),
        (
            "grow the cord by 3 mm and subtract it from the GTVp",
            [Edit("grow", 3, (), "SpinalCord"), Part(OUT, "SpinalCord", "GTVp")],
        ),
        (
            "expand by 6 mm in all directions but inferior",
            [Edit("grow", 6, ("superior", "left", "right", "anterior", "posterior"))],
        ),
        ("exclude the trachea, then smooth it by 2 mm", [Part(OUT, "Trachea"), Edit("smooth", 2)]),
        ("take one millimetre off the posterior border", [Edit("shrink", 1, ("posterior",))]),
        ("take off one millimetre from the posterior border", [Edit("shrink", 1, ("posterior",))]),
        ("take 2 mm out of the left border", [Edit("shrink", 2, ("left",))]),
        ("take the posterior border out by 2 mm", [Edit("grow", 2, ("posterior",))]),
        ("blow the GTV up by 4 mm", [Edit("grow", 4, (), "GTV")]),
        ("lock the cord down", [Command("lock", "SpinalCord")]),
        ("put 3 mm more on the medial side", [Edit("grow", 3, ("medial",))]),
        ("no oesophagus in the GTV please", [Part(OUT, "Esophagus", "GTV")]),
        ("please do not touch the GTVp", [Command("lock", "GTVp")]),
        ("jump to slice one twelve", [Go(112)]),
        ("gimme the brainstem", [Contour("Brainstem")]),
        ("undo, undo", [Command("undo"), Command("undo")]),
        (
            "subtract the mandible, the larynx and the oral cavity from the PTV 60",
            [Part(OUT, n, "PTV_60") for n in ("Bone_Mandible", "Larynx", "Cavity_Oral")],
        ),
        ("exclude levels 2, 3 and 4 on the left", [Part(OUT, f"LN_Neck_{n}_L") for n in ("II", "III", "IV")]),
    ],
)
def test_sentences(sentence, intents):
    understood = understand(sentence, KNOWN)
    assert list(understood.intents) == intents
    assert understood.to_be_done == understood.intents
    for one in understood.intents:
        assert 0 <= one.span[0] < one.span[1] <= len(sentence)
        assert from_json(one.as_json()) == one


@pytest.mark.parametrize(
    "sentence",
    [
        "grow by two metres", "grow by -3 mm", "grow by 0 mm", "grow a bit", "grow by 2,5 mm", "grow by three",
        "two to three millimetres left", "grow 2 inches", "shift by 3 mm", "smooth the outline", "don't accept",
        "do not accept", "undo everything", "should I accept", "everything above slice forty", "lung",
        "lock the banana",        "bitte mach rückgängig", "annuler s'il vous plaît", "delete GTVp", "remove the cord",
        "undo and make tea", "",
        "um",        "42", "go to slice 2.5", "undo 1000 times", "grow by two, no",
        "move the GTV to the left", "move the left border away by 2 mm", "accept the GTV, left parotid",
        "no, don't accept it", "is the cord locked", "the cord was contoured by the resident",
        "grow up to 3 mm", "undo zero times", "you should have grown it by 3 mm", "lock everything but the GTV",
        "pull the PTV off the cord", "take it out by 3 mm", "the report says there is tumour here",
        "could this be tumour",
        "shrink it 3 mm and the cord", "x" * (MAX_SENTENCE + 1),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_asked_back(sentence):
    understood = understand(sentence, KNOWN)
    assert understood.questions
    assert understood.to_be_done == ()
    assert all(len(word) < 4 or word not in q.text for q in understood.questions for word in ["tea", "banana"])


@pytest.mark.parametrize(
    "sentence",
    [
        "accept?", "looks good", "rejekt", "expandd by 2 mm", "rubbish", "undo the lock", "accept all", "no left lung",
        "the margin is five millimetres", "copy from the previous slice", "the thyroid next", "new structure boost",
        "three millimetres anteriorly and two posteriorly", "grow 2 mm left and right", "call it hot spot",
        "grow by 3 mm so that it covers the node", "it sticks out, so crop it to the body", "would you accept this",
        "the tumour stops here, delete everything above this slice", "we still need the voice box, draw it please",
        "let me see the slice before, one slice back",
        "12 mm superiorly please, that's where the node starts", "push the posterior border back by 4 mm",
        "lock both and accept the GTV", "I didn't mean to, undo", "nobody is to touch the cord except the GTV",
        "rename left levels 2 and 3", "add the cord out",
        "keep the GTV off the left parotid", "levels two and three", "levels one and two on the left",
        "the GTVp is too tight, grow it by 2 mm",
        "don't include this", "next, contour the larynx", "drop it on the next slice",
        "lock the cord, then grow it by 2 mm", "go back one step, undo",
        "go to slice 36 and exclude everything below it",
    ],
)  # fmt: skip
def test_doubtful_intents_wait_for_a_yes(sentence):
    understood = understand(sentence, KNOWN)
    assert understood.to_be_done == ()
    assert understood.doubtful or understood.questions


@pytest.mark.parametrize(
    "sentence",
    [
        "limit it outside the cord", "throw the cord out of the GTV", "throw this into the GTV",
        "throw this in the GTV", "accept the GTV and call it GTVn", "keep the GTV as GTVn",
        "exclude the cord and call it GTVn", "protect the cord from the GTV", "free the GTV from the cord",
        "the GTV must not be in the cord", "keep the cord out of the GTV and the GTVp", "do not exclude the trachea",
        "never exclude the trachea", "there is no need to exclude the trachea", "I don't want this out",
        "make it less narrow by 3 mm", "please do not exclude the larynx", "the GTV doesn't cover the trachea",
        "please do not outline the larynx", "the larynx is not in the GTV but should be",
        "exclude the cord but not the larynx", "accept the GTV, not the GTVp", "grow the GTV by 3 mm, not the GTVp",
        "not the cord, the GTV", "don't change over to GTVp", "do not move to the GTVp", "grow by 3 mm, no more",
        "extend the anterior border posteriorly by 3 mm", "expand the GTV by 5 mm, 3 mm posteriorly",
        "grow it by 3 mm on this slice", "grow it by 3 mm, right?", "shrink it by 3 mm off the cord",
        "3 mm margin from the cord", "grow it away from the left by 2 mm", "grow it to 5 mm", "drop the 3 mm margin",
        "accept the GTV and crop the GTVp to it", "accept and lock the GTV", "accept it and the GTVp",
        "accept the GTV and the GTVp, and lock them", "do I need to accept it", "should the cord be locked?",
        "it's 3 mm bigger now", "the cord is in the GTV, shrink it by 2 mm", "undo my last accept",
        "undo two of the last three steps", "undo the first step", "copy the previous slice", "skip the cord",
        "move the GTV left", "accept the GTV, no, lock it",
        "take this part into the GTVp", "the left parotid, expand it 1 mm",
        "shave 2 mm off at the cord", "pull in 2 mm at the cord", "add 3 mm to the GTV in front of the cord",
        "grow it 3 mm to the left of the trachea", "extend 5 mm above the larynx", "move 3 mm in front of the cord",
        "crop it at the cord", "5 mm in all directions but only 3 mm posteriorly", "5 mm all round, 3 mm posteriorly",
        "5 mm margin, 3 mm posteriorly", "take 2 mm off the left and the right",
        "trim 2 mm off the left and on the right", "take 2 mm off the top and at the bottom",
        "take 3 mm off the front and back", "shrink the left border and the right by 2 mm",
        "subtract the cord from the GTV, 3 mm margin", "crop it to the body, 5 mm margin",
        "avoid the cord, 3 mm margin", "lock the cord plus 3 mm", "new structure CTV, GTV plus 5 mm",
        "add an inner margin of 3 mm", "apply an outer margin of 5 mm", "lower the margin by 3 mm",
        "raise the margin by 3 mm", "a tighter margin of 3 mm", "a smaller margin, 3 mm", "a bigger margin, 5 mm",
        "shrink by 5 mm, 2 mm more posteriorly", "undo that, 2 mm less", "shrink it towards the midline by 2 mm",
        "shrink it upwards by 2 mm", "it needs to go 2 mm to the left", "put it 2 mm to the left",
        "it should be 2 mm more to the left", "shift it 3 mm to my left",
        "grow by 3 mm left and right, no, superiorly and inferiorly",
        "exclude the larynx and the trachea, sorry, the cord and the trachea", "lock the cord, sorry, not the cord",
        "accept the GTV and the GTVp, no, not the GTVp", "include this, no, not this", "should the GTV be rejected",
        "should it be accepted", "do we want to accept it", "do we need a 5 mm margin",
        "should the trachea be excluded from the GTV", "must the cord be locked", "okay right grow it by 3 mm",
        "right 3 mm superiorly", "right accept the parotid", "right contour the parotid", "the cord is in it",
        "the cord is in the contour", "the cord is included", "accept it, but the cord is in it",
        "everything above slice 40 is included", "there is tumour in the trachea", "the cord is in it?",
        "nothing above slice 40?", "no tumour here?", "3 mm too big?", "that made it 3 mm bigger",
        "made the GTV 3 mm bigger", "we might accept it", "we could accept it", "accept the GTV except the trachea",
        "accept the GTV plus 3 mm", "grow by 3 mm, scrap that", "accept it, scrap that", "the larynx must stay in",
        "keep this in the GTV", "keep the trachea in the GTV", "the trachea should stay in the GTV",
        "everything above slice 40 stays", "preserve everything above slice 40",
        "hold on to everything above slice 40", "crop the GTV to it", "exclude the trachea with the oesophagus",
        "include the larynx with the trachea", "lock the cord, then the parotid",
        "exclude the trachea and then the larynx", "exclude the cord and lock it",
        "contour both parotids and accept them", "accept them", "slice 40, take 2 mm off the left",
        "at slice 40 shrink it by 3 mm", "next slice, 2 mm smaller",
        "copy it to the next slice and shrink it by 2 mm", "exclude slice 40 and above",
        "exclude this slice and everything above it", "exclude everything below slice 40 and above slice 30",
        "delete this click", "remove this point", "get rid of my last click",
        "copy it to the next slice and the one after", "copy it to the next slice, and the next, and the next",
        "can you fix the GTV", "please fix the contour", "this one, not that one",
        "tumour growth of 5 mm", "cord plus 3 mm", "merge the GTV and the GTVp", "unlock the cord and expand by 2 mm",
        "reopen the GTV and smooth by 1 mm", "exclude everything on and above slice 40", "exclude at or below slice 40",
        "add the GTVp to the GTV, then reject it",
        "remove the part of the cord that lies in the GTV", "shift by 5 mm everywhere but posteriorly",
        "grow by 5 mm everywhere except medially", "crop the GTVp", "clip the GTV", "subtract it from the GTV",
        "contour it",
        "add it to the GTVp",
        "change the name of the GTV to tumour", "lat 3 mm, left parotid",
        "grow by 5 mm superiorly everywhere except posteriorly",
        "copy the contour of the slice above to this slice", "copy the GTV of the slice below to this one",
        "remove the cord with a 3 mm margin from the GTV", "remove the cord and 3 mm around it from the GTV",
        "cut the cord out of the GTV with a 3 mm margin", "remove 2 mm from the GTV and remove the cord",
        "cut 3 mm off the left and cut the cord", "lock the cord and accept the GTV, no, reject it",
        "grow the GTV by 3 mm and lock the cord, no, throw it out",
        "smooth the GTV by 2 mm and accept the GTVp, no, reject it", "accept the GTV, sorry, reject",
        "lock the cord, no, unlock", "grow the GTV by 3 mm, no, shrink by 3 mm",
        "grow the GTV by 3 mm, scratch that, shrink by 2 mm", "grow the GTV by 3 mm and accept",
        "crop the GTV to the body and accept", "accept the GTV and lock",
        "grow the GTV by 3 mm, show the uncertainty and accept it", "unlock the GTV, undo and lock it again",
        "reopen the GTV, include this and accept it", "grow the GTV by 3 mm, exclude the cord and smooth it by 2 mm",
        "grow the GTV by 2 mm, lock the cord and accept it", "grow the GTV by 3 mm and crop to the body",
        "grow the GTV by 3 mm and include the GTVp", "grow the GTV by 3 mm and remove everything above slice 40",
        "exclude the cord from the GTV and exclude the trachea",
        "put a 3 mm margin on the GTV and take out the cord",
        "the GTV must be 3 mm larger and must not include the cord",
        "the GTV should include the GTVp and exclude the cord", "crop the GTV to the body and smooth by 2 mm",
        "exclude the cord from the GTV and smooth by 2 mm", "rename GTV to GTVn and grow by 3 mm",
        "lock the cord and the parotid and exclude them from the GTV",
        "contour the larynx and the trachea and exclude them from the GTV", "not the GTV, accept the GTVp",
        "not the cord, lock the parotid", "smooth the GTV by 2 mm but not the cord",
        "without the cord, grow the GTV by 3 mm", "keep it in the body and out of the cord",
        "contour the oesophagus and keep it out of the GTV", "remove the GTV in the cord",
        "keep the cord away from the GTV", "push the GTV back 3 mm", "up the margin by 2 mm",
        "down the margin by 2 mm", "everything above slice 40 should be kept", "I don't need the GTVp",
        "exclude the cord from the GTV, sorry, the trachea",
        "grow the GTV by 3 mm and the GTVp by 5 mm, sorry, the GTV by 4 mm", "accept the GTV, then the GTVp",
        "exclude everything above slice 40, the cord and the parotid",
        "take 3 mm off the GTV on the left and the right", "undo the last click and the one before",
        "undo, and again", "GTV, accept", "GTVp, shrink by 2 mm posteriorly",
        "next, remove everything above slice 40", "new structure called cord and parotid",
        "rename the GTV to GTV left", "label this tumour", "contour the cord with a 5 mm margin",
        "take this out and leave the cord in", "lock the cord or the left parotid",
        "the GTV and the cord must not overlap", "there is no tumour in the left parotid",
    ],
)  # fmt: skip
def test_nothing_is_done_that_was_denied_reported_or_meant_of_something_else(sentence):
    assert understand(sentence, {*KNOWN, "SpinalCord"}).to_be_done == ()


def test_it_is_what_the_statement_before_was_about():
    understood = understand("the left parotid's too chunky, take 2 mm off it", KNOWN)
    assert understood.intents == (Edit("shrink", 2, (), "Parotid_L"),)
    assert understood.doubtful
    assert not understood.questions


def test_what_was_poorly_heard_is_asked_back():
    assert understand("undo", heard=0.8).to_be_done
    assert not understand("accept", heard=0.8).to_be_done
    assert not understand("undo", heard=0.5).to_be_done


def test_another_language_is_named_as_the_reason():
    assert "English" in understand("bitte mach rückgängig").questions[0].text


@settings(deadline=None)
@given(st.text(max_size=80))
def test_no_sentence_is_an_error(text):
    understand(text, KNOWN)
    parse_command(text)


OWN = "grow undo no not left two mm the parotid accept , then slice to and this called".split()  # noqa: SIM905


@settings(deadline=None)
@given(st.lists(st.sampled_from(OWN), max_size=20))
def test_no_sequence_of_its_own_words_is_an_error(words):
    understood = understand(" ".join(words), KNOWN)
    assert understood.intents or understood.questions


def test_every_command_can_be_said_as_it_is_listed():
    for verb in COMMANDS:
        text = f"{verb} GTVp" if verb in ("use", "new") else verb
        assert parse_command(text) == Command(verb, "GTVp" if verb in ("use", "new") else None)


@pytest.mark.parametrize(
    ("words", "value"),
    [("two and a half", 2.5), ("forty two", 42), ("a hundred and four", 104), ("three hundred", 300), ("2.5", 2.5),
     ("two point two five", 2.25), ("oh point five", 0.5), ("point five", 0.5), ("a couple of", 2), ("half a", 0.5),
     ("three quarters of a", 0.75), ("twelve", 12)],
)  # fmt: skip
def test_numbers(words, value):
    assert number_at(words.split(), 0) == (value, len(words.split()))


def test_every_kind_of_intent_is_known_by_its_kind():
    assert len(KINDS) == 12


@pytest.mark.parametrize(
    ("sentence", "intents"),
    [
        ("lock the GTV, for it has been agreed in the conference", [Command("lock", "GTV")]),
        ("push the left margin of the GTV outwards by 4 mm because the PET shows uptake there",
         [Edit("grow", 4, ("left",), "GTV")]),
        ("shift the GTVp, which sits a trifle too low, by four millimetres cranially",
         [Edit("shift", 4, ("superior",), "GTVp")]),
        ("Since the bone is intact, kindly withdraw the lower border by four millimetres.",
         [Edit("shrink", 4, ("inferior",))]),
        ("crop the GTVp to the body, so that no air is included", [Crop("Body", "GTVp")]),
        ("accept the GTVp, which the whole team has now reviewed", [Command("accept", "GTVp")]),
        ("go to slice 112, where the lesion begins", [Go(112)]),
        ("Endoscopy was entirely clean, so exclude the trachea from the GTV.", [Part(OUT, "Trachea", "GTV")]),
        ("I have gone through every slice and I'm content, so accept the GTV.", [Command("accept", "GTV")]),
        ("The protocol has changed this year, so the GTVp should be grown by 2.5 mm.", [Edit("grow", 2.5, (), "GTVp")]),
        ("The physicist has planned with node 3, so please lock it.", [Command("lock", "node 3")]),
        ("the GTVp sticks out, so crop it to the body", [Crop("Body", "GTVp")]),
        ("To spare her swallowing later on, please cut the oesophagus out of the GTV.",
         [Part(OUT, "Esophagus", "GTV")]),
        ("keep only everything below slice 75 of the GTVp", [Slab("keep", "below", 75, "GTVp")]),
    ],
)  # fmt: skip
def test_a_reason_in_any_words_is_passed_over_and_the_rest_asked_back(sentence, intents):
    found = understand(sentence, KNOWN)
    assert (list(found.intents), found.questions) == (intents, ())
    assert not found.to_be_done


@pytest.mark.parametrize(
    "sentence",
    [
        "grow the GTV, which needs 3 mm at the front, by 5 mm",  # how much
        "grow the GTV by 5 mm, as wobbly unless the cord is near",  # on a condition
        "lock it, as frobnicated",
        "if the PET is positive, so grow it by 3 mm",
        "when we have the MR, grow it by 3 mm",
        "accept it, though not if it frobnicates",
    ],
)
def test_what_may_change_the_order_is_no_reason(sentence):
    assert not understand(sentence, KNOWN).to_be_done
    assert understand(sentence, KNOWN).questions


def test_an_axis_is_two_directions_and_a_corrected_amount_leaves_the_list():
    both = Edit("grow", 4, ("superior", "inferior"))
    for said in ("extend by 4 mm cranio-caudally", "grow 4 mm in the craniocaudal direction"):
        assert list(understand(said, KNOWN).intents) == [both]
    off = [Edit("shrink", 3, ("superior",)), Edit("shrink", 1, ("inferior",))]
    assert list(understand("take 2, no, 3 mm off the top and 1 mm off the bottom", KNOWN).intents) == off
    assert understand("left and right, no, up and down by 3 mm", KNOWN).questions


@pytest.mark.parametrize(
    ("sentence", "intents"),
    [
        ("the GTV should be smoothed by 2 mm and accepted", [Edit("smooth", 2, (), "GTV"), Command("accept", "GTV")]),
        ("the GTV should be grown by 3 mm, cropped to the body and locked",
         [Edit("grow", 3, (), "GTV"), Crop("Body", "GTV"), Command("lock", "GTV")]),
        ("the node 3 should be locked and excluded from the GTV",
         [Command("lock", "node 3"), Part(OUT, "node 3", "GTV")]),
    ],
)  # fmt: skip
def test_what_a_wish_is_about_goes_on(sentence, intents):
    assert list(understand(sentence, KNOWN).to_be_done) == intents


@pytest.mark.parametrize("said", ["copy from the slice below", "paste the contour from the slice above"])
def test_copying_from_another_slice_is_not_copying_to_it(said):
    assert "come from" in understand(said, KNOWN).questions[0].text


def test_a_courtesy_is_no_statement():
    assert understand("could you please, so frobnicate the wobble", KNOWN).questions


def test_a_slab_may_be_of_a_structure():
    said = "remove everything above slice 40 from the GTVp"
    assert list(understand(said, KNOWN).to_be_done) == [Slab("exclude", "above", 40, "GTVp")]
    asked = understand("delete the GTVp below slice 20", KNOWN)
    assert (list(asked.intents), asked.to_be_done) == ([Slab("exclude", "below", 20, "GTVp")], ())
    assert understand("exclude the trachea above slice 40", KNOWN).questions  # of which?
    both = understand("delete everything above slice 90 and below slice 20 in the GTVp", KNOWN)
    assert not both.to_be_done


def test_a_known_structure_and_an_amount_is_an_edit_of_it_and_a_remark_may_end_with_a_full_stop():
    for sentence, meant in (
        ("GTVp, 3 mm anterior", Edit("grow", 3, ("anterior",), "GTVp")),
        ("Too big for my liking. Shrink it by 4 mm.", Edit("shrink", 4)),
    ):
        found = understand(sentence, KNOWN)
        assert (list(found.intents), found.questions, found.to_be_done) == ([meant], (), ())
    first, _ = understand("right parotid, 3 mm anterior", KNOWN).intents  # not drawn yet
    assert first == Contour("Parotid_R")


def test_a_margin_may_be_added_or_put_on_and_waits_for_a_yes():
    for said, ways in (
        ("add 5 mm superiorly to the GTV", ("superior",)),
        ("put 5 mm on the GTV", ()),
        ("put 5 mm on the GTV posteriorly", ("posterior",)),
    ):
        found = understand(said, KNOWN)
        assert list(found.intents) == [Edit("grow", 5, ways, "GTV")]
        assert not found.to_be_done


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("grow by 3", "3 what? Say millimetres or centimetres."),
        ("shift 2 left", "2 what? Say millimetres or centimetres."),
        ("two slices up", "Say 'next slice', 'previous slice' or a slice's number."),
        ("put 5 mm back the GTV", "Grow it, shrink it or shift it?"),
        ("put 5 mm ahead of the GTV", "Grow it, shrink it or shift it?"),
        ("grow by 5 mm and another 3 mm posteriorly", "Instead of the first amount there, or on top of it?"),
        ("grow by 5 mm and 3 mm posteriorly as well", "Instead of the first amount there, or on top of it?"),
    ],
)
def test_what_is_missing_is_asked_for(said, asked):
    (question,) = understand(said, KNOWN).questions
    assert question.text == asked


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("grow 5 mm all round but 3 mm posteriorly", Edit("grow", 5, but=(("posterior", 3),))),
        ("grow it by 8 mm, but only 5 mm posteriorly", Edit("grow", 8, but=(("posterior", 5),))),
        ("grow the GTV by 5 mm except 3 mm posteriorly", Edit("grow", 5, (), "GTV", (("posterior", 3),))),
        ("10 mm margin, 6 mm posteriorly", Edit("grow", 10, but=(("posterior", 6),))),
        ("expand it 8 mm, 5 mm posteriorly and 1 cm up", Edit("grow", 8, but=(("posterior", 5), ("superior", 10)))),
        ("grow it 5 mm except 3 mm left and right", Edit("grow", 5, but=(("left", 3), ("right", 3)))),
        (
            "grow by 8 mm but 3 mm left and right and 2 mm up",
            Edit("grow", 8, but=(("left", 3), ("right", 3), ("superior", 2))),
        ),
        ("shrink by 3 mm but 1 mm anteriorly", Edit("shrink", 3, but=(("anterior", 1),))),
    ],
)
def test_all_round_but_less_or_more_one_way_is_one_margin_and_waits_for_a_yes(said, meant):
    found = understand(said, KNOWN)
    assert found.intents == (meant,)
    assert not found.to_be_done
    assert from_json(json.loads(json.dumps(meant.as_json()))) == meant


def test_what_is_taken_into_a_structure_becomes_part_of_it():
    for how in ("into", "in", "in to", "inside", "with"):
        said = f"take the GTVp {how} the GTV"
        found = understand(said, KNOWN)
        assert found.intents == (Part(IN, "GTVp", "GTV"),)
        assert not found.to_be_done
    for said in ("take the GTVp out of the GTV", "take the GTVp from the GTV", "take the GTVp away from the GTV"):
        assert understand(said, KNOWN).intents == (Part(OUT, "GTVp", "GTV"),)


def test_one_after_the_other_is_not_one_margin():
    found = understand("grow it by 5 mm, then by 3 mm posteriorly", KNOWN)
    assert found.intents == (Edit("grow", 5), Edit("grow", 3, ("posterior",)))
    assert understand("grow it 5 mm, 3 mm posteriorly, 2 mm posteriorly", KNOWN).questions


@pytest.mark.parametrize(
    "said",
    [
        "grow the GTV by 5 mm except 3 mm off the cord",
        "grow the GTV by 5 mm but only 3 mm off the cord",
        "5 mm all round but 3 mm less",
        "grow by 5 mm posteriorly other than 3 mm posteriorly",
        "shrink by 5 mm but one undo",
    ],
)
def test_what_follows_a_but_is_never_done_unasked(said):
    assert not understand(said, KNOWN).to_be_done
