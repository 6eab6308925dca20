"""Rubrics of satisfaction and dissatisfaction, 9 each (WildFeedback, arXiv 2408.15549), and a rule for each.

A rule covers plain cases only, those that a person would label at a glance. Probabilities are set by hand, not fitted;
none of dissatisfaction reaches 0.9, since few such claims were right on dialogues that people rated (notebooks/LOG.md).
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Label = Literal["satisfied", "dissatisfied", "none", "unsure"]
MEANING_SATISFIED = {
    "gratitude": "thanks for an answer",
    "learning": "says that they now know or understand something that they did not",
    "compliance": "has followed the advice or used the answer, or says that they will",
    "praise": "calls an answer good, in words or with an emoji",
    "personal details": "opens up and tells of themselves because the talk does them good",
    "humour": "laughs or jokes with the assistant in a friendly way",
    "acknowledgement": "confirms that an answer was right or was understood",
    "positive closure": "ends the conversation content",
    "getting there": "says that an answer is better than before or partly right, with something left to do",
}
MEANING_DISSATISFIED = {
    "negative feedback": "calls an answer bad or unhelpful, or reports that it does not work",
    "revision request": "wants an answer done again or changed, or asks the same question again",
    "factual error": "corrects the assistant or doubts that an answer is right",
    "unrealistic expectation": "insists on what the assistant has said that it cannot do",
    "no engagement": "breaks off, or will not answer what the assistant asks",
    "ignored": "says that a request or a part of it was passed over, or that the answer misses the point",
    "lower quality": "says that an earlier answer, or another assistant, was better",
    "insufficient detail": "says that an answer is too short, general or incomplete, or wants more of it",
    "style": "dislikes form, tone, length or difficulty of an answer",
}
SATISFIED, DISSATISFIED = tuple(MEANING_SATISFIED), tuple(MEANING_DISSATISFIED)


class Rule(NamedTuple):
    """Pattern of words that show a rubric, and the probability of the label where it matches."""

    rubric: str
    pattern: re.Pattern[str]
    probability: float


def _rule(rubric: str, probability: float, pattern: str) -> Rule:
    return Rule(rubric, re.compile(pattern, re.IGNORECASE), probability)


# Parts that several rules share: the answer, "is", and words of degree.
_IT = (
    r"(?:that|this|it|your (?:answer|response|reply|code|explanation|version)|"
    r"the (?:answer|response|code|result|output))"
)
_IS = r"(?:\s+is|'s|\s+was|\s+looks|\s+sounds|\s+seems)"
_VERY = (
    r"(?:\s+(?:so|very|really|just|still|also|absolutely|pretty|quite|all|completely|totally|much|way|even|"
    r"a bit|a little|kind of|far))*"
)

RULES = (
    _rule("gratitude", 0.9, (
        r"\b(?<!no )(?:thanks|thank you|thx|ty so much|much appreciated|i appreciate (?:it|that|this|your)|"
        r"cheers,? mate)\b"
    )),
    _rule("learning", 0.85, (
        r"\b(?:i (?:get|see|understand) (?:it )?now|now i (?:get|see|understand)|i didn'?t know (?:that|this)|"
        r"til\b|that (?:makes sense|clears (?:it|that|things) up)|i(?:'ve| have)? learned|good to know|"
        r"oh,? i see)\b"
    )),
    _rule("compliance", 0.85, (
        r"\b(?:that worked|it works?(?: now| perfectly| great)|works (?:now|perfectly|great|like a charm|fine)|"
        r"i(?:'ll| will) (?:try|do|use|go with) (?:that|this|it|your)|"
        r"i (?:tried|followed|used) (?:it|that|your \w+),? and it work(?:s|ed)|"
        r"solved (?:it|my problem|the problem))\b"
    )),
    _rule("praise", 0.88, (
        rf"(?:(?<!not )(?<!n't )\b(?:perfect|excellent|awesome|amazing|brilliant|fantastic|wonderful|well done|"
        rf"great (?:job|work|answer|explanation|idea)|good (?:job|bot|answer|work|explanation)|"
        rf"nice (?:one|work|job)|love (?:it|this|that)|exactly what i (?:wanted|needed|was looking for)|"
        rf"you(?:'re| are) (?:the best|so helpful|a genius|a lifesaver))\b|"
        rf"\b{_IT}{_IS}{_VERY}\s+(?:great|perfect|helpful|beautiful|lovely|useful|clear|amazing|good)\b)"
    )),
    _rule("humour", 0.7, (
        r"(?:\b(?:lol|lmao|rofl|ha(?:ha)+h?|hehe+|you(?:'re| are) (?:so )?funny|that made me laugh)\b|[😂🤣😄])"
    )),
    _rule("acknowledgement", 0.6, (
        r"^\W*(?:ok(?:ay)?|got it|sure|alright|great|nice|cool|good|understood|right|sounds good|fair enough|"
        r"yes,? exactly)\W*$"
    )),
    _rule("positive closure", 0.8, (
        r"\b(?:that(?:'s| is| will be) all(?: i needed)?(?: for (?:now|today))?|"
        r"have a (?:good|great|nice|lovely) (?:day|one|evening|night|weekend)|(?:good)?bye\b(?! bye)|"
        r"see you (?:later|tomorrow|soon)|talk (?:to you )?(?:later|soon|tomorrow))"
    )),
    _rule("getting there", 0.65, (
        r"\b(?:(?:much |a lot |way |that'?s |even )better(?: now)?(?! than before it| if| to)|"
        r"closer(?: to what)?|almost (?:there|right|perfect)|getting (?:there|closer)|good start|"
        r"on the right track)\b"
    )),
    _rule("personal details", 0.55, (
        r"\b(?:my (?:wife|husband|son|daughter|mom|mum|dad|boss|dog|cat|kids|girlfriend|boyfriend) (?:will|"
        r"would|is going to|loves?|loved|laughed|is so)|you remind me of|i feel (?:so much )?better)\b"
    )),
    _rule("negative feedback", 0.8, (
        rf"(?:\b(?:useless|terrible|horrible|awful|garbage|rubbish|this sucks|you suck|"
        rf"stupid (?:bot|ai|answer)|disappoint(?:ed|ing)|waste of (?:my )?time|wtf|"
        rf"not (?:helpful|good|useful|great|what i (?:asked|wanted|meant|need(?:ed)?)|it|"
        rf"right(?! (?:now|away|here|this (?:minute|second|moment)|at (?:the|this) moment)))|"
        rf"(?:doesn'?t|didn'?t|does not|did not|isn'?t|won'?t) (?:help(?:ful)?|work(?:ing)?|"
        rf"make (?:any )?sense)|still (?:not|no|doesn'?t|wrong|broken|fails|the same))\b|"
        rf"\bi (?:don'?t|do not|didn'?t) like (?:it|that|this|any|the)\b|"
        rf"\b{_IT}{_IS}{_VERY}\s+(?:bad|useless|broken|nonsense|horrible)\b|^\W*(?:no|nope|bad)\W*$)"
    )),
    _rule("revision request", 0.8, (
        r"\b(?:(?:try|do (?:it|this|that)|start|write it|answer|read (?:it|my \w+|the \w+)) (?:again|over)|"
        r"re-?(?:do|write|phrase|generate|word) (?:it|this|that|the)|"
        r"(?:please )?(?:fix|correct|revise|redo) (?:it|that|your)\b|"
        r"(?<!like )i (?:said|asked|meant|already (?:told|said|asked))|as i (?:said|asked)|another (?:try|attempt)|"
        r"change it (?:back|to))\b"
    )),
    _rule("factual error", 0.85, (
        rf"(?:\b(?:you(?:'re| are| got (?:it|that|this))|{_IT}{_IS}){_VERY}\s+(?:wrong|incorrect|"
        rf"not (?:true|correct|right|accurate)|false|mistaken|untrue|made up|hallucinat\w+)\b|"
        rf"\b(?:that|this|it) ?isn'?t (?:true|correct|right|accurate)\b|"
        rf"\byou (?:made (?:a|an|that|it) (?:mistake|error|up)|are (?:lying|making (?:that|it|this) up)|"
        rf"miscalculated|hallucinated)|^\W*(?:wrong|incorrect)\b|\bthere (?:is|are) no such\b)"
    )),
    _rule("unrealistic expectation", 0.7, (
        r"\b(?:why (?:can'?t|won'?t|don'?t|couldn'?t) you(?: just)?|you (?:should|must) be able to|"
        r"i thought you could|you(?:'re| are) supposed to (?:be able|know|access|see)|"
        r"just (?:open|browse|access|look at) the (?:link|site|file|web))\b"
    )),
    _rule("no engagement", 0.7, (
        r"(?:\b(?:never ?mind|forget it|forget about it|whatever|i give up|"
        r"i(?:'ll| will) (?:do it myself|ask (?:someone|somebody) else|google it)|"
        r"this is (?:pointless|going nowhere)|stop (?:it|talking|answering))\b)"
    )),
    _rule("ignored", 0.85, (
        r"\b(?:you (?:ignored|forgot|missed|skipped|left out|"
        r"didn'?t (?:answer|read|use|follow|include|do|address|listen|even)|"
        r"did not (?:answer|read|use|follow|include|do|address|listen)|"
        r"keep (?:ignoring|repeating|doing|saying|using))|i (?:told|asked) you (?:not )?to|"
        r"that(?:'s| is)(?: not|n'?t) what i (?:asked|said|meant)|not what i asked|"
        r"answer (?:my|the) question)\b"
    )),
    _rule("lower quality", 0.75, (
        r"\b(?:(?:was|were|used to be|did) (?:much |a lot |so much |way )?(?:better|smarter)(?: before| last|"
        r" the first)?|(?:got|getting|is|it'?s|that'?s|become|even) (?:much |a lot |so much |way )?worse|"
        r"the (?:first|previous|last|old|earlier) (?:one|version|answer|draft) was (?:much |way )?(?:better|"
        r"nicer|clearer)|you(?:'ve| have)? (?:gotten|become|got) (?:dumber|worse|lazy|lazier))\b"
    )),
    _rule("insufficient detail", 0.7, (
        rf"(?:\b(?:too (?:short|vague|general|generic|brief|shallow|superficial)|"
        rf"more (?:detail(?:s|ed)?|specific|in[- ]depth|depth)|"
        rf"(?:not|isn'?t) (?:detailed|specific|long|deep) enough|be (?:more )?specific|elaborate (?:on|more)|"
        rf"go deeper|(?:needs?|lacks?|missing) (?:more )?(?:details?|examples?))\b|"
        rf"\b{_IT}{_IS}{_VERY}\s+(?:short|vague|incomplete)\b)"
    )),
    _rule("style", 0.75, (
        r"(?:\b(?:too (?:long|wordy|verbose|formal|informal|casual|complicated|complex|robotic|technical|"
        r"cheesy|flowery|repetitive|many words)|(?:sounds?|reads) (?:like (?:a|an) (?:robot|ai|advert\w*)|"
        r"robotic|unnatural|stiff)|(?:make|keep) (?:it|this|that) (?:shorter|simpler|"
        r"more (?:casual|formal|concise|natural|human|friendly)|less (?:formal|wordy))|(?:more|be) concise|"
        r"(?:shorter|simpler),? please|less (?:formal|wordy|verbose|flowery)|"
        r"stop (?:using|with the) (?:emojis?|bullet|lists)|no (?:emojis?|bullet points?) please|"
        r"don'?t use (?:emojis?|bullet|lists|so many))\b)"
    )),
)  # fmt: skip
