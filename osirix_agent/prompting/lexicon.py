"""The words of dictation, as data: what kind of thing each phrase is, and its value.

A phrase is lower-case words; `(word)` may be left out, `a/b` are alternatives. The grammar takes the longest phrase
that fits at each place. `turns.txt` holds more of them, which the command recogniser of speech does not draw from.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path

from osirix_agent.prompting.prompt import Polarity

# kind -> value -> phrases, separated by "|"
PHRASES: dict[str, dict[object, str]] = {
    # verbs: what is to be done
    "verb": {
        "grow": (
            "grow/growing (it) (out)|expand/expanding|extend/extending|enlarge|dilate|widen|thicken|increase|"
            "inflate|bigger|larger|wider|fatter|thicker|grow out|push out|blow up|extra|more|"
            "loosen (it/this) (up)|fatten (it/this) (up)|broaden|bulk (it/this) (up)|lengthen|make room|"
            "too small/tight/narrow/thin"
        ),
        "shrink": (
            "shrink/shrinking|reduce/reducing|contract|erode|tighten (it/this) (up)|too big/large/wide/fat/thick|"
            "smaller|tighter|thinner|narrower|"
            "slim (it/this) (down)|compress|narrow (it/this) (down)|shorten|pare (it/this) (down)|peel (off)|draw in|"
            "cut back|shave/shaving (off)|trim (off/back)|deflate|decrease"
        ),
        "shift": "shift/shifting|move/moving|translate|nudge|push|slide|displace|drag",
        "smooth": (
            "smooth/smoothen/smoothing (out/off)|smoother|round off|round the corners off|even out|soften|"
            "tidy (it/this) (up)|polish|iron out|less jagged|less bumpy|straighten (it/this) (out)"
        ),
        "add": "add|plus|join|merge (in)|combine (it/this) with|take in the|unite with",
        "include": (
            "include/including|is in|is part of (it)|belongs (to (it))|belongs in (it)|is tumour/tumor|"
            "is part of the tumour/tumor|should be in|counts|put in|belongs to the tumour/tumor"
        ),
        "exclude": (
            "exclude/excluding|subtract/subtracting|minus|without|carve out|leave out|avoid|spare|keep off|"
            "stay off|keep out of|stay out of|keep away from|crop out of|not|is not in|is not part of (it)|"
            "isn't part of (it)|doesn't belong (to it/in it)|does not belong (to it/in it)|isn't tumour/tumor|"
            "is not tumour/tumor|never|except (for)|should not be in|shouldn't be in|nothing of|but not|omit|"
            "ignore|should not overlap|shouldn't/mustn't overlap|must not overlap|keep clear of|but without"
        ),
        "remove": ("remove/removing|cut|drop/dropping the part|erase/erasing|strip|clip off|chop|carve|scoop|dig"),
        "take": "take/takes",
        "put": "put",
        "leave": "leave",
        "open": "open (up)",
        "delete": "delete/deleting|get rid of|wipe (out)|clear",
        "keep": "keep (only)|only keep|leave only|retain (only)",
        "crop": (
            "crop/cropping|restrict|limit|confine|clip|constrain|intersect|keep inside|keep within|"
            "stay inside|stay within|cut (it) (back) to|trim (it) (back) to|bound"
            "|should/must stay inside/within|has to stay inside/within|fit (it) inside|should/must not leave|"
            "shouldn't/mustn't leave|"
            "should/must/shouldn't/mustn't (not) extend/go/reach/spill outside/beyond"
        ),
        "fill": (
            "fill/filling (in) (the) between (the) (slices/contours)|"
            "fill/filling (in) (the) (missing) slices|interpolate/interpolating|fill (in) (the) gaps|fill in|"
            "fill in between|fill the slices in between|interpolate between (the) slices/contours|"
            "fill (in) (the) missing slices|interpolate the (missing) slices|interpolate the gaps|"
            "fill (in) (the) slices between|fill (in) (the) gaps between (the) slices/contours|"
            "fill (in) (the) missing ones|fill (in) the slices i skipped/missed|fill (in) the slices i left out|"
            "join (up) the slices (in between)|fill (in) between the two"
            "|bridge/close the gap/gaps (between (the) slices/contours)|fill up the gaps|complete the missing slices|"
            "connect the slices|fill in what's missing between (the) slices/contours"
        ),
        "copy": (
            "copy/copying|propagate|duplicate|paste|repeat|carry (it/this/that) over|carry|(the) same on/onto/for|"
            "put/use the same (contour/outline) on|clone|replicate|stamp|transfer|reuse"
        ),
        "go": (
            "go to|jump to|scroll to|take me to|show me|bring up|go|jump|scroll|skip to|take us to|back to|go back to|"
            "look at|let me see|let's see|move to|turn to|flip to|return to|head to|on to|go over to|page to"
        ),
        "contour": (
            "contour/contouring|segment|outline|delineate|find|mark|mark up|trace|let's do|do|i want|i need|"
            "get|get me|start with|next is|now for|auto contour|autocontour|auto segment|propose|"
            "next structure is|next up|draw"
            "|next|map|pick out|localise/localize|work out|could i have|can i have"
        ),
        "use": (
            "use|select|switch (over/back) to|active|the active one|work on|activate|make active|"
            "go back to working on|change to|"
            "active structure is|back on"
            "|work with|continue with|carry on with|move on to|go on with|move over to|pick"
        ),
        "new": (
            "new structure|create/make/start/add/open/begin (a) new structure|new target|"
            "create/make/start/add (a) new target|create (a) structure|make (a) structure|"
            "start (a) structure|create|(create/make/start/begin) a new one|new organ|add (a) structure|new|"
            "i want a new structure|"
            "i need a new structure|we need a new structure|i would like a new structure"
            "|begin/create/make/start/add/open another structure|another structure"
        ),
        "rename": (
            "rename/renaming|call|should/must be called|name/naming|change the name (of)|relabel|change its name"
        ),
        "show": "show|show me|turn/switch on|display|let me see|bring back|on|let's see|i want to see|put on",
        "hide": (
            "hide|turn/switch off|off|no more|don't show|do not show|lose|i don't want to see|"
            "i do not want to see|stop showing"
        ),
        "toggle": "toggle",
        "bring": "bring|pull|push",
    },
    # commands that need nothing more
    "command": {
        "undo": (
            "undo|reverse (my) (the) last step/change|undo what i (just) did|take (that/it/this) back|"
            "take back|step back|go back (one step/a step)|"
            "go back one step|revert|"
            "put it/that/this back (to) the way/how it was|back to how it was|as it was before|"
            "put it/that back as it was|"
            "cancel/remove/delete (my/the) last step/change/action/click/prompt|"
            "take (my/the) last step/change/click back|"
            "take back (my/the) last step/change/click|undo my/the last step/change/click/thing/action|"
            "back up|roll back|undo that/it/this|reverse that|one step back|go back a step"
        ),
        "redo": (
            "redo|do (that/it) again|reapply (it/that/this)|restore it/that/this|reinstate it/that/this|"
            "put back what i undid|redo that/it/this|undo the undo|bring that/it back|put that/it back"
        ),
        "accept": (
            "accept|accepted|approve|finalise/finalize|sign off|sign it off|make (it) final|"
            "accept as (it) is|i accept|save it as final|sign it/this/that off|accept as final|"
            "finalised/finalized"
            "|save it/this/that|mark it/this/that as final/done/finished/accepted|take it as final|"
            "commit (it/this/that)"
        ),
        "reject": (
            "reject|discard|throw (that/it/this) away|bin it/that/this|scrap it/that/this|get rid of it|"
            "drop it|throw away|throw it out|reject it|discard it|remove the proposal|delete the proposal|"
            "drop the proposal|get rid of this/that/the proposal|throw this/that one away|throw this/that one out|"
            "dump it/this/that|chuck it (out/away)|ditch it/this/that|toss it/this/that (out/away)|"
            "throw it out"
        ),
        "reopen": "reopen|re open|unaccept|open (it/this) (up) again|make (it/this) editable again|un accept",
        "lock": (
            "lock|protect|freeze|lock down|fix in place|don't/never touch|do not touch|leave alone|hands off|"
            "don't change/alter/edit/modify|do not change/alter/edit/modify|ring fence|secure|put a lock on"
        ),
        "unlock": "unlock|unprotect|unfreeze|take the lock off|remove/lift the lock (on/from/off/for)|free up",
        "release": "release|give back|hand back|let go of",
        "refine": "refine|start from",
        "propose": (
            "propose|update (the proposal)|recompute|recalculate|have another go|propose now|make a proposal|"
            "what do you propose"
        ),
        "status": (
            "status|what have we got (so far)|how are we doing|what state is it in|how far have we got|"
            "where are we|what do we have|what is the status|what's the status|"
            "status report|what's the state of play|how far are we"
            "|what's the/its volume (now)|what is the/its volume (now)|what is there so far|"
            "give me the/a status (report)|"
            "report the status|summary|give me a summary"
        ),
        "help": (
            "help|what can i say|what can you do|list (the) commands|show (the) commands|"
            "which commands are there|which/what commands do you know|what do you understand|how does this work|"
            "help me|what are the commands"
            "|what are my options|i'm stuck|i am stuck|i need help|what should i say|what could i say|"
            "how do i use this|"
            "what else can i say"
        ),
        "quit": "quit|exit|end the session|close the agent|stop the agent|end session|finish the session",
        "start": "start|start the agent",
        "all": (
            "all|show all (the) isolines|display all (the) isolines|show (the) isolines on every slice|"
            "show (the) isolines on all slices|show (the) isolines everywhere|isolines on every slice|"
            "isolines on all slices|isolines everywhere|uncertainty on every slice|uncertainty on all slices|"
            "show (the) uncertainty everywhere|show (the) uncertainty on every slice|"
            "show (the) uncertainty on all slices"
        ),
        "next": (
            "next|next look|where am i (least/most) sure/unsure/certain/uncertain|where do i need to look (next)|"
            "where are you (least/most) certain/confident|show me where it's (most/least) certain/uncertain/unsure|"
            "show me where it is (most/least) certain/uncertain/unsure|"
            "(jump/go) (to) the slice you're/you (are) (least/most/not) sure/certain/unsure/uncertain about/of|"
            "where (should/do/shall) i/we look (next/now/first)|where to look (next/now)|"
            "what should i check (next)|where should i check (next)|"
            "where are you (least/most) sure/unsure/uncertain|where are you not sure|where aren't you sure|"
            "where you are (least/most) sure/unsure/uncertain|where is it least sure|least sure|"
            "take me to the (most) uncertain/worst slice|"
            "show me where (you are) (you're) (least/most/not) sure/unsure/uncertain|"
            "(go to) (the) most uncertain slice|(show me) (the) least certain slice|where next|"
            "where is it (most) uncertain|what needs checking|what should i look at (next)|"
            "where would you look|where do you need me|where do you want me to look|show me the worst slice|"
            "next uncertain slice|which slice should i check (next)|which slice should i look at (next)|"
            "show me where to look|where is the outline least sure|next uncertain place|"
            "which slice are you least sure of/about|show me the (most/least) uncertain/certain slice|"
            "show me the slice you are least sure of/about|what are you least sure of/about|"
            "where are you least confident|where is the uncertainty (highest/greatest)"
            "|which slice/bit/part/place worries/bothers you (the) most|where is the worst/weakest/shakiest "
            "slice/bit/part/place|where's the worst/weakest/shakiest slice/bit/part/place|"
            "the worst/weakest/shakiest slice/bit/part/place|which slice/one is the worst/"
            "weakest/shakiest|where might it/you be wrong|where could it/you be wrong|"
            "what/which slices/bits need/needs "
            "checking|which slice needs checking/me/looking at|the slice you trust least|what worries you (most)|"
            "where are you struggling|where do you doubt it|where is it (most) doubtful|(the) most doubtful slice|"
            "where's it likely to be wrong|where is it likely to be wrong|"
            "which slices are (most/least) uncertain/doubtful/certain"
        ),
    },
    # understood, but said of many things: asked back before it is done
    "tentative": {
        "accept": (
            "looks good|that's good|that is good|that's fine|that is fine|happy with that/it/this|"
            "i'm happy with that/it/this|i am happy with that/it/this|this is good|it's good|it is good|"
            "looks fine|looks right|that's right|that is right|perfect|brilliant|great|lovely|nice|excellent|"
            "well done|"
            "(it/this/that) looks/is (really/very/pretty/quite/all) good/fine/right/great/ok/okay/perfect (to me)|"
            "spot on|good enough|that'll do|that will do|i like it/that/this|"
            "we're done|we are done|i'm done (here)|i am done (here)|done|finished|all good|good|fine|that works|"
            "job done|good job|"
            "beautiful|super|much better|i agree|good to go"
        ),
        "reject": (
            "no good|not good|this/it/that is no good|that's/it's no good|"
            "that's/it's (all) wrong/rubbish/nonsense/useless|"
            "this/it/that is (all) wrong/rubbish/nonsense/useless|rubbish|nonsense|useless|hopeless|start over|"
            "start again|start afresh|begin again|"
            "i don't like it/that/this|i do not like it/that/this|not what i want/wanted"
        ),
    },
    # slots
    "direction": {
        "superior": (
            "superior|superiorly|cranial|cranially|cephalad|craniad|up|upward|upwards|"
            "(to/towards/toward) the head|at the top|on top|superior direction|headwards"
        ),
        "inferior": (
            "inferior|inferiorly|caudal|caudally|caudad|down|downward|downwards|(to/towards/toward) the feet|"
            "at the bottom|inferior direction|footwards"
        ),
        "left": (
            "left|leftward|leftwards|to the left|to the patient's left|to patient left|towards the left|"
            "on the left|left lateral|on the left side|(to/on/at) the left side|towards the patient's left|"
            "towards patient left|to the left side|to the left hand side"
        ),
        "right": (
            "right|rightward|rightwards|to the right|to the patient's right|to patient right|"
            "towards the right|on the right|on the right side|(to/on/at) the right side|right lateral|"
            "towards the patient's right|towards patient right|to the right side|to the right hand side"
        ),
        "anterior": (
            "anterior|anteriorly|ventral|ventrally|forward|forwards|to the front|towards the front|in front|"
            "at the front|anterior direction"
        ),
        "posterior": (
            "posterior|posteriorly|dorsal|dorsally|backward|backwards|to the back|towards the back|"
            "at the back|behind|posterior direction"
        ),
        "medial": "medial|medially|(to/towards/toward) the midline|medial direction",
        "lateral": "lateral|laterally|away from the midline|lateral direction",
    },
    "all_round": {
        True: (
            "all round|all around|all over|in all directions|in every direction|isotropic|isotropically|"
            "uniform|uniformly|evenly|on all sides|on every side|everywhere|in 3 d|in three d|"
            "in three dimensions|in each direction|all directions|every direction|all sides|"
            "all the way round|all the way around|on each side|globally|in all dimensions"
        ),
    },
    "unit": {
        1.0: "mm|mms|millimetre|millimetres|millimeter|millimeters|mil|mils|millis|milli|m m",
        10.0: "cm|cms|centimetre|centimetres|centimeter|centimeters|centi",
        1000.0: "m|metre|metres|meter|meters",
    },
    "vague": {
        True: (
            "(a) bit|(a) little (bit)|(a) few|slightly|(a) touch|(a) tad|some|several|(a) lot|much|a fraction|a smidgen"
        ),
    },
    "heading": {
        1: "on|forward|forwards|ahead|further (on)|onwards",
        -1: "back|backward|backwards|go back|step back",
    },
    "trim": {
        "superior": "off the top",
        "inferior": "off the bottom",
        "anterior": "off the front",
        "posterior": "off the back",
        "left": "off the left (side)",
        "right": "off the right (side)",
    },
    "verdict": {
        Polarity.INCLUDE: (
            "that's/it's (still/all/also/clearly) tumour/tumor|this/that/here is still/all/also/clearly tumour/tumor|"
            "still tumour/tumor|there is (still/also) tumour/tumor/disease here|tumour/tumor/disease here|"
            "there's (still/also) tumour/tumor/disease here|"
            "this/that is (still/all/also/clearly) disease/cancer/malignant|that's (still/all/also/clearly) "
            "disease/cancer/malignant"
        ),
        Polarity.EXCLUDE: (
            "that's/it's not tumour/tumor|there's no tumour/tumor/disease here|"
            "there is no tumour/tumor/disease here|no tumour/tumor/disease here|"
            "that's/it's (just/only) (a/an/some) air/oedema/edema/fat/muscle/bone/fluid/inflammation/scar/vessel/vein/"
            "artery/cyst/bowel/gas/water/calcification/skin/cartilage/artefact/artifact/noise|"
            "that's/it's (just/only) normal/healthy (tissue)|this/that/here is (just/only) normal/healthy (tissue)|"
            "this/that/here is (just/only) (a/an/some) air/oedema/edema/fat/muscle/bone/fluid/inflammation/scar/vessel/"
            "vein/artery/cyst/bowel/gas/water/calcification/skin/cartilage/artefact/artifact/noise"
        ),
    },
    "times": {
        1: "once|one time|once more|one more time",
        2: "twice|both of those/them/these",
        3: "thrice",
    },
    "step": {
        True: "times|time|steps|step|changes|change|actions|action|edits|edit|things|thing|moves|goes",
    },
    "last": {
        True: "last|previous|latest",
    },
    "slice_word": {
        True: "slice|slice number|slices|image|image number|slice no|cut number|frame|axial slice",
    },
    "this_slice": {
        True: (
            "this slice|the current slice|current slice|the displayed slice|this image|the slice shown|"
            "this level|the slice i'm on|the slice i am on|this cut|the slice on display|the present slice"
        ),
    },
    "beside": {
        "next": ("(the) next slice|the following slice|(the) next one|(the) next image|one slice on|one slice forward"),
        "previous": (
            "(the) previous slice|the slice before|(the) last slice|(the) previous image|one slice back|"
            "the preceding slice"
        ),
        "above": (
            "(the) slice above|one slice up|one slice above|the next slice up|next slice up|"
            "the slice superiorly|up a/one slice|the superior slice|the adjacent slice above|"
            "the slice just above"
        ),
        "below": (
            "(the) slice below|one slice down|one slice below|the next slice down|next slice down|"
            "down a/one slice|the inferior slice|the slice underneath|the adjacent slice below|"
            "the slice just below"
        ),
    },
    "side": {
        "above": "above|superior to|cranial to|over|higher than|cranially of|beyond superiorly",
        "below": "below|inferior to|caudal to|under|underneath|beneath|lower than|caudally of",
    },
    "everything": {
        True: (
            "everything|anything|all of it|all (the) slices|all the stuff|all of that|all of the contour|"
            "all that is|whatever is|the part|what is|what's|all|"
            "everything that is|everything that's|anything that is|the bit|the contour/contours/outline|"
            "contour/contours"
        ),
    },
    "as_is": {
        True: "as it is|as is|alone|untouched|unchanged|as they are|the way it is|as it stands|in place",
    },
    "outside": {
        True: "outside (of)|beyond|external to|that is outside (of)|that's outside (of)|which is outside (of)",
    },
    "nothing": {
        True: (
            "nothing|nothing should be|there is nothing|there's nothing|no contour/contours|no tumour/tumor|"
            "there should be nothing|there should not be anything|there must be nothing"
        ),
    },
    "here": {
        True: (
            "here|there|at this point|the last click|my last click|where i clicked|where i just clicked|"
            "this point|this spot|this bit|that bit|this place|my click|this area|this region|that area|"
            "that region|that point|that spot|this part|that part|the click|what i clicked (on)|"
            "the spot i clicked|where i have clicked"
        ),
    },
    "this": {
        True: "this|that",
    },
    "margin": {
        True: "margin (of)|margins (of)|expansion (of)|rim (of)",
    },
    "it": {
        True: (
            "it|the contour/outline/structure/proposal/volume/segmentation/target/mask/draft/border/edge|"
            "the whole thing|this/that contour/outline/structure/proposal/volume/one/segmentation|"
            "the active structure|the current structure/contour|contour|outline|structure|proposal|the lot|"
            "the current one|them|these|the edges|the corners|edges|the surface|the volume|around it"
        ),
    },
    "isolines": {
        True: (
            "(the/your/my) uncertainty|(the) isolines|(the) iso lines|(the) isocontours|"
            "(the) uncertainty lines/bands/band/map|(the) confidence lines/bands|(the) probability lines|"
            "(the) error bands/band|(the) bands|(the) certainty lines|(the) thin lines|(your) confidence|"
            "how sure you are|how certain you are|(the) iso contours|"
            "(the) uncertainties|all (the) isolines|all (of) the uncertainty"
        ),
    },
    "my_slices": {
        True: (
            "(my/the) edited slices|the slices (on/in)|my slices|my edits|the slices i edited|the slices i changed|"
            "my edited slices|the edits|the slices of|the edited slices of|my changes|my corrections"
        ),
    },
    "from": {
        True: "from|out of",
    },
    "to": {
        True: "to|into|onto|with",
    },
    "inside": {
        True: "inside|within|in",
    },
    "named": {
        True: "called|named|as|by the name (of)|labelled|labeled|with the name|by name",
    },
    "off": {
        "out": "out",
        "away": "off|away",
        "back": "back",
        "in": "inwards",
    },
    # replies
    "yes": {
        True: (
            "yes|yeah|yep|yes please|confirm|confirmed|correct|go ahead|do it|that's what i meant|"
            "affirmative|sure|exactly|yes do (it/that)|yes that's right|yup|aye|please do|of course|absolutely|"
            "indeed|"
            "that's it|by all means|go for it|yes i did|yes i do|i did"
        ),
    },
    # what corrects, joins, or means nothing
    "correction": {
        True: (
            "no|sorry|i mean|i meant|rather|make that|correction|wait|no wait|wait no|no sorry|sorry no|"
            "actually|or rather|no i mean|no make that|i mean to say|oops|no actually|actually no|oh no|"
            "hang on|no no|no not that"
        ),
    },
    "cancel": {
        True: (
            "scratch that|forget that|never mind|nevermind|cancel|cancel that|forget it|ignore that|"
            "disregard that|strike that|disregard|nope|no thanks|no don't|no do not|no leave it|don't bother|"
            "nah|negative|don't do it|do not do it|no way|no cancel (it/that)|abort|skip it/that|no forget it"
        ),
    },
    "and": {
        True: "and|as well as|and also|also|together with|along with|,",
    },
    "then": {
        True: (
            "then|and then|after that|afterwards|followed by|finally|and finally|;|.|!|and after that|"
            "once that is done|and now|after which"
        ),
    },
    "filler": {
        True: (
            "um|uh|er|erm|ah|hmm|mm hm|mhm|hm|please|the|a|an|of|by|for|on|at|ok|okay|now|just|could you|"
            "can you|will you|i'd like (you) to|i would like (you) to|i want you to|let's|let us|"
            "go ahead and|well|so|right then|kindly|thanks|thank you|like|you know|let me|i think|alright|"
            "after all|any more|any longer|anymore|from now on|up again|to you|i did|that i did|"
            "all right then|hey|basically|then please|make|give it|give|about|approximately|"
            "exactly|let|me|want to|i want to|we need to|we should|please can you|please could you|"
            "cheers|also please|if you would|quickly|for me|do|'|\"|:|again|number|along|round|my|your|its|"
            "entire|whole|only|another|around|side|is|are|should be|go|i'd like|as well|instead|say|size|"
            "the size|too|apply|would you please|this time|of the contour|a total of|simply|straight away|"
            "immediately|"
            "right away|right now|for now|at the moment|very|properly|carefully|gently|if you can|if possible|"
            "if you don't mind|need to|i need to|you can have|you may have|go and|try to|try and|computer|agent|"
            "hello|hi|to me|ever so"
        ),
    },
    "question": {
        True: "?",
    },
    "vague_question": {
        True: (
            "should we|should i|shall i|shall we|do you think|what if|if|go on|carry on|must i|must we|need i|need we|"
            "do i/we need to|do i/we have to|does it need (to)"
        ),
    },
    "edge": {
        "superior": (
            "the superior end/side/edge/border/margin/aspect/surface|"
            "superior end/side/edge/border/margin/aspect/surface|"
            "the upper end/side/edge/border/margin/aspect/surface|"
            "upper end/side/edge/border/margin/aspect/surface|"
            "the top end/side/edge/border/margin/aspect/surface|"
            "top end/side/edge/border/margin/aspect/surface|"
            "the cranial end/side/edge/border/margin/aspect/surface|"
            "cranial end/side/edge/border/margin/aspect/surface"
        ),
        "inferior": (
            "the inferior end/side/edge/border/margin/aspect/surface|"
            "inferior end/side/edge/border/margin/aspect/surface|"
            "the lower end/side/edge/border/margin/aspect/surface|"
            "lower end/side/edge/border/margin/aspect/surface|"
            "the bottom end/side/edge/border/margin/aspect/surface|"
            "bottom end/side/edge/border/margin/aspect/surface|"
            "the caudal end/side/edge/border/margin/aspect/surface|"
            "caudal end/side/edge/border/margin/aspect/surface"
        ),
        "anterior": (
            "the anterior end/side/edge/border/margin/aspect/surface|"
            "anterior end/side/edge/border/margin/aspect/surface|"
            "the front end/side/edge/border/margin/aspect/surface|"
            "front end/side/edge/border/margin/aspect/surface|"
            "the ventral end/side/edge/border/margin/aspect/surface|"
            "ventral end/side/edge/border/margin/aspect/surface"
        ),
        "posterior": (
            "the posterior end/side/edge/border/margin/aspect/surface|"
            "posterior end/side/edge/border/margin/aspect/surface|"
            "the back end/side/edge/border/margin/aspect/surface|"
            "back end/side/edge/border/margin/aspect/surface|"
            "the dorsal end/side/edge/border/margin/aspect/surface|"
            "dorsal end/side/edge/border/margin/aspect/surface"
        ),
        "medial": (
            "the medial end/side/edge/border/margin/aspect/surface|"
            "medial end/side/edge/border/margin/aspect/surface|"
            "the inner end/side/edge/border/aspect/surface|"
            "inner end/side/edge/border/aspect/surface"
        ),
        "lateral": (
            "the lateral end/side/edge/border/margin/aspect/surface|"
            "lateral end/side/edge/border/margin/aspect/surface|"
            "the outer end/side/edge/border/aspect/surface|"
            "outer end/side/edge/border/aspect/surface"
        ),
        "left": (
            "the left end/side/edge/border/margin/aspect/surface|"
            "left end/side/edge/border/margin/aspect/surface|"
            "the left hand end/side/edge/border/margin/aspect/surface|"
            "left hand end/side/edge/border/margin/aspect/surface"
        ),
        "right": (
            "the right end/side/edge/border/margin/aspect/surface|"
            "right end/side/edge/border/margin/aspect/surface|"
            "the right hand end/side/edge/border/margin/aspect/surface|"
            "right hand end/side/edge/border/margin/aspect/surface"
        ),
    },
    "switch": {
        True: "switch|turn",
    },
}

# words that are passed over, but may mean something: what they stand beside is asked back
_TELLING = "only instead let like say do is are around side in inside within from other"
TELLING = frozenset(_TELLING.split())

# words that say that the sentence is not English
_FOREIGN = """und bitte der das ein eine nicht nach oben unten links rechts mach zurück rückgängig annehmen vergrößern
verkleinern le la les des une vers haut bas gauche droite annuler accepter agrandir réduire s'il plaît pas
el los las una por favor arriba abajo izquierda derecha deshacer aceptar hacia
il lo gli per favore destra sinistra annulla accetta alto basso ingrandisci de het een naar boven ongedaan
millimètres milímetros millimetri"""
FOREIGN = frozenset(_FOREIGN.split())


@cache
def turns() -> dict[str, list[str]]:
    """Phrases of `turns.txt` by heading: a kind and, where it is not just True, a value."""
    found: dict[str, list[str]] = {}
    phrases: list[str] = []
    for line in Path(__file__).with_name("turns.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            phrases = found.setdefault(line[2:], [])
        elif line.startswith("  "):
            phrases += (one.strip() for one in line.split("|") if one.strip())
    return found


TURNING = frozenset(turns()["otherwise"]) | FOREIGN
_NOT_READ_ALONE = ("fragment", "otherwise", "where", "unsure", "attend", "lead")


_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def alternatives(phrase: str) -> list[tuple[str, ...]]:
    """Every sequence of words that a phrase of the tables stands for: `(may be left out)`, `[one of/these]`, a word
    or/another, `{fragment}`."""
    parts: list[list[tuple[str, ...]]] = []
    rest = phrase.lstrip()
    while rest:
        kind = rest[0]
        if kind in _BRACKETS:
            inner, rest = _bracket(rest)
            parts.append([()] if kind == "(" else [])
            for one in turns()[f"fragment {inner}"] if kind == "{" else _either(inner):
                parts[-1] += alternatives(one)
        else:
            word, _, rest = rest.partition(" ")
            parts.append([tuple(one.split()) for one in word.split("/")])
        rest = rest.lstrip()
    return [tuple(w for part in chosen for w in part) for chosen in product(*parts)]


def words(kind: str) -> frozenset[tuple[str, ...]]:
    """Every phrase of a kind of the turns."""
    return frozenset(words for phrase in turns()[kind] for words in alternatives(phrase))


def _either(text: str) -> list[str]:
    """What stands between the brackets, parted at `/`; a text with brackets inside is one phrase."""
    return [text] if set(text) & set("([") else text.split("/")


def _bracket(text: str) -> tuple[str, str]:
    depth = 0
    for n, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0:
            return text[1:n], text[n + 1 :]
    raise ValueError(f"unbalanced: {text}")


@cache
def table(*, more: bool = True) -> dict[tuple[str, ...], list[tuple[str, object]]]:
    """Words of each phrase to what it may be; the lexicon's senses come before those of the turns of phrase.

    Parameters
    ----------
    more : with the turns
    """
    found: dict[tuple[str, ...], list[tuple[str, object]]] = {}

    def add(kind: str, value: object, phrase: str) -> None:
        for words in alternatives(phrase):
            if words and (kind, value) not in found.setdefault(words, []):
                found[words].append((kind, value))

    for kind, values in PHRASES.items():
        for value, phrases in values.items():
            for phrase in phrases.split("|"):
                add(kind, value, phrase)
    for heading, phrases_more in turns().items() if more else ():
        kind, *rest = heading.split()
        if kind not in _NOT_READ_ALONE:
            for phrase in phrases_more:
                add(kind, _value(kind, rest), phrase)
    return found


def _value(kind: str, rest: list[str]) -> object:
    """The value of a heading: `verb grow`, `times 2`, `done command lock`, `verdict include`."""
    if kind == "verdict":
        return Polarity(rest[0])
    if kind in ("times", "heading"):
        return int(rest[0])
    return tuple(rest) if kind == "done" else rest[0] if rest else True
