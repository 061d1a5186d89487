"""Turns of English phrase, as data: how people ask, wish, order and deny, put together from fragments.

Beside `lexicon.PHRASES`, in the same notation; `{fragment}` stands for any phrase of a fragment. The command recogniser
of speech draws its sentences from the lexicon alone.
"""

from __future__ import annotations

from osirix_agent.prompting.prompt import Polarity

FRAGMENTS: dict[str, str] = {
    "must": "should|must|needs to|need to|has to|have to|ought to",
    "must_not": "should not|shouldn't|must not|mustn't|may not|cannot|can't|ought not to|needn't|is not supposed to",
    "must_be": "{must} be",
    "tissue": "necrosis|blood vessel|muscle|fat|bone|air|vessel|scar tissue|artefact|artifact|stent|tube|clip|implant|metal|teeth|hardware|atelectasis|effusion|haematoma|hematoma|swelling|blood|mucus|oedema|edema|gas|fluid|water|a vein|an artery|nerve|postoperative change|part of a vessel",
    "wish": "i want|i'd like|i would like|i need|we want|we need|we'd like|we would like|[can/could/may] i/we have",
    "see": "see|look at|have|have a look at|view",
    "my": "the|my|your|our|this|that|these|those|all|all the|any",
    "shape": "contour|outline|structure|proposal|volume|segmentation|shape|border|edge|surface",
    "gap": "slices|contours|gaps|ones|levels|holes|images",
    "inside": "inside|within|in|inside of",
    "beyond": "beyond|outside|outside of|past|out of|over",
    "slice": "slice|one|image|cut|level",
    "near": "just|directly|immediately|right",
    "sure": "sure|certain|confident",
    "unsure": "unsure|uncertain|doubtful|shaky|weak|dubious|questionable|worried",
    "click": "click|point|seed",
    "spot": "bit|part|area|region|spot|place|point|piece",
    "surely": "(definitely/clearly/still/also/all/actually/really/certainly/just/only)",
    "step": "step|steps|change|changes|edit|edits|action|actions|click|clicks|thing|move|moves|operation|command",
}

TURNS: dict[str, dict[object, str]] = {
    "verb": {
        "grow": (
            "{must} come out|{must} go out|stretch (out)|growth|expansion|pad|beef up|pump up|enlargement|let out|make room|broader|longer|taller|"
            "too short|build out|step out|go out|come out|fan out|flare|expand out|extend out|spread (out)|swell|"
            "magnify|raise the size|too little"
        ),
        "shrink": (
            "{must} come in|{must} go in|retract|withdraw|scale (it/this) back|dial (it/this) back|pare (it/this) back|knock (off)|nibble (off)|skim (off)|"
            "slice off|thin (it/this) (down/out)|less|shrinkage|contraction|lose|cut down|shave|draw back|slimmer|"
            "shorter|constrict|condense|trim down|trim|whittle (down)|squeeze (in)|go in|come in|step in|scrape off|"
            "take down the size|downsize|narrow down|too long|too much|too generous|lessen|pinch|minimise/minimize"
        ),
        "shift": (
            "shove|budge|scoot|slip|relocate|reposition|jog|transpose|shuffle|displacement|slide (it/this) over|"
            "move (it/this) over|move (it/this) across|shift (it/this) over|shift (it/this) across"
        ),
        "raise": "raise|lift|elevate|hoist",
        "lower": "lower|let down|take down",
        "smooth": (
            "round (it/this) off|round the edges off|round the edges|smoothened|clean up|flatten out|neaten (it/this) (up)|smoothing over|"
            "de-bump|blur|unroughen|sand (it/this) (down)|less rough|less ragged|less spiky|less wobbly|"
            "take out the bumps|get the bumps out|take out the kinks"
        ),
        "include": (
            "count in|cover|incl|{must} be part of the tumour/tumor|encompass|take in|get in|incorporate|{must} go in|{must} come in|{must} be in|"
            "goes in|{must} be part of it|is {surely} [inside/inside the tumour/inside the tumor/tumour/tumor/cancer/disease/malignant/gross disease]|is included|should count|keep in|{must} belong"
        ),
        "add": "add in|incorporate|fuse|unite|unify|union|merge|attach|append|combine",
        "exclude": (
            "deduct|cut out|[remove/take out/cut out/exclude] the overlap with|can't be tumour/tumor|cannot be tumour/tumor|is no tumour/tumor|excl|knock out|punch out|snip out|cut around|steer clear of|stay clear of|stay away from|leave off|"
            "{must_not} be included|{must_not} be in|{must_not} be part of (it)|{must_not} belong|{must} go|{must} come out|"
            "{must} be out|{must} be left out|goes|can go|goes out|comes out|is {surely} [outside/outside the tumour/outside the tumor/benign/healthy/normal/not tumour/not tumor/not part of it/not cancer/not disease/not malignant]|isn't {surely} [cancer/disease/malignant]|{must} be outside|isn't inside|"
            "keep clear of|{must_not} be there|take out|rule out|step around|work around|{must} be avoided|{must} be spared"
        ),
        "part_in": (
            "are part of|belong to|belong in|is part of|belongs to|belongs in|belongs with|{must} be part of|{must} be in|{must} go into/in|"
            "{must} be included in|{must} be added to|is in|is included in|goes in|goes into|{must} belong to|part of"
        ),
        "part_out": (
            "are not part of|aren't part of|[do not/don't] belong [to/in]|are not in|aren't in|{must} come out of|{must} go out of|is not part of|isn't part of|{must_not} be part of|{must_not} be in|{must_not} be included in|"
            "{must_not} be inside|does not belong to|doesn't belong to|does not belong in|doesn't belong in|"
            "is not in|isn't in|has no place in|has no business in|{must} be out of|{must} be excluded from|"
            "{must} be removed from|{must} be taken out of|{must} be kept out of|{must} be subtracted from|{must} stay out of"
        ),
        "not_in": "[don't/do not] include/cover/contour/segment/draw|[don't/do not] go into|[don't/do not] let it into|never include",
        "hold_in": "{must} include|{must} contain|{must} cover|{must} encompass|plus|{must} also include|{must} also cover",
        "hold_out": (
            "{must_not} include|{must_not} contain|{must_not} cover|{must_not} overlap|{must_not} overlap with|"
            "{must_not} touch|{must_not} go into|{must_not} enter|{must_not} invade|{must_not} run into|{must_not} spill into|"
            "minus|without|{must} avoid|{must} spare|{must} exclude|{must} stay off|{must} stay away from|{must} stay out of|"
            "{must} keep clear of|{must} keep off|{must} stay clear of|{must} leave out|except|except for|but not|but without"
        ),
        "unwanted": "i don't want|i do not want|we don't want|we do not want|there {must_not} be (any)",
        "remove": "slice away|snip|shave away|saw off|lop off|hack off|excise|cut off|chop off|remove away|punch|snip off",
        "delete": "del|throw away|throw out|discard|drop|scrap|bin|kill|lose|eliminate|purge|trash|ditch|dump|rub out|blank",
        "bring": "draw|bring|{must} go|{must} come|{must} move|come|go",
        "keep": "keep just|just keep|hold on to|preserve (only)|leave me only|keep nothing but|leave just|save only|i only want|"
        "i only need",
        "crop": (
            "{must} stay/remain/lie/fit/end/be {inside}|{must_not} leave|{must_not} exceed|{must_not} cross|fence in|"
            "{must_not} extend/go/reach/spill/stick/stray/protrude/run/get/be/come/grow {beyond}|keep it/them/this {inside}|"
            "[don't/do not] let it/this extend/go/reach/spill/stick/stray/protrude/leave/out {beyond}|"
            "[don't/do not] let it/this leave|stays/remains/lies/fits inside/within|stays in|clamp|trim/cut (it/this) (back) to|"
            "trim (it/this) down to|cut (it/this) down to|contain|hold inside|hold within|bound|mask (it/this) (to/with/by)|mask|tailor"
        ),
        "fill": "interpolation|infill|fill them (in/up)|fill those (in/up)|fill it in|fill between|fill across|interpolate between|interpolate across|fill (in) the space between",
        "complete": (
            "complete|close|bridge|plug|connect|join (up)|link (up)|do|draw|add|make|generate|create|compute|fill|"
            "fill up|fill out|fill in|contour|finish|work out|put in|get"
        ),
        "copy": (
            "[put/use/draw/make/have/apply] the same {shape} (on)|(the) same {shape} on/onto/to/for|"
            "[put/make/place/drop] a copy (of/on)|a copy (on/of/to)|same again on|"
            "extend ({my}) {shape} to|duplicate|drop|project|mirror|replay|bring|take|push|put|move a copy"
        ),
        "go": (
            "goto|bring me to|get me to|get me|take us to|navigate (to)|"
            "[jump/skip/scroll/page/take me/go/move] (ahead/on/forward/over/down/up/back/straight) to|take me|"
            "switch to|open|call up|put up|i'd like to {see}|i would like to {see}|can/could/may i/we {see}|"
            "can we go to|let's go to|i want to {see}|i want to go to|i'd like to go to|get|display|"
            "i need|i want|could/can we look at|can you go to|[proceed/advance/step/walk/hop/leap] to|step|move|"
            "bring up|show us|have|look"
        ),
        "contour": (
            "begin with|start on|start|begin|start contouring|begin contouring|start by contouring|move on to contouring|"
            "go on to contour|mark out|mark up|draw in|sketch|detect|identify|locate|how about|what about|get|have|"
            "continue with contouring|draw around|draw round|outlining|segmenting|delineating|tracing|drawing|do|find me|"
            "give me (a/an/the) [contour/outline/segmentation] (of/for)|produce|generate|create (a/an/the) contour/outline/segmentation of/for|"
            "make (a/an/the) contour/outline/segmentation of/for|show me a contour of|auto-contour|next on|run|"
            "capture|pull up|now on to|moving on to|can you get (me)|we need|we want|we'll do|i'll do|grab|let's have|let's get"
        ),
        "use": (
            "change over to|swap to|swap over to|flip to|go over to|continue on|keep working on|i'm working on|turn to|focus on|"
            "jump to|resume|take up|address|activate|choose|i want to work on|i'd like to work on|let me work on|"
            "next i'll work on|make active|set active|shift to|go to|move to|return to|get back to|back to|over to|"
            "concentrate on|edit|i'm on|let's move to|let's go to|let's get back to|take me to|jump back to|bring up|pick up"
        ),
        "new": (
            "[create/make/start/add/open/begin/set up/define] (a/an/another) (new/fresh/empty) structure/contour/roi/target/volume|"
            "(a/one) [new/another/fresh/extra/additional] structure/contour/roi/target/volume/one|set up|define"
        ),
        "rename": (
            "give|label|relabel|retitle|title|[set/change] ({my}) name (of)|{must_be} called/named/renamed/labelled/labeled (to/as)|"
            "{must} be called/named/renamed/labelled/labeled (to/as)|"
            "is now called|is now named|"
            "is called from now on|to be called|to be named|refer to|re name|dub"
        ),
        "rename_it": "give it/this the name (of)",
        "show": (
            "overlay|{wish} to see|can/could/may i/we see|make visible|visible|reveal|unhide|bring up|i'd like|i need to see|"
            "let's have|put up|give me|get me|have a look at|enable|activate|appear|visualise/visualize|"
            "can/could i have|let us see"
        ),
        "hide": (
            "invisible|disappear|unshow|i [don't/do not] need (to see)|we [don't/do not] need (to see)|without|disable|deactivate|"
            "put away|put off|vanish|blank out|conceal|clear away|get rid of|wipe away|not show|"
            "can do without|no longer show|no longer need|[don't/do not] want (to see)|i've seen enough of|i have seen enough of|"
            "dismiss|suppress"
        ),
        "take": "hand",
        "mark": "mark|label|flag|save|set|tag|treat|consider|regard|declare|store|take",
        "toggle": "flip|toggle",
    },
    "command": {
        "undo": (
            "[undo/reverse/revert/cancel/remove/delete/drop/scrap/take back/roll back/take/step back/back out] (my/the/these/those/that) last|"
            "go back to how it was (before)|go back to the way it was (before)|put it/that/this/things back how it was/were|"
            "put (it/that/this) back (to) how it was|put (it/that/this) back the way it was|back to the way it was|"
            "restore (it/that/this) to how it was|restore the previous state|back to the previous state|back out|"
            "ctrl z|control z|ctrl+z|un do|cancel the last|rewind|backtrack|take it back|undoing|undo this|wind back|"
            "back up a step|a step back|take a step back|go a step back|go one back|return to the previous state|back a step|"
            "undo what i (just/last) did|undo what you (just/last) did|take back what i (just/last) did|"
            "take back what you (just/last) did|reverse what i (just/last) did|reverse what you (just/last) did|"
            "[revert/go back/return] to the previous version"
        ),
        "redo": (
            "redo|[do/apply] ({my}) last {step} again|bring back what i (just) undid|restore what i (just) undid|"
            "put back what i (just) undid|do (again) what i (just) undid|[re apply/reapply/restore/reinstate/repeat/redo/replay] (my/the/that) last|"
            "i want [that/it] back|re do|ctrl y|control y|undo my undo|"
            "redoing|reverse the undo|revert the undo|cancel the undo|take back the undo"
            "reinstate what i (just) undid|repeat what i (just) undid|reapply what i (just) undid|"
            "redo what i (just) undid|[bring/put] (that/the) last {step} back|i (didn't/did not) mean to undo (that/it)"
        ),
        "accept": (
            "i'll take it/this/that|i'll accept|i will accept|i am accepting|accepting|give my approval to|ratify|endorse|pass it|"
            "accept as it stands|i approve (of)|approve of|approving|finalising/finalizing|sign it off|sign|keep it like this|"
            "lock in|i sign off (on)|sign off on|okay it|ok it|i'm accepting|we accept|we can accept|you can accept|go with it|"
            "go with this|this one's a keeper|call it final|call it done"
        ),
        "reject": (
            "[bin/scrap/dump/ditch/toss/chuck/drop] [this/that] one|i reject|i'll reject|rejecting|throw|i [don't/do not] accept|toss|dump|trash|ditch|scrap|bin|chuck|bin off|decline|"
            "turn it down|turn down|throw out|throw away|dismiss|lose it|refuse|veto|i [don't/do not] want it/this/that/this one|"
            "not this one|not that one|get rid of (my/the/this/that) draft|i refuse|discarding"
        ),
        "reopen": (
            "re-open|open (it/this) back up|open (it/this) for editing (again)|{wish} to edit|{wish} to change|let me edit|let me change|"
            "i'd like another go at|back into editing|editable (again)|[take back/undo/revoke/withdraw/cancel] ({my}) acceptance (of)|"
            "un-accept|let me work on|reactivate|unfinalise/unfinalize|go back into|reopening|[take/withdraw] ({my}) approval (back) (of/for)|"
            "revoke ({my}) approval (of/for)|put back into editing|i need to edit|i need to change|"
            "allow edits on|allow edits to"
        ),
        "lock": (
            "[nothing/nobody/no one] [touches/changes/alters/overlaps]|[stays/remains] [as it is/put/unchanged/untouched]|{must_not} be changed/touched/altered/edited/modified/moved|{must_not} change/move|[don't/do not] let anything/anyone/anybody touch/change|"
            "[don't/do not] let (it) change|{must} stay/remain as it is|{must} stay/remain unchanged/untouched/put/fixed|"
            "[nothing/nobody/no one] [should/may/must/can] touch/change/overlap/alter|no more changes to|no changes to|"
            "no further changes to|safeguard|guard|pin (down)|fix|locking|seal|shield|read only|"
            "[don't/do not] mess with|[don't/do not] move|[don't/do not] edit|{must_not} get changed|leave well alone|i [don't/do not] want (any) changes to|"
            "keep your hands off|stop changing|preserve|stop touching|[don't/do not] overwrite"
        ),
        "unlock": (
            "allow changes to|allow (me/us) to change|allow (me/us) to edit|can/may be changed/edited/altered/modified/touched/moved|be changed again|"
            "change again|[release/lift/remove/take/take off/open] the lock (on/from/off/of/for)|let me change|free|thaw|unfix|"
            "remove the protection (from/of/on)|lift the protection (from/of/on)|take the protection off|stop protecting|"
            "unlocking|un-lock|un lock|no longer locked|no longer protected|undo the lock on|"
            "you can/may change/edit/touch/modify"
        ),
        "release": (
            "hand over|return|surrender|relinquish|give (you) back|hand (you) back|hand (you) over|give up|releasing|"
            "you [can/may] [change/update/edit/have/take/take over/use/alter/modify/overwrite]|take over|let [you/the agent/the model] have|"
            "let [you/the agent/the model] change|unfreeze|free up|unlock|free|i'm giving (you) back|i give back|i don't need|"
            "you (can/may) have back|hand back to you|allow changes to"
        ),
        "propose": "give me a (new) proposal|make a new proposal|re propose|try again|another proposal",
        "status": (
            "[what is/what's/what's up with] (the/our/your/my) (current/overall/present) status|[what is/what's] the status of this|tell me the status|"
            "[show/tell/give/get/read] (me) (a/the) (current/short) status/overview/summary/progress (report/update)|"
            "(a/current/short/brief) status report/update|report (the/our/your) (current) status|where do we/things stand|how do things stand|how do we stand|"
            "what do we have so far|what have we done so far|what have we done|what's (been) done so far|what is done so far|"
            "what's the state of things/affairs|what is the state of things/affairs|what's the current state|what is the current state|"
            "[can/could/may] [i/we] [have/get/see] (a/the) status/overview/summary (report/update)|"
            "[can/could] you give me (a/the) status/overview/summary (report/update)|give me an overview|summarise/summarize|"
            "summarise/summarize where we are|sum up|sum up where we are|how big is the volume|how's it going|"
            "how is it going|where have we got to|where have we gotten to|where did we get to|report|what's the situation|"
            "how is it looking|how are things (going/looking)|current state|status check|progress report|overview|how far along are we|"
            "tell me where we are|tell me how far we are|tell me where we stand|tell me how we are doing|show me where we are|show me where we stand|"
            "bring me up to date|update me|fill me in|what's the progress|what is the progress|what have i got so far|what do i have so far|"
            "what have you got so far|what have you got|what do you have|state of play|how far [we've/we have] got (so far)|what [we have/we've got/we have got/i have/i've got] (so far)|where we [are/stand]|where are we up to|how we're doing|[how's it/how is it/how are things/how are we] [looking/going/doing/coming along] (so far)|how is the contour coming along|(a) [quick/brief/short] [summary/overview/update/report]|how much [have we/have i] done|what is the current state of things"
        ),
        "help": (
            "[tell/show] me what (else) i [can/could/may/should] say/do/use/ask/type (here)|"
            "what (else) [can/could/may/do/should] i say/use/ask/type (here/now/next)|what (else) can i do/tell|"
            "what (else) (can/could/do) you do/understand/know/offer|what (all) (can/do) you understand|"
            "[what/which] (other/possible/voice/spoken) commands/phrases/words/sentences (are there/are available/can i use/can i say/do you understand/do you know/"
            "can you understand/exist/are possible/can i give/may i use/do i have/can i give you/work)|"
            "[list/show/tell/give] (me) (all) (the) (possible/available/voice) commands/options|"
            "[show/give] me [a/the] list of (the/all/possible/available) commands/options|"
            "(what are) (the/my/all) (all) (possible/available) commands/options|how does it work|how do i use it/you|how do i talk to you|"
            "how can i talk to you|i (need/could use/would like/want) some help|i could use (some/a little/a bit of) help|i'm lost|i am lost|i don't know what to say|"
            "i do not know what to say|i've forgotten the commands|remind me (of) the commands|remind me what i can say|[open/show/bring up] (me) (the) help|"
            "give me (some) help|can i get (some) help|how do i do this|some help|a little help|help out|what commands|which commands|"
            "what are (the) (available/possible/voice/spoken) commands|what [sort/kind/sorts/kinds] of [things/commands] [can i say/can i use/are there/do you understand/do you know]|what can i ask (you) (for)|i [don't/do not] know the commands|help me out|how [should/do/can] i phrase [things/it/that]|explain the commands|explain how this works|how am i supposed to talk to you|what are you able to do|what are you capable of|what can be said|"
            "tell me what you can do|tell me what you understand|tell me how this works|show me how this works|assist me|assistance"
        ),
        "next": (
            "what's next|what next|what is next|what's left to check|what is left to check"
        ),
    },
    "tentative": {
        "reject": "not good enough|not right|not what i had in mind|that won't do|this won't do",
        "accept": "that's correct|that is correct|i'm happy (now)|i am happy (now)|we're good|we are good|it'll do|it will do|happy",
    },
    # what is unsure, or needs a look, and where: "take me to the slice that you are least sure of"
    "where": {
        True: (
            "where|where's|where is|what's|wherever|which|which one|which slice/slices/bit/part/place/region/area/level/image|what slice/slices/part|"
            "(the/a/any/that/your/my) slice/place/spot/part/bit/region/area/level/location/thing/image|wherever|what|anything|anywhere|"
            "(the) slices/places/spots/parts/bits/regions/areas|next slice|the next slice|the next one|next one|(the) next place/spot/thing/bit/part/area/region|whereabouts"
        ),
    },
    "lead": {
        True: (
            "[let me/let us/let's/i'd like to/i want to/i would like to/i need to/can i/can we/could i/could we] [see/look at/check/review/go to]|[bring up/display/open/call up/put up]|else|left|is there|are there|needed|you'd like|you'd|you would like|i'd|still|exactly|"
            "(please) [take/bring/show/get/lead/guide/point/send/direct/steer/move/jump/go/scroll/skip/tell] (me/us) (to)|you|you're|you are|are you|i|we|should|shall|do|does|did|is|are|it|it's|the|a|of|at|to|that|"
            "contour|outline|segmentation|model|would|would you|like|like me|want|need|needs|feel|me|my|your|about|first|next|now|most|be|have|which|there|in|still|let me|know|find|let's|could|can|ought|with|on|has|for|by|yourself|still need|give|proposal|really|any"
        ),
    },
    "unsure": {
        True: (
            "(the) [least/less/not so/not very/not too/not really/not/most/so] {sure} (of/about)|(the) (most/very/really/quite/rather/more/still) {unsure} (of/about)|"
            "aren't {sure} (of/about)|isn't {sure} (of/about)|aren't so {sure} (of/about)|"
            "(the) highest/greatest/largest/most/biggest/maximum uncertainty|uncertainty (is) (the) [highest/greatest/largest/biggest/at its highest/at its greatest]|"
            "(the) lowest/least/smallest confidence|confidence (is) (the) lowest|(you) trust (the) least|trust (the) least|trust least|"
            "(the) worst|(the) weakest|(the) shakiest|(the) (most) wrong|(you) struggle|struggling|[have/has] doubts|in doubt|doubt|doubts|hesitate|"
            "might be wrong|may be wrong|could be wrong|is likely wrong|likely to be wrong|(the) least reliable|least trustworthy|most likely (to be) wrong|"
            "(the) least clear|most difficult|trickiest|hardest|(the) most ambiguous|(the) iffiest|worries you (most)|bothers you (most)"
        ),
    },
    "attend": {
        True: (
            "look|looks|look at|looking|looking at|to look (at)|check|checked|checking|to check|review|reviewed|reviewing|to review|"
            "inspect|to inspect|inspected|attention|a look|"
            "a check|a closer look|closer look|another look|focus|focus on|concentrate|concentrate on|verify|to verify|see to|work on|need me|needs me|"
            "need my help|needs my help|want me|be looking|be looking at|be checking|looked at|go next|to go|correct|examine|to examine|need input|needs input"
        ),
    },
    "direction": {
        "superior": "above|sup|cran|higher up|cranial direction|craniad|towards/toward the vertex|towards/toward the skull|headward|"
        "in the superior/cranial direction|in superior/cranial direction|upwards direction|(to/on/at) the superior/cranial/upper side|the superior/cranial/upper side",
        "inferior": "below|dn|inf|caud|lower down|caudal direction|footward|towards/toward the toes|in the inferior/caudal direction|"
        "in inferior/caudal direction|(to/on/at) the inferior/caudal/lower side|the inferior/caudal/lower side",
        "anterior": "ant|frontally|towards/toward the front|towards/toward the chest|frontwards|in the anterior/ventral direction|on the front|"
        "in anterior/ventral direction|(to/on/at) the anterior/ventral/front side|the anterior/ventral/front side|ventral direction",
        "posterior": "post|rearwards|towards/toward the back|towards/toward the spine|in the posterior/dorsal direction|on the back|the rear|at the rear|to the rear|"
        "in posterior/dorsal direction|(to/on/at) the posterior/dorsal/back side|the posterior/dorsal/back side|dorsal direction",
        "left": "l|leftward direction|in the left direction|towards/toward the left (side) (of the patient)|on the patient's left (side)|"
        "[on/to/at/towards/toward] the patient's left (hand) (side)|patient left|patient's left|on his/her/their left (side)|left direction|leftwards direction|"
        "[on/to/at] the left of the patient|left hand side|on the left hand side",
        "right": "r|rightward direction|in the right direction|towards/toward the right (side) (of the patient)|on the patient's right (side)|"
        "[on/to/at/towards/toward] the patient's right (hand) (side)|patient right|patient's right|on his/her/their right (side)|right direction|rightwards direction|"
        "[on/to/at] the right of the patient|right hand side|on the right hand side",
        "medial": "med|towards/toward the middle|inwards towards the midline|in the medial direction|in medial direction|the medial side|on the medial side|to the medial side",
        "lateral": "lat|in the lateral direction|in lateral direction|the lateral side|on the lateral side|to the lateral side|sideways",
    },
    "edge": {
        "superior": "the top|top|(the) superior/upper/top/cranial limit/boundary/part/half/pole/extent/tip|the upper/top slices|(the) upper|(the) roof",
        "inferior": "the bottom|bottom|(the) inferior/lower/bottom/caudal limit/boundary/part/half/pole/extent/tip|the lower/bottom slices|(the) lower|(the) floor",
        "anterior": "the front|front|(the) anterior/front/ventral limit/boundary/part/half/pole/extent/wall",
        "posterior": "the back|(the) posterior/back/dorsal/rear limit/boundary/part/half/pole/extent/wall|(the) rear (edge/border/side)",
        "left": "(the) left limit/boundary/part/half/extent/wall|(the) patient's left edge/border/side",
        "right": "(the) right limit/boundary/part/half/extent/wall|(the) patient's right edge/border/side",
        "medial": "(the) medial/inner limit/boundary/part/half/extent/wall",
        "lateral": "(the) lateral/outer limit/boundary/part/half/extent/wall",
    },
    "trim": {
        "superior": "from/at the top|off the superior/upper/top/cranial edge/border/end/side/margin/aspect/part/limit/boundary",
        "inferior": "from/at the bottom|off the inferior/lower/bottom/caudal edge/border/end/side/margin/aspect/part/limit/boundary",
        "anterior": "from the front|off the anterior/front/ventral edge/border/end/side/margin/aspect/part/limit/boundary",
        "posterior": "from the back|off the posterior/back/dorsal/rear edge/border/end/side/margin/aspect/part/limit/boundary|off the rear",
        "left": "from the left|off the left edge/border/end/side/margin/aspect/part/limit/boundary|off the left hand side|off the patient's left (side)",
        "right": "from the right|off the right edge/border/end/side/margin/aspect/part/limit/boundary|off the right hand side|off the patient's right (side)",
        "medial": "off the medial/inner edge/border/end/side/margin/aspect/part/limit/boundary|off medially",
        "lateral": "off the lateral/outer edge/border/end/side/margin/aspect/part/limit/boundary|off laterally",
    },
    "all_round": {
        True: (
            "in every dimension|in all axes|along all axes|every way|each way|all ways|any direction|in any direction|circumferentially|concentrically|"
            "the whole way round|the whole way around|overall|throughout|outward|outwards|all the way|symmetrically|"
            "equally on all sides|equally in all directions|uniformly in all directions|evenly all round|evenly all around|"
            "in each dimension|on every edge|on all edges|from every side|from all sides|in the round|across the board|everywhere around|in all three dimensions|in three d|isometrically"
        ),
    },
    "heading": {
        1: "advance|skip|on from here|further along|further forward|further ahead|onward|up ahead|go on|move on|go forward",
        -1: "earlier|before this one|before this|before|further back|in reverse|return|rewind",
    },
    "beside": {
        "next": (
            "next sl|(the) following {slice}|(the) {slice} after|(the) {slice} after this (one/slice)|one {slice} further (on)|"
            "the {slice} that follows|the slice that comes next|(the) adjacent next slice|(the) {slice} ahead|next level|the next level|next cut|the next cut|"
            "the one after (this)|the one following|the one following this|forward a slice|on a slice|a slice on|a slice forward|a slice further (on)"
        ),
        "previous": (
            "prev|prev slice|(the) previous/preceding/prior {slice}|(the) {slice} before|(the) {slice} before this (one/slice)|one {slice} earlier|one {slice} back|"
            "the last one|the slice i just left|back a slice|a slice back|a slice earlier|(the) slice we came from|the one before (this)|the one i just left"
        ),
        "above": (
            "(the) (adjacent/neighbouring/next) {slice} ({near}) above (this one/this slice/this/it)|(the) next {slice} superiorly/cranially/up|"
            "(the) (next) (more) superior/cranial/upper/higher {slice}|one superiorly/cranially|(a/one) {slice} superiorly/cranially|one higher|one up|"
            "up by one slice|up one slice|a slice higher|one slice higher|the one ({near}) above|(the) {slice} superior/cranial to this (one/slice)|"
            "superiorly/cranially (by) [one/a] slice|upwards by one slice|one slice upwards|one slice above (this) (one)"
        ),
        "below": (
            "(the) (adjacent/neighbouring/next) {slice} ({near}) below/beneath/underneath/under (this one/this slice/this/it)|(the) next {slice} inferiorly/caudally/down|"
            "(the) (next) (more) inferior/caudal/lower {slice}|one inferiorly/caudally|(a/one) {slice} inferiorly/caudally|one lower|one down|"
            "down by one slice|down one slice|a slice lower|one slice lower|the one ({near}) below|(the) {slice} inferior/caudal to this (one/slice)|"
            "inferiorly/caudally (by) [one/a] slice|downwards by one slice|one slice downwards|one slice below (this) (one)"
        ),
    },
    "side": {
        "above": "superior of|cranial of|cranially to|superiorly to|up from|upwards of|upward of|north of|past the top of|superior from|cranial from|on top of|further up than|more cranial than|more superior than|starting above|from above",
        "below": "inferior of|caudal of|caudally to|inferiorly to|down from|downwards of|downward of|south of|inferior from|caudal from|further down than|more caudal than|more inferior than|starting below|from below",
    },
    "everything": {
        True: (
            "whatever|whatever [is/lies/sits]|anything/everything/all (that/which) (is/lies/sits/comes/remains/goes) (left)|"
            "everything/anything lying/sitting/located|all (of) (the) (slices/contours/contour/parts/stuff/voxels/volume/tissue/segmentation) (that is/that are/which are/lying/that lie)|"
            "the slices|slices|the part (that is/that lies/lying)|what [is/lies/sits/comes]|what's left|the portion|the portion (that is/that lies)|the piece|"
            "the rest|all contouring|any contour|any contours|any slice|any slices|any part (of it)|every contour|every slice|the stuff|things|contouring|segmentation|all that's|"
            "every bit|every part|the section|the parts|parts|all parts|all bits|the bits|the contouring"
        ),
    },
    "outside": {
        True: (
            "[that/which/what] [is/lies/sits/extends/sticks/falls/goes/protrudes/spills/reaches/strays/hangs/pokes] outside (of)|"
            "[that/which/what] [lies/extends/sticks/goes/protrudes/spills/reaches/strays/hangs/pokes/is/falls] out of/beyond|"
            "[that/which] [sticks/spills/hangs/pokes] over|lying/sitting/extending/sticking outside (of)|sticking/poking/spilling/reaching/extending out of/beyond|exterior to|not inside|not within|"
            "[that/which] (is/isn't/is not) (not) inside|that isn't within|that is not within|that isn't in|that is not in|not in"
        ),
    },
    "as_is": {True: "fixed|locked|frozen|protected|just as it is|exactly as it is|how it is|safe|in its place|intact|as they stand|be|well alone|like this|like that|the same|static"},
    "nothing": {
        True: (
            "[i/we] want nothing|[i/we] want no contour|there {must_not} be anything|there {must_not} be any contour/contours/slices|there {must} be nothing|leave nothing|"
            "nothing {must} be/remain/stay|nothing should be left|nothing belongs|nothing is|no contouring|[don't/do not] contour anything|[don't/do not] segment anything|"
            "i [don't/do not] want anything|[don't/do not] include anything|[don't/do not] draw anything|nothing (more)|no slices|nothing at all|let there be nothing|"
            "nothing [should/must/may/can] [stick out/extend/go/be left/spill/protrude/reach]|nothing of it"
        ),
    },
    "here": {
        True: (
            "[the/this/that] {spot} i (just/last) clicked (on)|what i (just/last) clicked (on)|where i (just/last) clicked|[this/that/my/the] (last/latest/most recent/previous) {click}|"
            "where i've (just) clicked|where i have (just) clicked|where i put my/the click|the place i (just) clicked|[this/that/the] {spot} (right/over) here|right here|"
            "over here|right there|this piece|that piece|this point here|where my click is|under my click|at my (last) click|this {spot}|that {spot}|"
            "this thing|that thing|this tissue|that tissue|the thing i clicked|this location|that location|this here|just here|this voxel|where i pointed|where i just pointed"
        ),
    },
    "this": {True: "that's|this one|that one|this slice here"},
    "switch": {True: "change|convert"},
    "this_slice": {
        True: (
            "where i am|where we are|(the) current slice's|this slice's|this axial (slice)|the one (i'm/i am/we're/we are) on|the slice [we're/we are] on|the slice [i'm/i am/we're/we are] [looking at/seeing/viewing]|the [current/displayed/shown] [one/image/level/cut]|"
            "the slice that is shown/displayed|the slice on (the) screen|the present [one/image/level]|my current slice|this current slice|this very slice|the visible slice|this plane|the current plane|this axial image|this point on"
        ),
    },
    "slice_word": {True: "image no|level number|slice #|slice no .|sl|slc|slice nr|plane|axial|axial image|slice n"},
    "margin": {True: "extra margin (of)|buffer (of)|safety margin (of)|border (of)|ring (of)|extra (of)|pad (of)|padding (of)|an extra"},
    "it": {
        True: (
            "this/that/my/your/our {shape}|(the) (current/active/whole/entire/complete/existing/present/drawn) {shape}|the whole lot|"
            "the whole {shape}|the entire {shape}|all of it|the whole|the drawing|the result|the prediction|(the/its) edges|the borders|the boundary|the boundaries|its boundary|its surface|its edge|its border|"
            "the roi|roi|this roi|the shape|its size|the whole contour|the one|one|the thing|the blob|the outlines|its outline|its contour|the work|draft|the draft|my draft|mask|"
            "the ones|both|the skin of it|the extent|the result"
        ),
    },
    "active": {True: "(the/my/our) active/current structure/one/contour/roi/target|active|(the) one [i'm/i am] working on|(the) structure [i'm/i am] working on|the active"},
    "final": {True: "as final|as accepted|as approved|as done|as finished|as complete|as completed|as signed off|final|as the final (one/version/contour)|as ready"},
    "isolines": {
        True: (
            "unc|uncertainties|iso lines|isocontours|iso contours|uncertainty lines|uncertainty bands|(the/your/all) uncertainty isolines/contours/overlay/display/region/bands/lines|confidence lines|confidence bands|"
            "(the) [isoline/isocontour] display/overlay|how unsure you are|how uncertain you are|how confident you are|where you're sure|the lines of uncertainty|"
            "the uncertainty isolines|the uncertainty overlay|isoline|the isoline|those isolines|these isolines|those lines|the iso-lines|those uncertainty lines|the uncertainty of the contour|the isolines of uncertainty|probability lines|"
            "(the) model uncertainty|(the) model's uncertainty|the probability contours|the uncertainty band|what the uncertainty is|how sure it is|how certain it is"
        ),
    },
    "my_slices": {
        True: (
            "[the/my/all/those] [edited/corrected/changed/modified/own] slices (on/in/of/for)|[the/my] manually edited slices|[the/all] slices (that) [i/i've/i have] [edited/changed/corrected/modified/drawn/touched] (in/on/of/by hand/myself)|"
            "the slices i've (edited/changed/corrected/modified) (on/in/of)|slices (that) i (edited/changed/corrected)|(my/the) manual edits/changes/corrections (on/in/of/to)|(my/the) hand edits|my corrected slices|[all/any of] my edits|all my slices|those slices|these slices|"
            "what i edited|what i changed|the slices i did|the slices i corrected (in/on)|my edits (to/on/in/of)|edited slices|slices of mine|my changed slices|my edited ones|the ones i edited"
        ),
    },
    "to": {
        True: (
            "back to|on to|to (just/only) [what is/what's/the part/whatever is] (that is) {inside}|so (that) it stays/is/fits/remains/lies/ends/keeps (only) {inside}|so (that) it (does not/doesn't) leave/exceed/cross|so (that) it (does not/doesn't) extend/go/stick/reach/spill {beyond}|"
            "to stay/fit {inside}|down to|to be {inside}|so as to stay {inside}|to lie {inside}|in with|"
            "to fit|to just|so (that) it's {inside}|so (that) nothing is outside|so (that) nothing sticks out of|so (that) it never leaves|so (that) nothing lies outside"
        ),
    },
    "off": {"out": "outwards|outward|out of there|out of here|out of it|from it|from there|out from it|from here", "in": "in|into it|inward|in too|in as well|in it|in there|in here", "back": "backwards"},
    "from": {True: "away from|off of|out from|from within|from inside|from out of"},
    "named": {True: "the name (of)|a name (of)|with name|under the name (of)|and call it|, call it|and name it|, name it|which is called|that is called|to be called|to be named|calling it|by name of|and label it|titled|entitled"},
    "last": {True: "most recent|preceding|final"},
    "step": {True: "click|clicks|operation|operations|modification|modifications|commands|stroke|strokes|prompts|prompt|edits"},
    "times": {1: "a single time|one more|just once|only once", 5: "x5|5 x|five more times", 2: "x2|2 x|x 2|two more times|two times over", 4: "x4|4 x|four more times", 3: "x3|3 x|x 3|three more times"},
    "vague": {True: "a whisker|a hair|a smidge|a little more|a bit more|a little less|a good bit|a fair bit|a tiny bit|somewhat|considerably|a lot more|moderately|a trifle|a shade|a little way|a good deal|a wee bit"},
    "verdict": {
        Polarity.INCLUDE: "[that's/it's] {surely} [inside/in the tumour/in the tumor/part of it/gross disease]|[an/into an/to/to an] [include/including/inclusion] (point/click/one)",
        Polarity.EXCLUDE: (
            "not tumour/tumor|[this/that/here/it] is {surely} (a/an/some/part of the/the) {tissue}|[that's/it's] {surely} (a/an/some/part of the/the) {tissue}|"
            "[that's/it's] {surely} [outside/outside the tumour/outside the tumor/benign/healthy/normal]|"
            "[that's/it's] not {surely} [part of it/cancer/disease/malignant/in the tumour/in the tumor]|"
            "[an/into an/to/to an] [exclude/excluding/exclusion] (point/click/one)"
        ),
    },
    "gap": {
        True: (
            "(the) [missing/skipped/empty/intermediate/intervening/in between/remaining/omitted] {gap} (in between)|"
            "({my}) {gap} in between|({my}) {gap} between|({my}) gap/gaps/holes|(the) {gap} [i/we] [skipped/missed/left out]|[what's/what is] missing|"
            "({my}) {gap} that are missing|between (the/my/our) (drawn) slices/contours/ones/two|in between (them/these)|across (the) slices|over the missing slices"
        ),
    },
    "yes": {
        True: (
            "[yes/yeah/yep] (,) [that's/that is/it is/it's] (absolutely/quite/exactly) [right/correct/it/true/fine/so/what i meant/what i want/what i mean/what i said/the one/ok/okay]|that's what i want|that's what i said|that is what i meant|"
            "[yes/yeah/yep/yup/ok/okay/sure/fine] (,) (please) do [that/it/so/this]|[yes/yeah/yep/yup/ok/okay/sure] (,) (please) [do/go ahead/carry on/go on/continue/proceed/go for it] (with it/with that/and do it/then)|"
            "[yes/yeah/yep/yup] (,) [i'm/i am] [sure/certain]|i'm sure|i am sure|sure thing|precisely|(please) continue|that's exactly [right/it/what i meant/what i want]|certainly|definitely|exactly that|exactly (right)|quite right|that's the one|that is the one|i confirm (that/it)|confirm (that/it)|yes (,) confirmed|"
            "yes (,) [that's/i'm] [fine/good] (by/with) me|[yes/yeah/yep] (,) i meant that|[yes/yeah] (,) i do|yes (,) [of course/absolutely/indeed/exactly/definitely/certainly/sure]|make it so|proceed|"
            "carry on|go on then|yes indeed|okay do|please proceed|[yes/yeah] (,) by all means|you got it|right you are|correct (,) (go ahead/do it)|do so|do that|do it please|roger|yes (,) thank you|yes (,) thanks|okay (,) go ahead|yes yes|yes (,) carry on|yes (,) do"
        ),
    },
    "cancel": {
        True: (
            "[no/nope/nah] (,) (please) [[don't/do not]]|[no/nope/nah] (,) (please) [[don't/do not]] do [it/that/this]|don't do that|do not do that|[no/nope/nah] (,) [leave/let] [it/that] [be/alone]|no (,) leave it as it is|no (,) leave it as is|leave it be|"
            "[no/nope/nah] (,) [forget/cancel/scratch/skip/drop/stop/ignore/abort] (about) [it/that]|[no/nope/nah] (,) [cancel/stop/abort/never mind]|[no/nope/nah] (,) [that's/that is/it's/this is] [wrong/not right/not correct/not it/not what i meant/not what i said/not what i want/not what i wanted]|"
            "[that's/that is/it's] not [what i meant/what i said/what i want/what i wanted/right/correct/it]|i didn't [mean/say/want] that|i did not [mean/say/want] that|cancel it|cancel this|no (,) don't bother|forget about it|forget about that|forget i said that|forget what i said|never mind that|"
            "better not|(i'd) rather not|stop that|no (,) thank you|no (,) stop|absolutely not|certainly not|definitely not|of course not|no (,) i didn't|no (,) i don't|ignore what i said|ignore it|ignore me|no chance|by no means|"
            "no (,) not that|no (,) i don't want that|no (,) leave it|no (,) wrong|no (,) no|no (,) never mind|no (,) i changed my mind|i changed my mind|i've changed my mind|hold off|withdraw that|call it off|no (,) absolutely not|not at all|no (,) scratch that|no (,) please don't"
        ),
    },
    "correction": {
        True: (
            "whoops|oh dear|oh|argh|oh sorry|wait a second|wait a moment|hang on a second|[no/sorry/actually/wait/oops/er/rather] (,) (no/sorry/actually/wait/i mean/i meant/rather) (,) make [that/it]|[better/instead] make [it/that]|"
            "[no/sorry/wait/oops/ah/uh/er] (,) [no/sorry/wait/actually/rather/i mean/i meant]|change that to|i should say|should say|i should have said|my mistake|excuse me|apologies|pardon"
        ),
    },
    "and": {True: "+|but only|besides|in addition to|&"},
    "then": {True: "after that (,)|[when/once] [that's/that is/it's/you're/you are] [done/finished] (,)|secondly|lastly|and lastly|thereafter|subsequently|and next"},
    # turn an order into something else: no rule holds them
    "limit": {
        True: (
            "up to|at least|at most|no more than|not more than|less than|more than|maximum|minimum|a maximum of|a minimum of|between|"
            "[you/i/we/it] [should/could/would/must/might] have|[all/everything/anything] [but/except/apart from/other than]|apart from|other than|with the exception of|take [it/this] out by|[should/could/would/must/might] have|as much as|no less than"
        ),
    },
    # said before or after a command, and nothing more
    "remark": {
        True: (
            "that was (all) (a) [wrong/mistake/not right/not what i meant/not what i wanted/bad/rubbish/nonsense/an accident/accidental/a slip/the wrong one/stupid/silly]|[i/i've] made a mistake|my mistake|my bad|i misclicked|i clicked wrong|wrong one|wrong button|wrong key|wrong click|"
            "that's (a) mistake|that's wrong|it's [messy/rough/jagged/bumpy/uneven]|this is [messy/rough/jagged/bumpy/uneven]|it looks [messy/rough/jagged/bumpy/uneven/too big/too small]|i didn't (mean/want) (to do) that|i did not mean that|that [went/is] wrong|that [went/is] too far|i went too far|"
            "there are gaps (between the slices)|there are gaps in it|i'm not happy with (it/this/that)|i don't like that|that's enough of that|too far|"
            "it bleeds|there's a gap|we're finished here|that's it for this (one)|that's that|here we go|let me think|let me see|let's see"
        ),
    },
    "question": {True: "would you|[can/could/may/might] [i/we]"},
    # begins a clause that says why; it is passed over, and what is left is asked back
    "purpose": {
        True: (
            "so that|so it|so i|so we|so nothing|so the|so they|in order to|in order that|because|since it|since i|since the|as it's|as it is too|otherwise|to make sure|to be sure|to make certain|to be on the safe side|"
            "to be safe|to cover|to allow for|to account for|to match|to reach|to avoid|to follow|for safety|to spare|to include all|for better|due to|given that|to make room|to compensate|so as to|to ensure|"
            "before i|before we|because of|cause it|seeing that|to keep it|to take account of|to improve|for setup|for set up|to fit"
        ),
    },
    # a wish that goes with a participle: "I'd like the GTV expanded", "could it be shifted"
    "wish": {True: "{wish}|{must}|{must} (also/now/then) be|{must} (also/now/then) get|to be|be|have|get|could|can|may|should|must|can be|could be|let|needs|need|wants|please have|i want to have|i'd like to have|[i'd/i would] like"},
    "wish_not": {True: "{must_not} be|{must_not} get|i [don't/do not] want|we [don't/do not] want|[don't/do not] let|must never be|should never be|never be"},
    "filler": {
        True: (
            "[could/can/will] you (please/kindly/just/now/also) (be so kind as to)|[would/do] you [mind/please/kindly/be so kind as to]|"
            "[i was wondering/i wonder/i'm wondering/do you think/i'd be grateful/i would be grateful/i'd appreciate it/i would appreciate it/it'd be great/would it be okay/would it be ok/is it okay/is it ok] if [you could/you would/you can/we could/i could]|"
            "do you think you could|would you be able to|are you able to|[can/could/may/might] i [ask you to/get you to/trouble you to]|i'd ask you to|i'd love [to/you to/it if you could]|"
            "that would be [great/lovely/nice/good/perfect/fine/helpful/wonderful]|that'd be [great/lovely/nice/good/perfect/helpful]|would be great|would be nice|much obliged|thank you kindly|very kind|"
            "if it's not too much trouble|if it isn't too much trouble|if it's no trouble|if that works|whenever you're ready|when you have a moment|when you get a moment|with your permission|go right ahead and|"
            "[i've/i have] decided (to/that)|any|i [believe/think/feel/reckon/guess/suppose/fear] (that)|i'm afraid (that)|it seems (that)|to be honest|honestly|actually please|why don't we|let's try (to)|let us now|tell me|i'd rather|we'd better|we had better|i'd better|you'd better|"
            "all right|alrighty|righto|right so|okay so|ok so|yes so|well then|very well|in that case|therefore|thus|hence|accordingly|but|or so|or thereabouts|more or less|a|"
            "i'd suggest (that)|i suggest (that)|we might|we could|you might|might as well|perhaps you can|i'd prefer (to)|i prefer to|i would prefer (to)|we will need to|we'll need to|i'll need to|i'll need you to|"
            "at this time|this moment|on my screen|on the screen|on screen|for the moment|for today|in the meantime|if you have time|one more time please|please and thank you|"
            "[would it be/is it/would it be at all] possible to|"
            "it would be [good/great/nice/helpful/lovely] [to/if you could/if you would]|why don't you|why not|could we (please/just)|can we (please/just)|"
            "[i'll/i will/we'll/we will] (just/now)|i think [we/you] should|i want you to|i (really) need you to|i'd (really) like you to|we'd like you to|you [can/could/should/need to/must] (now/please/just)|"
            "make sure (that/to)|be sure to|ensure (that)|see to it that|take care that|be so [kind/good] as to|feel free to|if you [please/wouldn't mind/could/can/would]|"
            "when you [can/are ready/get a chance]|while you're at it|first|firstly|first of all|to begin with|to start with|"
            "start by|begin by|another|an additional|additional|in total|altogether|to do so|it needs|it wants|it could do with|could do with|patient's|"
            "[do/perform/run/carry out/apply/give it] (a/an)|with a radius of|with a (radius/kernel/value/strength)|radius|a radius of|a kernel of|a value of|a distance of|"
            "over it|to it|on it|thank you very much|thanks a lot|many thanks|thanks so much|much appreciated|pls|plz|thx|ta|at once|straight|and so on|"
            "[i'd/i would] like to|we'd like to|now let's|still|also|really|give me|give|kind of|sort of|me|good morning|good afternoon|dear|doctor|mate|so much|for us|if that's [ok/okay/possible/alright]|if it's [ok/okay/possible/alright]|"
            "a further|further|farther|by another|extra bit|the amount of|back again|yet|something like|i'd say|at this point in time|then please"
        ),
    },
}

# a participle and the verb or command that it is of; it counts beside a wish
PARTICIPLES: dict[tuple[str, str], str] = {
    ("verb", "grow"): "grown|expanded|extended|enlarged|dilated|widened|thickened|increased|inflated|stretched|lengthened",
    ("verb", "shrink"): "shrunk|shrunken|reduced|contracted|eroded|tightened|trimmed|shaved|narrowed|shortened|decreased|"
    "pared down|cut back|pulled in|brought in|trimmed back|retracted|taken in",
    ("verb", "shift"): "shifted|moved|translated|nudged|displaced|slid|dragged|relocated|repositioned",
    ("verb", "smooth"): "smoothed (out/off)|smoothened|rounded off|softened|tidied (up)|evened out|polished|cleaned up",
    ("verb", "include"): "included|covered|taken in",
    ("verb", "add"): "added|merged|joined|incorporated|fused|combined",
    ("verb", "exclude"): "excluded|subtracted|carved out|left out|spared|avoided|omitted|taken out|kept out",
    ("verb", "part_out"): "[taken/cut/carved/left/kept/scooped/cropped] out of|[removed/excluded/subtracted/taken away/kept away/cut] from|kept off",
    ("verb", "part_in"): "included in|[added/joined/merged] [to/into/with]|taken into",
    ("verb", "remove"): "removed|cut off|erased|cut|chopped off|taken off",
    ("verb", "delete"): "deleted|cleared|wiped|gone|thrown away",
    ("verb", "keep"): "kept|retained|preserved",
    ("verb", "crop"): "cropped|restricted|limited|confined|clipped|kept inside|kept within|constrained|contained in|contained within",
    ("verb", "fill"): "interpolated|filled in|filled",
    ("verb", "copy"): "copied|duplicated|propagated|repeated|pasted|cloned|carried over",
    ("verb", "contour"): "contoured|segmented|outlined|delineated|drawn|traced|marked|auto-contoured|autocontoured|done",
    ("verb", "rename"): "renamed|called|named|relabelled|relabeled",
    ("verb", "show"): "shown|displayed|turned on|switched on|visible",
    ("verb", "hide"): "hidden|turned off|switched off|invisible|removed",
    ("verb", "use"): "active|selected|activated",
    ("command", "accept"): "accepted|approved|finalised|finalized|signed off",
    ("command", "reject"): "rejected|discarded|binned|thrown away|thrown out|scrapped",
    ("command", "reopen"): "reopened|opened again|opened up (again)",
    ("command", "lock"): "locked|protected|frozen|left alone|kept as it is|left as it is|left untouched|locked down|kept unchanged",
    ("command", "unlock"): "unlocked|unfrozen|unprotected|freed",
    ("command", "release"): "released|given back|handed back",
    ("command", "touch"): "changed|touched|altered|edited|modified|moved|overwritten|overlapped|harmed",
    ("command", "undo"): "undone|reversed|reverted|taken back",
    ("command", "redo"): "redone|restored|reinstated",
}  # fmt: skip
# words that turn a sentence's meaning: a clause with one of them is not read without it
OTHERWISE = frozenset(
    """not no never none nor neither don't doesn't didn't won't can't cannot isn't wasn't aren't shouldn't mustn't
    unless until till if when whenever before after while without instead except but or rather than percent % times
    inch inches pixel pixels voxel voxels degree degrees gray gy litre litres cc ml rotate rotation flip mirror scale
    was were been had has have did would might maybe perhaps possibly almost nearly between minus least most once later
    tomorrow yesterday already who why how what said says told he she they patient half double twice third - / to
    everything all everyone both either some any every each i you""".split()
)
