"""What a turn shows beside its meaning: the rules' words and where they stand, its form, and what stands around it.

Numbers for the trained head (`plus/signals/head.py`); standard library only. What the model says next counts
too: "I apologize" after a turn tells of a complaint, "You're welcome" of thanks, in whatever words the turn said it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from plus.signals import lexicon
from plus.signals.lexicon import words_of_other_tongues
from plus.signals.rubrics import DISSATISFIED, SATISFIED
from plus.signals.rules import common_words, plain, spoken
from plus.types import Turn

_FLAGS = {
    "asks": r"\?\s*$",
    "question word": r"^\W*(?:what|who|when|where|which|how|why|is|are|does|do|did|can|could|would|should)\b",
    "a task": r"^\W*(?:please\s+|now\s+|ok\s+|okay\s+|next\s+|and\s+|then\s+)*(?:write|create|make|give|list|explain|describe|translate|generate|summari[sz]e|tell|find|convert|compare|suggest|act|play|draft|imagine|let'?s)\b",
    "says no": r"^\W*(?:no|nope|nah|not|wrong|but|hm+|um+|uh|non|nein|nee|não|нет|不)\b",
    "says yes": r"^\W*(?:yes|yeah|yep|yup|sure|ok|okay|alright|fine|good|great|nice|sí|oui|ja|да|是|对)\b",
    "you did": r"\byou(?:'ve| have|'re| are| did| didn'?t| don'?t| just| still| only| keep| forgot| missed| gave| said| wrote| made| used| changed)\b",
    "your": r"\byour\b",
    "i said": r"\bi(?:'d| had| have|'ve)? (?:already |just |literally |clearly )?(?:said|asked|told|meant|mean|wanted|want|need|needed|specified|wrote)\b",
    "again": r"\b(?:again|once more|still|another|instead|rather|re\w{2,})\b",
    "too": r"\btoo\b|\b(?:more|less|shorter|longer|simpler|better|worse)\b",
    "not": r"\b(?:not|\w+n't|never|without|nothing|none)\b",
    "shouts": r"!!|\b[A-Z]{4,}\b.*\b[A-Z]{3,}\b",
    "thanks at once": r"^\W*(?:\w+\W+){0,2}?(?:thank\w*|thx|ty|cheers)\b",
    "an error": r"\b(?:Traceback|\w*Error|Exception|undefined|segfault|NaN|null pointer|stack trace|failed)\b",
    "a laugh": r"(?:\b(?:a?ha(?:ha)+h?|lol|lmao|hehe|jaja\w*|kkk+|mdr|xd)\b|[😂🤣😄😆😜])",
    "a face": r"[❤👍🔥🙏😊😍🥰]|:\)",
    "material": r"```|^>|<\w+>|\\n|\{.*\}",
    "brings its material": r"^[^\n]{3,90}(?::\s|:?\n)\s*\S.{12,}",
    "a quote": r"[\"“«].{3,}[\"”»]",
}  # fmt: skip
_IGNORING_CASE = {name: re.compile(pattern, re.IGNORECASE | re.DOTALL) for name, pattern in _FLAGS.items() if name not in ("shouts", "an error")}  # fmt: skip
_AS_WRITTEN = {name: re.compile(_FLAGS[name], re.DOTALL) for name in ("shouts", "an error")}
_AROUND = {
    "the answer refused": ("answer", r"\b(?:i(?:'m| am) sorry|i apologi[sz]e|unfortunately|as an ai|i (?:cannot|can't|do not have|don't have))\b"),
    "the answer asked": ("answer", r"\?\s*$"),
    "the answer is code": ("answer", r"```|\bdef |\bfunction\b|SELECT "),
    "then sorry": ("after", r"\b(?:apologi[sz]e|apologies|sorry|my mistake|you(?:'re| are) (?:right|correct)|misunderst|perdón|lo siento|entschuldig|désolé|desculpe|извин)|抱歉|对不起|申し訳|죄송"),
    "then welcome": ("after", r"\b(?:you(?:'re| are) (?:very |most )?welcome|glad|happy (?:to|that|you)|my pleasure|no problem|thank you for|de nada|gern geschehen|de rien)\b|不客气"),
    "then revised": ("after", r"\b(?:revised|updated|corrected|shorter|improved|another version|try again|modified)\b"),
}  # fmt: skip
_WITHIN = {name: (part, re.compile(pattern, re.IGNORECASE)) for name, (part, pattern) in _AROUND.items()}
_OTHER = re.compile(r"[^\W\d_a-zA-Z]")
NAMES = (
    *(f"rule: {rubric}" for rubric in (*SATISFIED, *DISSATISFIED)),
    *_IGNORING_CASE, *_AS_WRITTEN, *_WITHIN, *lexicon.NAMES,
    "words", "short", "long", "letters of other scripts", "like the last question", "like an earlier one", "a short reply",
)  # fmt: skip


def hints(text: str, asked: Sequence[str], answer: str, after: str = "") -> list[float]:
    """One number for each of `NAMES`, all about 0 to 1; `asked` are the user's earlier turns, `answer` and `after`
    what the model said before and after this one ("" for nothing)."""
    said = spoken(text)
    by_rule = dict.fromkeys((*SATISFIED, *DISSATISFIED), 0.0)
    for start, _, rubric, probability in plain(text):
        early = start < 100 or len(text) < 250
        by_rule[rubric] = max(by_rule[rubric], probability if early else probability / 2)
    around = {"answer": answer.strip()[:300] + " " + answer.strip()[-100:], "after": after.strip()[:160]}
    words = len(said.split())
    common = [common_words(text, earlier) for earlier in asked]
    within = [float(bool(pattern.search(around[part]))) for part, pattern in _WITHIN.values()]
    return [
        *by_rule.values(),
        *(float(bool(pattern.search(said))) for pattern in _IGNORING_CASE.values()),
        *(float(bool(pattern.search(text[:2000]))) for pattern in _AS_WRITTEN.values()),
        *within,
        *words_of_other_tongues(said),
        math.log1p(words) / 5,
        float(words < 4),
        float(len(text) > 600),
        len(_OTHER.findall(said)) / max(1, len(said)),
        common[-1] if common else 0.0,
        max(common, default=0.0),
        float(words < 8 and bool(within[list(_WITHIN).index("the answer asked")])),
    ]


def around(talk: Sequence[Turn]) -> list[tuple[int, str, list[str], str, str]]:
    """(number, text, earlier questions, answer before, answer after) of each user turn that follows an answer."""
    found: list[tuple[int, str, list[str], str, str]] = []
    asked: list[str] = []
    answer = ""
    for number, turn in enumerate(talk):
        if turn.role == "assistant":
            answer = turn.content
        elif turn.role == "user":
            if answer:
                after = next(
                    (later.content for later in talk[number + 1 : number + 2] if later.role == "assistant"), ""
                )
                found.append((number, turn.content, asked[-8:], answer, after))
            asked = [*asked, turn.content]
    return found
