"""Training of P[Love], and its predictions of held-out users beside those of the baselines.

f is trained with binary cross-entropy on reactions of which positives are drawn up to a set share (`batches.py`).
Each member of a small ensemble leaves a part of the users out, keeps the weights that predict their later reactions
best, and predicts them: from these predictions one temperature is fitted, so that nothing is calibrated on users
that it was trained on.

Shapes: N reactions.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from plus.love.batches import Events, Upsampling, UserTexts, batches
from plus.love.measures import ScoredReaction
from plus.love.model import Love, LoveModel, LoveSettings, NewModel, tempered
from plus.love.reactions import labels_of, reaction_of
from plus.love.regressions import COLUMNS, Additive
from plus.love.splits import HeldOutUser, Split, check, split_user
from plus.train.reward_only import Best

OnStep = Callable[[int, float], None]  # (update from 1, loss)
Rows = dict[str, list[ScoredReaction]]  # method -> the same test reactions, in one order
LOVE, EMPTY, SHUFFLED = "P[Love]", "without text", "another user's text"


def fit(
    events: Events,
    settings: LoveSettings,
    new_model: NewModel,
    user_texts: UserTexts | None = None,
    on_step: OnStep = lambda step, loss: None,
) -> Love:
    """Train P[Love] on users' reactions; the same seed gives the same model."""
    user_texts = user_texts or UserTexts(settings.condition)
    labels = labels_of(events)
    upsampling = Upsampling.of(sum(labels) / len(labels), settings.positive_share)
    names = sorted(events)
    random.Random(f"members-{settings.seed}").shuffle(names)
    models: list[LoveModel] = []
    left_f: list[torch.Tensor] = []
    left_labels: list[torch.Tensor] = []
    for number in range(settings.members):
        torch.manual_seed(1000 * settings.seed + number)
        # Each member leaves another part of the users out, and is stopped early and calibrated by them.
        part = set(names[number :: settings.folds])
        held_out = [split_user(user, events[user], settings.seed, settings.share) for user in sorted(part)]
        train = {user: events[user] for user in names if user not in part}
        model = new_model()
        f_N, label_N = _fit_member(model, train, held_out, settings, upsampling, user_texts, number, on_step)
        models.append(model)
        left_f.append(f_N)
        left_labels.append(label_N)
    temperature = fit_temperature(torch.cat(left_f), torch.cat(left_labels), upsampling)
    return Love(models, settings, upsampling, temperature, user_texts)


def _fit_member(
    model: LoveModel,
    events: Events,
    held_out: Sequence[HeldOutUser],
    settings: LoveSettings,
    upsampling: Upsampling,
    user_texts: UserTexts,
    number: int,
    on_step: OnStep,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Train one member; return its f (N,) of the held-out users' targets, and their labels (N,)."""
    # Held-out targets, for early stopping and calibration.
    texts = [user_texts.of(user.user_id, user.context) for user in held_out for _ in user.targets]
    reactions = [reaction_of(event) for user in held_out for event in user.targets]
    label_N = torch.tensor([float(reaction.label) for reaction in reactions])
    trained = list(model.parameters())
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    best = Best(trained)
    drawn = batches(
        events, user_texts, upsampling.weight, settings.users_per_step, settings.reactions_per_user, settings.share,
        settings.dropout, random.Random(f"rows-{settings.seed}-{number}"),
    )  # fmt: skip
    # Updates; the weights of the lowest held-out loss are kept.
    for step in range(1, settings.max_steps + 1):
        batch_texts, rows = next(drawn)
        loss = cross_entropy(model.logits(batch_texts, rows), torch.tensor([float(row.label) for row in rows]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        on_step(step, loss.item())
        if reactions and step % settings.look_every == 0:
            with torch.no_grad():
                f_N = model.logits(texts, reactions)
            best.look(step, cross_entropy(f_N - upsampling.shift, label_N).item())
    best.restore()
    with torch.no_grad():
        return (model.logits(texts, reactions) if reactions else torch.zeros(0)), label_N


def fit_temperature(f_N: torch.Tensor, label_N: torch.Tensor, upsampling: Upsampling) -> float:
    """Fit the factor, between 1/4 and 4, that predicts `label_N` best; 1 without held-out reactions of both labels."""
    if not len(f_N) or len(set(label_N.tolist())) < 2:
        return 1.0
    f_N, label_N = f_N.double(), label_N.double()
    low, high = math.log(0.25), math.log(4.0)

    def loss(place: float) -> float:
        return cross_entropy(tempered(f_N, upsampling, math.exp(place)), label_N).item()

    # Golden section: the loss is convex in the factor, so it has one minimum.
    for _ in range(60):
        third = (high - low) * 0.381966
        if loss(low + third) < loss(high - third):
            high -= third
        else:
            low += third
    return math.exp((low + high) / 2)


def score_splits(
    splits: Sequence[Split],
    settings: LoveSettings,
    new_model: NewModel,
    user_texts: UserTexts,
    on_step: OnStep = lambda step, loss: None,
) -> Rows:
    """Train on each split and predict its held-out users, by P[Love], its controls and the additive baseline."""
    found: Rows = {}
    for split in splits:
        check(split)
        users = split.held_out
        model = fit(split.train, settings, new_model, user_texts, on_step)
        logits = {LOVE: model.predict(users)}
        # Controls: the same model without the text, and with another user's.
        if settings.condition != "none":
            logits[EMPTY] = _predict_with(model, users, dict.fromkeys((user.user_id for user in users), ""))
            if len(users) > 1:
                logits[SHUFFLED] = _predict_with(model, users, _shuffled(users, user_texts))
        # The additive baseline, feature by feature.
        for name, columns in COLUMNS.items():
            logits[name] = Additive(split.train, columns, settings.seed).predict(users)
        for name, values in logits.items():
            found.setdefault(name, []).extend(scored_reactions(users, values))
    return found


def scored_reactions(users: Sequence[HeldOutUser], logits: Sequence[Sequence[float]]) -> list[ScoredReaction]:
    """Make one row of each target and its predicted log-odds."""
    rows = []
    for user, of_user in zip(users, logits, strict=True):
        for event, value in zip(user.targets, of_user, strict=True):
            reaction = reaction_of(event)
            rows.append(
                ScoredReaction(
                    user.user_id, event.id, value, reaction.label, reaction.completion, event.time, user.group
                )
            )
    return rows


def _predict_with(model: Love, users: Sequence[HeldOutUser], text_of: Mapping[str, str]) -> list[list[float]]:
    """Predict the targets of each user with the text that `text_of` gives them."""
    texts = [text_of[user.user_id] for user in users for _ in user.targets]
    values = iter(model.logits(texts, [reaction_of(event) for user in users for event in user.targets]))
    return [[next(values) for _ in user.targets] for user in users]


def _shuffled(users: Sequence[HeldOutUser], user_texts: UserTexts) -> dict[str, str]:
    """Give each user the text about another one: the next in a seeded circle."""
    order = sorted(users, key=lambda user: user.user_id)
    random.Random("strangers").shuffle(order)
    following = [*order[1:], order[0]]
    return {
        user.user_id: user_texts.of(other.user_id, other.context) for user, other in zip(order, following, strict=True)
    }
