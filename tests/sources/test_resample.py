"""Another cut of the same events: nothing lost, and no target in its own context."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from plus.sources.leaks import Revealed
from plus.sources.resample import draw_targets, recut
from plus.types import Event, Preference, Reaction

texts = st.sampled_from(["a", "b", "c", "d", "e", " a "])
reactions = st.builds(Reaction, st.sampled_from(["p", "q"]), texts, st.booleans())
choices = st.builds(Preference, st.sampled_from(["p", "q"]), texts, texts)


@given(st.lists(st.one_of(reactions, choices), min_size=1, max_size=12), st.integers(0, 5))
def test_the_context_is_a_share_of_the_events_in_their_order_and_holds_no_target(contents, seed):
    events = [Event(str(n), "choice" if isinstance(c, Preference) else "reaction", c) for n, c in enumerate(contents)]
    context, targets = recut(events, Random(seed), share=0.6, pairs=4)
    assert len(context) == max(1, int(len(events) * 0.6))
    assert [int(event.id) for event in context] == sorted(int(event.id) for event in context)
    assert len(targets) <= 4
    compared = [event.content for event in context if isinstance(event.content, Preference)]
    known = Revealed(event for event in context if isinstance(event.content, Preference))
    assert not any(known.holds("", target) for target in targets if compared)
    shown = {(e.content.prompt, e.content.completion) for e in context if isinstance(e.content, Reaction)}
    liked = {
        (e.content.prompt, e.content.completion) for e in events if isinstance(e.content, Reaction) and e.content.label
    }
    for target in targets:
        assert target.chosen != target.rejected or target in contents
        if target not in contents:  # made of two reactions
            assert (target.prompt, target.chosen) in liked - shown


def test_reactions_become_agreed_over_disagreed_of_the_same_prompt():
    events = [
        Event("1", "reaction", Reaction("p", "good", True)),
        Event("2", "reaction", Reaction("p", "bad", False)),
        Event("3", "reaction", Reaction("q", "worse", False)),
    ]
    assert draw_targets(events, (), Random(0), 9) == (Preference("p", "good", "bad"),)
    assert draw_targets(events, events[:1], Random(0), 9) == ()


def test_cuts_differ_from_draw_to_draw_and_not_from_run_to_run():
    events = [Event(str(n), "reaction", Reaction("p", f"t{n}", n % 2 == 0)) for n in range(20)]
    rng = Random(1)
    first, second = recut(events, rng), recut(events, rng)
    assert first != second
    assert recut(events, Random(1)) == first
