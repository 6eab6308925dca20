"""Plain words of praise, of complaint and of tasks in languages other than English: hints, not rules.

The sentence model reads English; these words are what is left where a turn is in another language. Short turns
only, since in longer ones such a word is as likely a part of the task.
"""

from __future__ import annotations

import re

LONGEST = 120  # characters of a turn in which a word is taken for feedback
_PRAISE = (
    "gracias|agradezco|merci|remercie|danke|dank|obrigad[oa]|agradeço|grazie|ringrazio|спасибо|благодар|谢谢|多谢|感谢|ありがと|감사|고마|شكر|"
    "teşekkür|sağ ?ol|dzięk|cảm ơn|terima kasih|perfect[oa]|excelente|genial|parfait|génial|très bien|perfekt|wunderbar|klasse|"
    "super|gut gemacht|sehr gut|muy bien|perfeit|ótim[oa]|muito bom|muito bem|perfett|ottim[oa]|brav[oi]|benissimo|отлично|прекрасно|"
    "супер|молодец|хорошо|很好|太好了|太棒|完美|不错|素晴らしい|完璧|いいですね|좋아|훌륭|완벽|mükemmel|harika|çok iyi|ممتاز|رائع|"
    "funciona|funcionó|ha funcionado|marche(?! pas)|geklappt|klappt(?! nicht)|funktioniert(?! nicht)|заработало|"
    "entendido|entiendo|de acuerdo|compris|d'accord|verstanden|alles klar|verstehe(?! nicht)|понял|понятно|ясно|明白|懂了|原来|好的|"
    "わかりました|なるほど|알겠|anladım|jaja\\w*|哈哈|ахах|хаха|kkk|mdr|hasta (?:luego|mañana|pronto)|adiós|buenas noches|tschüss|"
    "bis (?:bald|morgen|dann)|au revoir|à (?:bientôt|demain)|до свидания|再见|さようなら|schon besser|mejor, pero|mieux"
)
_COMPLAINT = (
    "incorrect[oa]|equivoc|est[áa]s? mal|faux|fausse|trompe[sz]?|erreur|falsch|stimmt nicht|fehler|errad[oa]|errou|sbagli|неправильно|"
    "неверно|ошиб|не так|не то\\b|不对|错了|错误|说错|不是这|不行|違|間違|틀렸|아니|yanlış|hatalı|خطأ|no me (?:sirve|gust|ayud)|no (?:funciona|entend|entiend)|"
    "n'aime pas|marche pas|fonctionne pas|pas ce que|ce n'est pas|gefällt mir nicht|(?:hilft|geht|klappt|funktioniert|reicht) .{0,12}nicht|"
    "so nicht|geht .{0,8}nicht|nicht das|não (?:gost|func|ajud|é|entend)|non (?:funziona|mi piace|va bene|è|capisco)|не (?:работа|помог|нрав|подход|поним)|"
    "плохо|ужасн|не хочу|不好|没用|没有用|不喜欢|没有帮|쓸모|çalışmıyor|olmadı|beğenmedim|otra vez|de nuevo|nochmal|noch ?(?:ein)?mal|"
    "neu (?:schreib|formul)|umschreib|encore une fois|refai|réécri|recommence|reescrib|rehaz|rehacer|vuelve a|c[áa]mbia|refaça|reescrev|de novo|riscriv|"
    "rifa[i']|ещё раз|еще раз|перепиши|переделай|исправь|заново|重写|重新|再写|改一下|修改|もう一度|書き直|やり直|다시|고쳐|tekrar|yeniden|أعد|"
    "más (?:cort|larg|detall|simple|sencill|informaci|formal|concret)|plus (?:court|long|simple|de détail|précis|clair)|kürz|länger|ausführlich|einfacher|"
    "genauer|mais (?:curt|long|detalh|simples|informa)|più (?:cort|lung|breve|semplic|dettagl)|короче|длиннее|подробн|проще|"
    "更[长短详简]|太[长短]|详细|短一点|长一点|もっと|詳しく|短く|더 (?:길|짧|자세)|daha (?:kısa|uzun|detay)|(?:muy|demasiado) larg|trop (?:long|court|compliqu)|"
    "zu (?:lang|kurz|kompliziert)|слишком|olvíd|olvida|vergiss|vergessen|oubli|laisse tomber|esquec|забыл|забудь|неважно|egal|算了|忘了|"
    "no (?:respond|has |leíste|le[ií])|nicht (?:geantwortet|gefragt|gemeint|gelesen)|не (?:ответ|прочит|об этом)|pas (?:ma question|répondu|lu)|não (?:respond|leu)|"
    "te pedí|pregunté|j'ai demandé|ich (?:habe|hatte|wollte|meinte)|eu pedi|я (?:просил|спрашивал|имел)|我[问要说]的|"
    "era mejor|war besser|était mieux|было лучше|lebih baik"
)
_TASK = (
    "escrib[ea]|redacta|traduc[ei]|tradu[iz]|explica|cuéntame|qué (?:es|son)|cuál|cómo|cuánt|schreib[e ]|formuliere|übersetz|erklär|was (?:ist|sind)|wie (?!geht)|"
    "écri[st]|explique|qu'est|quel|comment|escreva|qual|como |scriv[ie]|cos'è|напиши|переведи|расскажи|объясни|что такое|сколько|写一|翻译|"
    "什么|如何|怎么|について|書いて|翻訳|何|써 ?줘|번역|설명|뭐|어디|nedir|yaz\\b|اكتب|ما هو|continú?a|sigue|weiter|suivant|дальше|继续|続け|계속|devam"
)


def _compiled(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-zà-ÿа-я])(?:{words})", re.IGNORECASE)


_KINDS = {"praise": _compiled(_PRAISE), "complaint": _compiled(_COMPLAINT), "a task": _compiled(_TASK)}
NAMES = tuple(f"in another language: {kind}" for kind in _KINDS)


def words_of_other_tongues(text: str) -> list[float]:
    """1 for each of `NAMES` that a short turn shows, less for longer ones; (praise, complaint, a task)."""
    weight = 1.0 if len(text) <= LONGEST else 0.3
    return [weight * bool(pattern.search(text[:600])) for pattern in _KINDS.values()]
