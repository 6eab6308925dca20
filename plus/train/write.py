"""A language model that writes what the select engine selects, read by the embedding reward model.

    1. select    the select engine is trained (`train_select`): selector and reward model, on extracts
    2. read      the reward model goes on over extracts and plain sentences of the selected events, made by rule
    3. imitate   the writer learns to write such sentences of the events that it reads: cross-entropy
    4. rejection the best of n of its samples, as the reward model finds, are imitated (none by default)
    5. grpo      `loop.train` from there: writer and reward model co-adapt, which goes on reading extracts too

The writer's adapters alone are trained. Before step 5 they are added to its weights and new ones begin, so that the KL
is measured against the model that imitates. After each step the validation users say what it was worth; where GRPO
makes their choices less likely, both models of before are kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict

from plus.measures import mean
from plus.models.extractive import random_selection
from plus.models.language_model import LanguageModelSummarizer
from plus.models.loading import lora_config
from plus.models.prose import SelectThenWrite
from plus.train import loop
from plus.train.coadapt import CoAdaptation, Row
from plus.train.reward_only import one_thread, train_reward_model
from plus.train.select import SelectData, Selected, SelectSettings, TwoWriters, batches, once
from plus.types import Context, UserHistory

IMITATION, REJECTION, GRPO = "imitation", "rejection", "grpo"
STAGES = (IMITATION, REJECTION, GRPO)
VERDICT = ("step", "learned", "random", "trusted")  # what the validation users said of the selection
GENTLE = 0.2  # of both rates once the two co-adapt: the writer can write by then, and the reward model read
OnStep = Callable[[str, int, dict[str, float]], None]


@dataclass(frozen=True)
class WriteSettings:
    """Budget of the steps after the select engine's (`SelectSettings`).

    max_steps: updates of GRPO. learning_rate: of the writer's adapters while it imitates; GRPO takes `GENTLE` of it.
    eval_users: validation users who judge each step.
    """

    max_steps: int = 60
    reading_steps: int = 200
    imitation_steps: int = 100
    rejection_steps: int = 0
    best_of: int = 8
    users_per_step: int = 8
    num_generations: int = 4
    learning_rate: float = 1e-3
    beta: float = 0.02
    save_steps: int = 10
    eval_users: int = 100


class WriteTraining:
    """Both models in training, and where it stands: `stage` of `STAGES` and `step` in it.

    found: what the select engine trained, or the same untrained where `load_state_dict` follows. likelihoods: of each
    step so far, the log-likelihood of every validation choice. `state_dict` holds all that a training needs to go on as
    if it had never stopped, and no text.
    """

    def __init__(
        self, data: SelectData, found: Selected, writer: LanguageModelSummarizer, budget: SelectSettings,
        settings: WriteSettings, lora: dict[str, Any], seed: int = 0,
    ) -> None:  # fmt: skip
        self.data, self.found, self.reward_model = data, found, found.reward_model
        self.summarizer = SelectThenWrite(found.summarizer, writer)
        self.budget, self.settings, self.lora, self.seed = budget, settings, lora, seed
        self.stage, self.step = 0, 0
        self.likelihoods: dict[str, list[float]] = {}
        self.imitated: dict[str, torch.Tensor] = {}  # adapters that were added to the weights
        self.before: dict[str, torch.Tensor] = {}  # weights of the reward model before GRPO
        self.kept = True  # whether GRPO was
        self.judges = list(data.validation)[: settings.eval_users]
        self._begin_adapters()

    def run(self, on_step: OnStep, save: Callable[[], None]) -> None:
        """Train from where it stands; `save` is called after `save_steps` updates and at the end of a stage."""
        if not self.likelihoods:
            self.read()
            save()
        while self.stage < len(STAGES):
            name = STAGES[self.stage]
            if self.step == 0:
                torch.manual_seed(self.seed + 1000 * (self.stage + 1))

            def done(metrics: dict[str, float], name: str = name) -> None:
                self.step += 1
                on_step(name, self.step, metrics)
                if self.step % self.settings.save_steps == 0:
                    save()

            if name == GRPO:
                self.reinforce(done)
            else:
                self.imitate(done, self.steps(name), self.best if name == REJECTION else self.plain)
            if self.steps(name):
                self.judge(name, self.write)
            if name == REJECTION:
                self._fold()
            elif name == GRPO:
                self._keep_better()
            self.stage, self.step = self.stage + 1, 0
            save()

    def steps(self, name: str) -> int:
        """Return the updates of a stage."""
        by_name = {
            IMITATION: self.settings.imitation_steps, REJECTION: self.settings.rejection_steps,
            GRPO: self.settings.max_steps,
        }  # fmt: skip
        return by_name[name]

    def read(self) -> None:
        """Teach the reward model the rule's sentences beside extracts, and judge all that needs no training."""
        rng, budget = random.Random(f"read-{self.seed}"), self.budget
        optimizer = self._reward_optimizer(budget.reward_learning_rate)

        def either(histories: Sequence[UserHistory]) -> list[str]:
            extracts = self.extracts(histories, rng)
            of_users = zip(self.by_rule(histories), extracts[: len(histories)], extracts[len(histories) :], strict=True)
            return [rng.choice(texts) for texts in of_users]

        with one_thread():
            torch.manual_seed(self.seed)
            coadaptation = CoAdaptation(
                self.reward_model, optimizer, pairs_per_user=budget.pairs_per_user, seed=self.seed
            )
            rows = batches(self.data, budget, self.seed + 1)
            train_reward_model(coadaptation, either, rows, self.settings.reading_steps)
        self.judge("nothing", lambda histories: [""] * len(histories))
        self.judge("extracts", self.summarizer.selector.summarize)
        self.judge("plain sentences by rule", self.by_rule)
        self.judge("zero-shot", self.write)

    def imitate(
        self, done: Callable[[dict[str, float]], None], steps: int,
        targets: Callable[[Sequence[Context], Sequence[UserHistory]], Sequence[str]],
    ) -> None:  # fmt: skip
        """Minimise the cross-entropy of `targets`, texts for a batch and its selected events."""
        for contexts in islice(self._batches(), self.step, steps):
            selected = self.summarizer.selected([context.history for context in contexts])
            texts = targets(contexts, selected)
            logprobs_NT, mask_NT = self.summarizer.writer.logprobs(selected, texts)
            loss = -(logprobs_NT * mask_NT).sum() / mask_NT.sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            done({"imitation_loss": loss.item()})

    def reinforce(self, done: Callable[[dict[str, float]], None]) -> None:
        """Train writer and reward model together; the reward model also reads extracts, which earn nothing."""
        settings, left = self.settings, self.steps(GRPO) - self.step

        def other(histories: Sequence[UserHistory]) -> list[str]:
            return self.extracts(histories, random.Random(f"extracts-{self.seed}-{both.updates}"))

        both = _OnOneThread(
            self.summarizer.sample, other, self.reward_model, self.reward_optimizer,
            pairs_per_user=self.budget.pairs_per_user, seed=self.seed,
        )  # fmt: skip
        both.updates = self.step
        loop.train(
            both.sample, self.optimizer, both, islice(self._batches(), self.step, None), left,
            settings.num_generations, settings.beta, lambda number, metrics: done(metrics),
        )  # fmt: skip

    def plain(self, contexts: Sequence[Context], selected: Sequence[UserHistory]) -> list[str]:
        """Write what is imitated first: the rule's sentences."""
        return self.summarizer.plain(selected)

    @torch.no_grad()
    def best(self, contexts: Sequence[Context], selected: Sequence[UserHistory]) -> list[str]:
        """Sample `best_of` texts of each user and keep the one from which the reward model predicts best."""
        count = self.settings.best_of
        texts, *_ = self.summarizer.writer.sample(selected, count, None)
        found = []
        for place, context in enumerate(contexts):
            of_user = texts[place * count : (place + 1) * count]
            found.append(max(of_user, key=lambda text: mean(self._read([text] * len(context.pairs), [context]))))
        return found

    def write(self, histories: Sequence[UserHistory]) -> list[str]:
        """Write as in use."""
        return self.summarizer.summarize(histories)

    def by_rule(self, histories: Sequence[UserHistory]) -> list[str]:
        """Write the rule's sentences of the selected events."""
        return self.summarizer.plain(self.summarizer.selected(histories))

    def extracts(self, histories: Sequence[UserHistory], rng: random.Random) -> list[str]:
        """Write the selected events of each history as lines, then as many random ones."""
        selector = self.summarizer.selector
        return [
            *selector.summarize(histories),
            *random_selection(histories, selector.k, rng, selector.lines),
        ]

    def judge(self, name: str, write: Callable[[Sequence[UserHistory]], Sequence[str]]) -> None:
        """Record how well the reward model, as it is now, predicts the validation users' choices from such texts."""
        histories = [row.history for row in self.judges for _ in row.pairs]
        self.likelihoods[name] = self._read(once(write, histories) if histories else [], self.judges)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed training needs; texts are there by their SHA-256 alone."""
        return {
            "stage": self.stage, "step": self.step, "likelihoods": self.likelihoods, "imitated": self.imitated,
            "before": self.before, "kept": self.kept,
            "selector": self.summarizer.selector.model.state_dict(),
            "found": {name: getattr(self.found, name) for name in VERDICT},
            "adapters": get_peft_model_state_dict(self.summarizer.writer.model),
            "optimizer": self.optimizer.state_dict(), "reward_model": self.reward_model.model.state_dict(),
            "reward_optimizer": self.reward_optimizer.state_dict(),
            "embeddings": self.reward_model.embeddings.state_dict(), "random": torch.get_rng_state(),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. The embeddings come first, before the reward model is made."""
        self.stage, self.step, self.likelihoods = state["stage"], state["step"], state["likelihoods"]
        self.summarizer.selector.model.load_state_dict(state["selector"])
        for name in VERDICT:
            setattr(self.found, name, state["found"][name])
        self.summarizer.selector.trusted = self.found.trusted
        self.reward_model.model.load_state_dict(state["reward_model"])
        if state["imitated"]:
            set_peft_model_state_dict(self.summarizer.writer.model, state["imitated"])
            self._fold()
        self.before, self.kept = state["before"], state["kept"]
        set_peft_model_state_dict(self.summarizer.writer.model, state["adapters"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.reward_optimizer.load_state_dict(state["reward_optimizer"])
        torch.set_rng_state(state["random"])

    def _fold(self) -> None:
        """Add the adapters to the weights and begin new ones, which stand on the model that imitates."""
        self.imitated = {
            name: weight.clone() for name, weight in get_peft_model_state_dict(self.summarizer.writer.model).items()
        }
        self.before = {name: weight.clone() for name, weight in self.reward_model.model.state_dict().items()}
        self.summarizer.writer.merge_adapters()
        self._begin_adapters()

    @torch.no_grad()
    def _keep_better(self) -> None:
        """Go back to both models of before GRPO where the validation users' choices are less likely after it."""
        judged = [mean(values) for values in self.likelihoods.values() if values]
        if GRPO not in self.likelihoods or len(judged) < 2 or judged[-1] >= judged[-2]:
            return
        self.kept = False
        self.reward_model.model.load_state_dict(self.before)
        for name, weight in self.summarizer.writer.model.named_parameters():
            if "lora_B" in name:  # Adapters without effect.
                weight.zero_()

    def _begin_adapters(self) -> None:
        """Put new adapters on the writer, the same each time, with new optimizers of both models."""
        writer = self.summarizer.writer
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            writer.add_adapters(lora_config(writer.model, "CAUSAL_LM", **self.lora))
        trained = [weight for weight in writer.model.parameters() if weight.requires_grad]
        rate = self.settings.learning_rate * (GENTLE if self.imitated else 1.0)
        self.optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.0)
        self.reward_optimizer = self._reward_optimizer(GENTLE * self.budget.reward_learning_rate)

    def _reward_optimizer(self, rate: float) -> torch.optim.Optimizer:
        weights = self.reward_model.model.parameters()
        return torch.optim.AdamW(weights, lr=rate, weight_decay=self.budget.weight_decay)

    def _batches(self) -> Iterator[list[Context]]:
        """Batches of this stage, from its first."""
        budget = replace(self.budget, users_per_step=self.settings.users_per_step)
        return batches(self.data, budget, self.seed + 2 + self.stage)

    def _read(self, texts: Sequence[str], contexts: Sequence[Context]) -> list[float]:
        with one_thread():
            return self.reward_model.log_likelihood(texts, [pair for row in contexts for pair in row.pairs])


class _OnOneThread(TwoWriters):
    """Co-adaptation with two writers whose step gives the same numbers each time."""

    @one_thread()
    def update(self, rows: Sequence[Row]) -> tuple[list[float], dict[str, float]]:
        """Score the summaries and the extracts, and step once on both."""
        return super().update(rows)
