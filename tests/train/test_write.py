"""A language model that writes what is selected: what each step is worth, what moves, and a run cut short."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
import torch
from support import animals
from support.words import embeddings

from plus.measures import mean
from plus.models.embeddings import Embeddings
from plus.models.language_model import LanguageModelSummarizer
from plus.models.loading import lora_config
from plus.recipes import writing
from plus.resources import shipped
from plus.train import write_run
from plus.train.select import SelectData, embed, train_select
from plus.train.write import GRPO, IMITATION, REJECTION, WriteSettings, WriteTraining

LORA = {"r": 8, "alpha": 16}


def writer() -> LanguageModelSummarizer:
    windows = {"max_prompt_length": 256, "max_completion_length": animals.TOKENS}
    return LanguageModelSummarizer.from_pretrained(shipped("tiny_base"), **windows)


@pytest.fixture(scope="module")
def data() -> SelectData:
    return SelectData.of(animals.population())


def begun(data: SelectData, settings: WriteSettings, table: Embeddings | None = None) -> WriteTraining:
    """A training behind its first step, the select engine's."""
    table = table or embeddings()
    embed(data, animals.population(), table, animals.SELECT)  # As a run does: rows in an order that no hash decides.
    found = train_select(data, table, animals.SELECT, seed=0)
    return WriteTraining(data, found, writer(), animals.SELECT, settings, LORA, seed=0)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())


@pytest.fixture(scope="module")
def trained(data):
    """A whole training; with it, all that could have moved, as it was after each step."""
    training = begun(data, animals.WRITE)
    at: dict[str, dict[str, dict[str, torch.Tensor]]] = {}

    def keep(name: str) -> None:
        at.setdefault(name, {
            "writer": weights(training.summarizer.writer.model), "reader": weights(training.reward_model.model),
            "selector": weights(training.summarizer.selector.model),
        })  # fmt: skip

    seen: list[tuple[str, int]] = []

    def on_step(name: str, step: int, metrics: dict[str, float]) -> None:
        seen.append((name, step))
        keep(f"{name} {step}")

    training.run(on_step, lambda: None)
    keep("end")
    return training, at, seen


def test_imitation_is_worth_more_than_zero_shot_and_grpo_does_not_lower_it(trained):
    """Log-likelihood of the validation users' choices, in nats; a coin is at -.693."""
    training, _, _ = trained
    found = {name: mean(values) for name, values in training.likelihoods.items()}
    assert list(found) == ["nothing", "extracts", "plain sentences by rule", "zero-shot", IMITATION, GRPO]
    assert found[IMITATION] > found["zero-shot"] + 0.1, found
    training.judge("kept", training.write)
    kept = mean(training.likelihoods.pop("kept"))
    assert kept >= max(found[IMITATION], found[GRPO]) - 1e-6 and training.kept == (found[GRPO] >= found[IMITATION])
    assert found["plain sentences by rule"] > found["nothing"] + 0.1


def test_the_report_sets_each_step_beside_the_one_before(trained):
    training, _, _ = trained
    rows = writing.judged_steps(training.likelihoods, training.judges)
    by_name = {row["step"]: row for row in rows}
    assert "minus the step before" not in rows[0]
    expected = by_name[IMITATION]["log_likelihood"] - by_name["zero-shot"]["log_likelihood"]
    apart = by_name[IMITATION]["minus the step before"]
    assert apart["mean"] == pytest.approx(expected) and apart["low"] > 0 and apart["users"] == len(training.judges)
    assert any(line.split()[0] == GRPO for line in writing.step_lines(rows)[1:])
    assert writing.step_lines([])[0].endswith("nothing says what a step was worth")


def test_only_adapters_move_and_the_reader_rests_while_the_writer_imitates(trained):
    training, at, seen = trained
    assert seen == [(IMITATION, n) for n in range(1, 61)] + [(GRPO, n) for n in range(1, 11)]
    came = weights(writer().model)
    first, last = at[f"{IMITATION} 1"], at[f"{IMITATION} 60"]
    assert same(first["reader"], last["reader"]) and not same(last["reader"], at[f"{GRPO} 10"]["reader"])
    assert same(first["selector"], at["end"]["selector"])
    base = {name: tensor for name, tensor in last["writer"].items() if "lora_" not in name}
    plain = {name.removeprefix("base_model.model.").replace(".base_layer", ""): t for name, t in base.items()}
    assert same(plain, came), "imitation leaves every weight of the base"
    # Under GRPO the base is the model that imitates, which stays as it is.
    one, ten = at[f"{GRPO} 1"]["writer"], at[f"{GRPO} 10"]["writer"]
    frozen = [name for name in one if "lora_" not in name]
    assert all(torch.equal(one[name], ten[name]) for name in frozen)
    assert any(not torch.equal(one[name], ten[name]) for name in one if "lora_" in name)
    # Merged: linear layers moved, embeddings and norms did not.
    training.summarizer.writer.merge_adapters()
    merged = weights(training.summarizer.writer.model)
    moved = {name for name, tensor in came.items() if not torch.equal(tensor, merged[name])}
    assert merged.keys() == came.keys() and moved and all("proj" in name for name in moved)


def test_grpo_that_does_harm_is_not_kept(data):
    """At a rate that destroys: both models are those of before, and what GRPO did is still reported."""
    settings = replace(animals.WRITE, reading_steps=20, imitation_steps=2, max_steps=2, users_per_step=4, eval_users=20)
    training = begun(data, settings)
    before: dict[str, dict[str, torch.Tensor]] = {}

    def ruin(name: str, step: int, metrics: dict[str, float]) -> None:
        if name == GRPO and step == 1:
            before.update(reader=dict(training.before))
            for group in training.reward_optimizer.param_groups:
                group["lr"] = 10.0

    training.run(ruin, lambda: None)
    assert mean(training.likelihoods[GRPO]) < mean(training.likelihoods[IMITATION]) and not training.kept
    assert same(weights(training.reward_model.model), before["reader"])
    training.judge("kept", training.write)
    assert training.likelihoods["kept"] == pytest.approx(training.likelihoods[IMITATION], abs=1e-5)


@pytest.mark.parametrize("stop", [2, 5, 7])
def test_a_training_cut_short_goes_on_to_the_same_bits(data, tmp_path, stop):
    """Stopped after a save within imitation, rejection and GRPO; begun anew by objects that have seen nothing."""
    settings = replace(
        animals.WRITE, reading_steps=3, imitation_steps=4, rejection_steps=2, best_of=2, max_steps=4, users_per_step=4,
        save_steps=2, eval_users=6,
    )  # fmt: skip
    data = replace(data, training=data.training[:24])
    whole = begun(data, settings)
    lines: list[tuple[str, int, dict[str, float]]] = []
    whole.run(lambda *line: lines.append(line), lambda: None)

    saves, written = count(1), []

    def save() -> None:
        torch.save(cut.state_dict(), tmp_path / "state.pt")
        if next(saves) == stop:
            raise KeyboardInterrupt

    cut = begun(data, settings)
    with pytest.raises(KeyboardInterrupt):
        cut.run(lambda *line: written.append(line), save)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert not [text for text in embeddings().rows if text in state["embeddings"]["named"]]
    torch.manual_seed(99)
    table = embeddings()
    table.load_state_dict(state["embeddings"])
    found = write_run.untrained(data, table, animals.SELECT, seed=7)
    again = WriteTraining(data, found, writer(), animals.SELECT, settings, LORA, seed=0)
    again.load_state_dict(state)
    again.run(lambda *line: written.append(line), lambda: None)
    assert written == lines and {name for name, _, _ in lines} == {IMITATION, REJECTION, GRPO}
    assert again.likelihoods == whole.likelihoods
    assert same(weights(again.summarizer.writer.model), weights(whole.summarizer.writer.model))
    assert same(weights(again.reward_model.model), weights(whole.reward_model.model))
    assert (again.found.learned, again.found.trusted) == (whole.found.learned, whole.found.trusted)


def test_of_n_samples_the_one_from_which_choices_are_predicted_best_is_imitated(data):
    training = begun(data, replace(animals.WRITE, best_of=3))
    contexts = list(data.training[:2])
    selected = training.summarizer.selected([row.history for row in contexts])
    torch.manual_seed(1)
    with torch.no_grad():
        texts, *_ = training.summarizer.writer.sample(selected, 3, None)
    torch.manual_seed(1)
    found = training.best(contexts, selected)
    for place, row in enumerate(contexts):
        of_user = texts[3 * place : 3 * place + 3]
        worth = {
            text: mean(training.reward_model.log_likelihood([text] * len(row.pairs), row.pairs)) for text in of_user
        }
        assert worth[found[place]] == max(worth.values())


def test_without_validation_users_nothing_is_claimed(data):
    training = begun(
        replace(data, validation=()), replace(animals.WRITE, reading_steps=1, imitation_steps=0, max_steps=0)
    )
    training.run(lambda *line: None, lambda: None)
    assert writing.judged_steps(training.likelihoods, training.judges) == []


def test_a_gradient_in_passes_is_that_of_one_piece_and_holds_less(data):
    """Imitation's and GRPO's; what a pass keeps is counted, each tensor that autograd saves once."""
    begun_writer, histories = writer(), [context.history for context in data.training[:6]]
    begun_writer.add_adapters(lora_config(begun_writer.model, "CAUSAL_LM", **LORA))

    def gradient(tokens: int | None, group: int) -> tuple[list[torch.Tensor], int]:
        begun_writer.tokens_per_pass, storages = tokens, dict[int, int]()
        torch.manual_seed(3)

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            if group == 1:
                logprobs_NT, mask_NT = begun_writer.logprobs(histories, ["They like cats."] * 6)
            else:
                _, logprobs_NT, _, mask_NT = begun_writer.sample(histories, group, None)
        weights_N1 = torch.linspace(-1, 2, len(logprobs_NT)).unsqueeze(1)
        trained = [weight for weight in begun_writer.model.parameters() if weight.requires_grad]
        found = torch.autograd.grad((weights_N1 * logprobs_NT * mask_NT).sum(), trained)
        return list(found), sum(storages.values())

    for group in (1, 3):
        (whole, kept), (cut, kept_cut) = gradient(None, group), gradient(100, group)
        torch.testing.assert_close(cut, whole, rtol=1e-3, atol=1e-4)
        assert any(part.abs().max() > 0.1 for part in whole), "a gradient of nothing proves nothing"
        assert kept_cut < kept / 3


def test_embeddings_are_the_same_rows_after_a_round_trip(data):
    table = embeddings()
    embed(data, animals.population(), table, animals.SELECT)
    again = embeddings()
    again.load_state_dict(table.state_dict())
    text = data.training[0].pairs[0].chosen
    assert again.ids([text]) == table.ids([text]) and torch.equal(again.table, table.table)
