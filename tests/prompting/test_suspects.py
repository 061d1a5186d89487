"""What is often meant otherwise waits for a yes; what only resembles it does not."""

import pytest

from osirix_agent.prompting.command import understand

KNOWN = ("GTV", "GTVp", "Parotid_L", "SpinalCord")

OFTEN_MEANT_OTHERWISE = """
the CTV should extend beyond the GTV
the GTV can go outside the parotid
the tumour goes beyond the larynx
it has to go beyond the trachea
remove everything beyond the cord
nothing beyond the trachea
the GTV must not extend beyond the cord
cut the GTV back to the cord
crop the GTV with the cord
take the GTVp into the GTV
take the larynx in with the GTV
take this
take this as well
we'll take that
take the GTV out by 5 mm
take the margin out by 3 mm
take the GTV out 5 mm to the left
bring the PTV inside the body
put the GTV inside the parotid
pull the GTV into the body
do nothing above slice 40
no, not the GTVp
sorry, not the cord
not just the cord
not the whole cord
not all of the cord
ignore the last click
ignore the cord
ignore the slices above 40
add 5 mm superiorly and inferiorly 3 mm laterally
grow 3 mm left and right 5 mm superiorly
extend superior 1 cm inferior and posterior 5 mm
margins superior 5 mm inferior and lateral 3 mm
grow up and down 5 mm left and right 3 mm
grow 3 mm left and right and up 2 mm
lock the left parotid and shrink the right by 3 mm
exclude the left parotid and grow the right by 3 mm
contour the left lung, then the right and exclude the GTV
grow 5 mm superiorly and 2 mm less inferiorly
grow 2 mm left and 1 mm more right
shift 3 mm left and 2 mm more up
shrink 3 mm left and 2 mm more on the right
take 2 mm off the top and 1 mm more at the bottom
grow 5 mm up and 3 mm in all directions
3 mm superiorly, 2 mm all round
make it 5 mm longer
make it 5 mm shorter
5 mm too long
5 mm left of the midline
grow 3 mm left of the midline
move the top edge down by 3 mm and left by 2 mm
push the left 3 mm
grow 3 mm up and in
grow 3 mm left and in
make room for the cord 3 mm
exclude the left parotid from the GTV and lock it
grow the cord by 3 mm, subtract it from the GTV, then shrink it by 3 mm
exclude the cord and grow it by 3 mm
exclude the left parotid, lock the cord and accept it
grow the GTV by 3 mm, shrink the cord by 2 mm and accept it
shift all contours 3 mm left
move everything up 3 mm
grow everything by 3 mm
shrink all contours by 2 mm
contour both parotids and grow by 3 mm
it may be 3 mm too big
the GTV could be 3 mm smaller
the cord may be included
could it be that this is tumour
the GTV lies within the parotid
the GTV remains inside the parotid
throw out the trachea
throw the cord out
scrap that
discard that
bin that
drop it
lose it
drop that
put that away
keep it like this
save this
release the cord
5 mm, right, accept
don't change the name
don't change the GTV on the left
crop the GTV on the left
fill between the GTV and the GTVp
close the gap to the cord
create a PTV from the CTV
new structure PTV from the CTV
create a CTV out of the GTV
call this tumour
would you call this tumour
rename the left parotid to right
the GTV is actually the GTVn
merge the GTV with the GTVp
undo all of it
undo the whole lot
undo the last but one
undo the first
switch to the next one
switch to the previous one
go to the last slice
exclude this, the trachea
this is PET negative
exclude this and everything above
the margin should be 3 mm
3 mm ring
put the GTVp away
show the uncertainty and the isolines
no more please
accept it, but smooth by 2 mm first
grow by 3 mm, but undo first
switch to GTVp, accept this one first
lock it, but grow it by 3 mm first
accept the GTV, undo the last step first
grow by 3 mm, lock the cord first
grow the GTV by 5 mm, don't touch the cord
grow by 5 mm and leave the cord as it is
grow the GTV by 5 mm and protect the cord
grow the GTV by 5 mm, the cord must not be changed
it should go above slice 40
the contour must go below slice 90
it goes below slice 90
the contour goes above this slice
it needs to go above slice 40
this should go to the GTVp
that bit goes to the GTVp
it should go here
this goes here
it goes there
rename the one called GTVp to boost
rename the structure called node to boost
change the name from GTV to boost
rename it from GTV to boost
I'll take it from here
I'll take over
let me take over
I'll accept it afterwards
accept it after that
accept it then
we'll accept it finally
accept afterwards, grow by 3 mm now
we'll exclude the trachea afterwards
we'll need to accept it
we'll accept it
we'll have to accept that
we will need to grow it by 3 mm
3 mm off the cord
take it 3 mm off the midline
3 mm off the midline
move up 3 mm at the top
move it down 3 mm at the bottom
shift it down by 3 mm at the bottom
shift 2 mm left, and 1 mm at the top
move the border 3 mm to the left
shift the edge up 3 mm
lower the border 5 mm
put it 3 mm left
put it up 3 mm
put the contour up 3 mm
drop the bottom 3 mm
drop 3 mm
new structure called PTV, expand the GTV by 5 mm
create a PTV, expand the GTV 5 mm
new structure called cord PRV, grow the cord by 3 mm
GTV to PTV margin 5 mm
GTV to CTV margin of 5 mm
add a PTV margin of 5 mm
CTV margin 5 mm and PTV margin 3 mm
make a CTV with a 5 mm margin
let me do it
let me do that
no, put it back
put that back
I want that back
do that again
the left parotid is normal
the trachea is normal
the thyroid is benign
everything above this slice is normal
again 3 mm left
3 mm further left
grow the lower half by 3 mm
shrink the left half by 2 mm
grow by 5 mm in total
5 mm margin in total
make it a 3 mm margin
make the margin 3 mm
grow it to a 5 mm margin
growth of 5 mm superiorly
spread of 3 mm on the left
shrinkage of 5 mm
displacement of 3 mm to the left
rename it to node instead of GTV
rename it to node instead
rename it to what it was
rename it as before
new structure called node to be contoured later
create a structure named after the patient
new structure called ring for now
release it
release the contour
unlock the one called cord
I did the cord
GTV accepted
accepted the GTV
take everything above slice 40
take the slices above 40
keep the slices above 40
revert to the proposal
fill the holes
cut it here
accept and next
lock it and next
reject it and start again
next, accept
next lock the cord
accept the name
let me change the name
can the trachea go
bring back the last one
"""
PLAIN = """
remove everything outside the body
the GTV must not extend outside the body
keep only what lies inside the body
take this out
take 2 mm off the top
put the GTVn into the GTV
add 5 mm superiorly and 3 mm laterally
extend superior 1 cm inferior 5 mm
grow 3 mm left and up by 2 mm
grow 5 mm superiorly, left, 3 mm posteriorly
the GTV needs 4 mm more anteriorly and 2 mm more posteriorly
could the contour be shifted 2 mm to the left
lock the left parotid and shrink the right edge by 3 mm
crop the GTV to the body and lock it
accept the GTV and lock it
subtract the cord from the GTV and smooth the GTV by 2 mm
fill between the slices and smooth by 1 mm
release my edited slices
undo the last three steps
exclude everything above slice 40 and shift 3 mm down
make it 5 mm longer towards the feet
reject the GTVp proposal
new structure called boost
rename GTV to GTVn
copy it to the slice above
no more isolines
lock the cord first, then grow the GTV by 3 mm
next slice, include this
keep everything above slice 40
2 mm off the back
this belongs to the tumour
lower the bottom edge by 4 mm
"""


@pytest.mark.parametrize("sentence", OFTEN_MEANT_OTHERWISE.strip().splitlines())
def test_it_is_asked_back(sentence):
    assert not understand(sentence, KNOWN).to_be_done


@pytest.mark.parametrize("sentence", PLAIN.strip().splitlines())
def test_it_is_done(sentence):
    assert understand(sentence, KNOWN).to_be_done
