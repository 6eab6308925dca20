"""Features of a turn beside its meaning: the rules' words and their place, its form, and the text around it.

Numbers for the trained head (`plus/signals/head.py`); standard library only. The model's next message counts too:
"I apologize" after a turn tells of a complaint and "You're welcome" of thanks, in whatever words the turn was put.

The sentence model reads English. Turns in other languages are covered by lists of common words of praise, complaint
and tasks. They count fully in short turns only, since in longer ones such a word is as likely a part of the task.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from plus.signals.rubrics import DISSATISFIED, SATISFIED
from plus.signals.rules import common_words, feedback_text, rule_hits
from plus.types import Turn

_FLAGS = {
    "asks": r"\?\s*$",
    "question word": r"^\W*(?:what|who|when|where|which|how|why|is|are|does|do|did|can|could|would|should)\b",
    "a task": (
        r"^\W*(?:please\s+|now\s+|ok\s+|okay\s+|next\s+|and\s+|then\s+)*(?:write|create|make|give|list|explain|"
        r"describe|translate|generate|summari[sz]e|tell|find|convert|compare|suggest|act|play|draft|imagine|"
        r"let'?s)\b"
    ),
    "says no": r"^\W*(?:no|nope|nah|not|wrong|but|hm+|um+|uh|non|nein|nee|não|нет|不)\b",
    "says yes": r"^\W*(?:yes|yeah|yep|yup|sure|ok|okay|alright|fine|good|great|nice|sí|oui|ja|да|是|对)\b",
    "you did": (
        r"\byou(?:'ve| have|'re| are| did| didn'?t| don'?t| just| still| only| keep| forgot| missed| gave|"
        r" said| wrote| made| used| changed)\b"
    ),
    "your": r"\byour\b",
    "i said": (
        r"\bi(?:'d| had| have|'ve)? (?:already |just |literally |clearly )?(?:said|asked|told|meant|mean|"
        r"wanted|want|need|needed|specified|wrote)\b"
    ),
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
_CASE_MATTERS = ("shouts", "an error")
_IGNORING_CASE = {
    name: re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for name, pattern in _FLAGS.items()
    if name not in _CASE_MATTERS
}
_AS_WRITTEN = {name: re.compile(_FLAGS[name], re.DOTALL) for name in _CASE_MATTERS}
# Name -> (the answer before the turn or the one after it, pattern).
_AROUND = {
    "the answer refused": ("answer", (
        r"\b(?:i(?:'m| am) sorry|i apologi[sz]e|unfortunately|as an ai|"
        r"i (?:cannot|can't|do not have|don't have))\b"
    )),
    "the answer asked": ("answer", r"\?\s*$"),
    "the answer is code": ("answer", r"```|\bdef |\bfunction\b|SELECT "),
    "then sorry": ("after", (
        r"\b(?:apologi[sz]e|apologies|sorry|my mistake|you(?:'re| are) (?:right|correct)|misunderst|perdón|"
        r"lo siento|entschuldig|désolé|desculpe|извин)|抱歉|对不起|申し訳|죄송"
    )),
    "then welcome": ("after", (
        r"\b(?:you(?:'re| are) (?:very |most )?welcome|glad|happy (?:to|that|you)|my pleasure|no problem|"
        r"thank you for|de nada|gern geschehen|de rien)\b|不客气"
    )),
    "then revised": ("after", (
        r"\b(?:revised|updated|corrected|shorter|improved|another version|try again|modified)\b"
    )),
}  # fmt: skip
_WITHIN = {name: (part, re.compile(pattern, re.IGNORECASE)) for name, (part, pattern) in _AROUND.items()}

LONGEST = 120  # characters of a turn in which a word of another language counts fully
_PRAISE = (
    "gracias|agradezco|merci|remercie|danke|dank|obrigad[oa]|agradeço|grazie|ringrazio|спасибо|благодар|谢谢|多谢|"
    "感谢|ありがと|감사|고마|شكر|teşekkür|sağ ?ol|dzięk|cảm ơn|terima kasih|perfect[oa]|excelente|genial|parfait|"
    "génial|très bien|perfekt|wunderbar|klasse|super|gut gemacht|sehr gut|muy bien|perfeit|ótim[oa]|muito bom|"
    "muito bem|perfett|ottim[oa]|brav[oi]|benissimo|отлично|прекрасно|супер|молодец|хорошо|很好|太好了|太棒|完美|"
    "不错|素晴らしい|完璧|いいですね|좋아|훌륭|완벽|mükemmel|harika|çok iyi|ممتاز|رائع|funciona|funcionó|"
    "ha funcionado|marche(?! pas)|geklappt|klappt(?! nicht)|funktioniert(?! nicht)|заработало|entendido|entiendo|"
    "de acuerdo|compris|d'accord|verstanden|alles klar|verstehe(?! nicht)|понял|понятно|ясно|明白|懂了|原来|好的|"
    "わかりました|なるほど|알겠|anladım|jaja\\w*|哈哈|ахах|хаха|kkk|mdr|hasta (?:luego|mañana|pronto)|adiós|"
    "buenas noches|tschüss|bis (?:bald|morgen|dann)|au revoir|à (?:bientôt|demain)|до свидания|再见|さようなら|"
    "schon besser|mejor, pero|mieux"
)
_COMPLAINT = (
    "incorrect[oa]|equivoc|est[áa]s? mal|faux|fausse|trompe[sz]?|erreur|falsch|stimmt nicht|fehler|errad[oa]|errou|"
    "sbagli|неправильно|неверно|ошиб|не так|не то\\b|不对|错了|错误|说错|不是这|不行|違|間違|틀렸|아니|yanlış|"
    "hatalı|خطأ|no me (?:sirve|gust|ayud)|no (?:funciona|entend|entiend)|n'aime pas|marche pas|fonctionne pas|"
    "pas ce que|ce n'est pas|gefällt mir nicht|(?:hilft|geht|klappt|funktioniert|reicht) .{0,12}nicht|so nicht|"
    "geht .{0,8}nicht|nicht das|não (?:gost|func|ajud|é|entend)|non (?:funziona|mi piace|va bene|è|capisco)|"
    "не (?:работа|помог|нрав|подход|поним)|плохо|ужасн|не хочу|不好|没用|没有用|不喜欢|没有帮|쓸모|çalışmıyor|"
    "olmadı|beğenmedim|otra vez|de nuevo|nochmal|noch ?(?:ein)?mal|neu (?:schreib|formul)|umschreib|"
    "encore une fois|refai|réécri|recommence|reescrib|rehaz|rehacer|vuelve a|c[áa]mbia|refaça|reescrev|de novo|"
    "riscriv|rifa[i']|ещё раз|еще раз|перепиши|переделай|исправь|заново|重写|重新|再写|改一下|修改|もう一度|書き直|"
    "やり直|다시|고쳐|tekrar|yeniden|أعد|más (?:cort|larg|detall|simple|sencill|informaci|formal|concret)|"
    "plus (?:court|long|simple|de détail|précis|clair)|kürz|länger|ausführlich|einfacher|genauer|"
    "mais (?:curt|long|detalh|simples|informa)|più (?:cort|lung|breve|semplic|dettagl)|короче|длиннее|подробн|"
    "проще|更[长短详简]|太[长短]|详细|短一点|长一点|もっと|詳しく|短く|더 (?:길|짧|자세)|daha (?:kısa|uzun|detay)|"
    "(?:muy|demasiado) larg|trop (?:long|court|compliqu)|zu (?:lang|kurz|kompliziert)|слишком|olvíd|olvida|vergiss|"
    "vergessen|oubli|laisse tomber|esquec|забыл|забудь|неважно|egal|算了|忘了|no (?:respond|has |leíste|le[ií])|"
    "nicht (?:geantwortet|gefragt|gemeint|gelesen)|не (?:ответ|прочит|об этом)|pas (?:ma question|répondu|lu)|"
    "não (?:respond|leu)|te pedí|pregunté|j'ai demandé|ich (?:habe|hatte|wollte|meinte)|eu pedi|"
    "я (?:просил|спрашивал|имел)|我[问要说]的|era mejor|war besser|était mieux|было лучше|lebih baik"
)
_TASK = (
    "escrib[ea]|redacta|traduc[ei]|tradu[iz]|explica|cuéntame|qué (?:es|son)|cuál|cómo|cuánt|schreib[e ]|"
    "formuliere|übersetz|erklär|was (?:ist|sind)|wie (?!geht)|écri[st]|explique|qu'est|quel|comment|escreva|qual|"
    "como |scriv[ie]|cos'è|напиши|переведи|расскажи|объясни|что такое|сколько|写一|翻译|什么|如何|怎么|について|"
    "書いて|翻訳|何|써 ?줘|번역|설명|뭐|어디|nedir|yaz\\b|اكتب|ما هو|continú?a|sigue|weiter|suivant|дальше|继续|"
    "続け|계속|devam"
)


def _compiled(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-zà-ÿа-я])(?:{words})", re.IGNORECASE)


_LEXICON = {"praise": _compiled(_PRAISE), "complaint": _compiled(_COMPLAINT), "a task": _compiled(_TASK)}
_OTHER_SCRIPT = re.compile(r"[^\W\d_a-zA-Z]")
NAMES = (
    *(f"rule: {rubric}" for rubric in (*SATISFIED, *DISSATISFIED)),
    *_IGNORING_CASE, *_AS_WRITTEN, *_WITHIN,
    *(f"in another language: {kind}" for kind in _LEXICON),
    "words", "short", "long", "letters of other scripts",
    "like the last question", "like an earlier one", "a short reply",
)  # fmt: skip


class TurnContext(NamedTuple):
    """User turn with the user's earlier turns, the answer before it and the one after it ("" for none)."""

    text: str
    asked: Sequence[str]
    answer: str
    after: str = ""


def hints(context: TurnContext) -> list[float]:
    """Compute one number for each of `NAMES`, all about 0 to 1."""
    text, asked, answer, after = context
    visible = feedback_text(text)
    # 1. Probabilities of the rules; half where their words stand late in a long turn.
    by_rule = dict.fromkeys((*SATISFIED, *DISSATISFIED), 0.0)
    for hit in rule_hits(text):
        is_early = hit.start < 100 or len(text) < 250
        by_rule[hit.rubric] = max(by_rule[hit.rubric], hit.probability if is_early else hit.probability / 2)
    # 2. The ends of the answer before, and the beginning of the one after.
    around = {"answer": answer.strip()[:300] + " " + answer.strip()[-100:], "after": after.strip()[:160]}
    within = [float(bool(pattern.search(around[part]))) for part, pattern in _WITHIN.values()]
    # 3. Length, script, and likeness to earlier questions.
    words = len(visible.split())
    common = [common_words(text, earlier) for earlier in asked]
    return [
        *by_rule.values(),
        *(float(bool(pattern.search(visible))) for pattern in _IGNORING_CASE.values()),
        *(float(bool(pattern.search(text[:2000]))) for pattern in _AS_WRITTEN.values()),
        *within,
        *_lexicon_hints(visible),
        math.log1p(words) / 5,
        float(words < 4),
        float(len(text) > 600),
        len(_OTHER_SCRIPT.findall(visible)) / max(1, len(visible)),
        common[-1] if common else 0.0,
        max(common, default=0.0),
        float(words < 8 and bool(within[list(_WITHIN).index("the answer asked")])),
    ]


def contexts(talk: Sequence[Turn]) -> list[tuple[int, TurnContext]]:
    """List (number, context) of each user turn that follows an answer, with at most 8 of the turns before it."""
    found: list[tuple[int, TurnContext]] = []
    asked: list[str] = []
    answer = ""
    for number, turn in enumerate(talk):
        if turn.role == "assistant":
            answer = turn.content
        elif turn.role == "user":
            if answer:
                # Only an answer that follows at once is one to this turn.
                following = talk[number + 1 : number + 2]
                after = next((later.content for later in following if later.role == "assistant"), "")
                found.append((number, TurnContext(turn.content, asked[-8:], answer, after)))
            asked = [*asked, turn.content]
    return found


def _lexicon_hints(text: str) -> list[float]:
    """Score (praise, complaint, a task) in other languages: 1 where a short turn shows one, 0.3 in longer turns."""
    weight = 1.0 if len(text) <= LONGEST else 0.3
    return [weight * bool(pattern.search(text[:600])) for pattern in _LEXICON.values()]
