"""Trees of messages: what the user saw last, pairs that somebody chose, and what was said on branches is counted."""

from __future__ import annotations

import pytest
from support.ingesting import contents, read, read_rows, said, store_of
from support.logs import claude_chat, librechat_chat, open_webui_chat, write

from plus.feedback.tree import LEFT, same_question


def grow(*messages: tuple, current: str = "", **row: object) -> dict:
    """A ChatGPT conversation of (id, parent, role, text, changes): the roots have the parent ""."""
    mapping: dict[str, dict] = {}
    for name, parent, role, text, *rest in messages:
        more = dict(rest[0]) if rest else {}
        content = more.pop("content", {"content_type": "text", "parts": [text]})
        said = {"id": name, "author": {"role": role}, "content": content, **more}
        mapping[name] = {"id": name, "parent": parent or None, "children": [], "message": said}
        if parent:
            mapping[parent]["children"].append(name)
    return {"conversation_id": "c", "mapping": mapping, "current_node": current or messages[-1][0], **row}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("How do I prune a rose?", "How should I prune my rose in May?", True),
        ("prune tomatos", "How do I prune tomatoes?", True),
        ("Who painted Guernica?", "Who painted Olympia?", False),
        ("What is 17 times 3?", "What is 17 times 4?", False),
        ("Why?", "How come?", False),
        ("Why?", "why", True),
        ("Wie alt ist der Baum?", "Wie alt ist dieser Baum ungefähr?", False),
    ],
)
def test_an_edit_asks_the_same_where_all_of_the_shorter_question_stands_in_the_longer(one, other, same):
    assert same_question(one, other) is same_question(other, one) is same


def test_an_edit_into_another_question_is_no_choice_and_one_in_other_words_is(tmp_path):
    def edited(text: str) -> dict:
        return grow(("q1", "", "user", text), ("a1", "q1", "assistant", "In March."),
                    ("q2", "", "user", "When are roses pruned?"),
                    ("a2", "q2", "assistant", "In late winter."))  # fmt: skip

    counts, found = read_rows(tmp_path, edited("Who wrote Emma?"))
    assert not contents(found, "choice") and said(found) == [("When are roses pruned?", "In late winter.")]
    assert (counts.dropped["edits into another question"], counts.dropped[LEFT]) == (1, 2)
    counts, found = read_rows(tmp_path, edited("When are roses pruned in Rome?"))
    (pair,) = contents(found, "choice")
    assert (pair.chosen, pair.rejected, counts.dropped[LEFT]) == ("In late winter.", "In March.", 1)


def test_two_models_that_were_asked_at_once_are_no_choice_and_a_retry_of_one_is(tmp_path):
    row = open_webui_chat()
    messages = row["chat"]["history"]["messages"]
    messages["1"]["models"] = ["m", "n"]
    for name, place in (("2", 0), ("3", 1)):
        messages[name]["modelIdx"] = place
    counts, found = read_rows(tmp_path, row)
    assert not contents(found, "choice") and len(contents(found, "reaction")) == 2
    assert counts.dropped["answers of models that were asked at once, so that nobody chose"] == 1
    messages["3"]["modelIdx"] = 0
    assert len(contents(read_rows(tmp_path, row)[1], "choice")) == 1


def test_the_newest_answer_is_the_newest_by_time(tmp_path):
    row = grow(("q", "", "user", "Name a pet."), ("b", "q", "assistant", "A cat.", {"create_time": 30}),
               ("a", "q", "assistant", "A snake.", {"create_time": 20}), current="?")  # fmt: skip
    counts, found = read_rows(tmp_path, row)
    (pair,) = contents(found, "choice")
    assert (pair.chosen, pair.rejected) == ("A cat.", "A snake.") and counts.repaired


def test_a_turn_without_text_is_a_turn_with_its_own_answer_and_thumb(tmp_path):
    picture = {"content": {"content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}]}}
    row = grow(("q1", "", "user", "Hi"), ("a1", "q1", "assistant", "Hello."), ("q2", "a1", "user", "", picture),
               ("a2", "q2", "assistant", "A cat."), ("q3", "a2", "user", "Thanks!"))  # fmt: skip
    thumb = {"message_id": "a2", "conversation_id": "c", "rating": "thumbsUp", "content": '{"text": "Right!"}'}
    write(tmp_path / "conversations.json", [row])
    write(tmp_path / "message_feedback.json", [thumb])
    counts, found = read(tmp_path)
    assert said(found) == [("Hi", "Hello."), ("", "A cat."), ("Thanks!",)]
    (reaction,) = contents(found, "reaction")
    assert (reaction.prompt, reaction.completion, len(reaction.earlier)) == ("", "A cat.", 2)
    assert contents(found, "remark") == ["Right!"] and (counts.rows, counts.used) == (2, 2)


def test_thoughts_tools_and_preambles_are_no_part_of_an_answer_and_an_empty_tool_is_nothing(tmp_path):
    row = grow(
        ("q", "", "user", "Name a pet."),
        ("t", "q", "tool", " "),
        ("p", "q", "assistant", "Let me look.", {"channel": "commentary"}),
        ("c", "p", "assistant", "look()", {"recipient": "web"}),
        ("r", "c", "tool", "cats.csv"),
        ("a", "r", "assistant", "<think>hm</think>A cat.", {"channel": "final"}),
    )
    counts, found = read_rows(tmp_path, row)
    assert said(found) == [("Name a pet.", "A cat.")]
    assert dict(counts.dropped) == {"thoughts of the model": 2, "calls of tools": 1, "turns of tools": 1}


def test_the_text_of_a_canvas_is_part_of_the_answer_and_other_edits_of_it_are_counted(tmp_path):
    def canvas(tool: str, text: str) -> dict:
        return {"recipient": f"canmore.{tool}_textdoc", "content": {"content_type": "code", "text": text}}

    row = grow(
        ("q", "", "user", "A haiku in a canvas"),
        (
            "a",
            "q",
            "assistant",
            "",
            canvas("create", '{"name": "x", "type": "document", "content": "Snow on the fence"}'),
        ),
        ("b", "a", "assistant", "It is in the canvas."),
        ("q2", "b", "user", "Warmer"),
        ("c", "q2", "assistant", "", canvas("update", '{"updates": [{"pattern": ".*", "replacement": "Sun on it"}]}')),
        ("d", "c", "assistant", "", canvas("update", '{"updates": [{"pattern": "Sun", "replacement": "Hot sun"}]}')),
    )
    counts, found = read_rows(tmp_path, row)
    assert said(found) == [
        ("A haiku in a canvas", "Snow on the fence\n\nIt is in the canvas."),
        ("Warmer", "Sun on it"),
    ]
    assert dict(counts.dropped) == {"edits and comments of a canvas": 1}


def test_what_was_said_beside_the_path_is_counted_whatever_the_shape(tmp_path):
    row = grow(("q1", "", "user", "A"), ("a1", "q1", "assistant", "B"), ("q2", "a1", "user", "C"),
               ("r", "", "user", "D"), ("s", "r", "assistant", "E"), ("t", "r", "assistant", "F"))  # fmt: skip
    row["mapping"]["lost"] = {"id": "lost", "parent": "q1", "children": [], "message": {
        "id": "lost", "author": {"role": "user"}, "content": {"parts": ["G"]}}}  # fmt: skip
    counts, found = read_rows(tmp_path, row)
    assert said(found) == [("D", "F")] and contents(found, "choice")[0].rejected == "E"
    assert (counts.dropped[LEFT], counts.dropped["messages outside of the conversation's tree"]) == (3, 1)


def test_retries_of_claude_and_librechat_are_branches(tmp_path):
    row = claude_chat()
    retry = {**row["chat_messages"][1], "uuid": "again", "content": [{"type": "text", "text": "A dog."}]}
    row["chat_messages"].insert(2, retry)
    for message, parent in zip(row["chat_messages"], ("0", "k1-1", "k1-1", "again", "k1-3"), strict=True):
        message["parent_message_uuid"] = parent
    _, found = read_rows(tmp_path, row)
    (pair,) = contents(found, "choice")
    assert (pair.chosen, pair.rejected) == ("A dog.", "A cat.") and said(found)[0] == ("Name a pet.", "A dog.")
    flat = librechat_chat()
    asked = flat["messages"][0]
    flat["messages"] = [{**asked, "children": []}, *asked["children"]]
    assert contents(read_rows(tmp_path, flat)[1], "choice") == contents(
        read_rows(tmp_path, librechat_chat())[1], "choice"
    )


def test_an_account_export_is_its_account_s_and_two_accounts_are_not_one_user(tmp_path):
    assert read_rows(tmp_path, claude_chat(), user_id="")[1][0].user_id == "acc"
    assert read_rows(tmp_path, claude_chat(), user_id="ann")[1][0].user_id == "ann"
    with pytest.raises(Exception, match="'account' names another user"):
        read_rows(tmp_path, claude_chat(), claude_chat("k2", "other"), user_id="ann")


def test_a_grown_export_updates_the_answer_and_the_thumb_that_now_stand(tmp_path):
    first, later = open_webui_chat(), open_webui_chat()
    messages = later["chat"]["history"]["messages"]
    messages["3"]["annotation"] = {"rating": -1, "comment": "Too short after all."}
    messages["1"]["childrenIds"].append("5")
    messages["5"] = {**messages["3"], "id": "w1-5", "content": "A dog.", "childrenIds": [], "annotation": None}
    later["chat"]["history"]["currentId"] = "5"
    for name, row in (("1", first), ("2", later)):
        write(tmp_path / f"{name}.json", [row])
    both = store_of(tmp_path / "both.db", tmp_path / "1.json", tmp_path / "2.json", tmp_path / "2.json")
    told = " ".join(str(row) for row in both)
    assert "A dog." in told and "Too short after all." in told and "I like that" not in told
    thumbs = {row[1]: row[5] for row in both if row[1].startswith("thumb-")}
    assert len(thumbs) == 2 and all('"label":false' in content for content in thumbs.values())
    assert sum(row[3] == "message" for row in both) == 2, "what stood before is no event of its own"


def compared(rating: str, new: str = "b", original: str = "a") -> dict:
    """A row of model_comparisons.json as the page of an export shows it: the answers' turns, and what was said."""
    step = {
        "original_turn": [{"id": original}], "new_turn": [{"id": new}],
        "new_completion_placement": "right", "completion_comparison_rating": rating,
    }  # fmt: skip
    return {"id": f"k{new}", "input": {"conversation_id": "c"}, "output": {"feedback_step_2": step}, "create_time": 7}


FORK = (
    ("q", "", "user", "Name a pet."),
    ("a", "q", "assistant", "A snake."),
    ("b", "q", "assistant", "A cat."),
    ("q2", "b", "user", "Thanks."),
)


@pytest.mark.parametrize(
    ("rating", "choice"), [("new", ("A cat.", "A snake.")), ("original", ("A snake.", "A cat.")), ("same", None)]
)
@pytest.mark.parametrize("is_flat", [False, True])
def test_a_stated_comparison_counts_and_not_which_answer_was_gone_on_with(tmp_path, rating, choice, is_flat):
    row = {"original_message_id": "a", "new_message_id": "b", "rating": rating, "create_time": 7}
    write(tmp_path / "conversations.json", [grow(*FORK)])
    write(tmp_path / "model_comparisons.json", [row if is_flat else compared(rating)])
    counts, found = read(tmp_path)
    pairs = [entry for entry in found if entry.event.kind == "choice"]
    assert [(one.event.content.chosen, one.event.content.rejected) for one in pairs] == ([choice] if choice else [])
    assert all((one.event.source, one.held_out, one.event.time) == ("chatgpt:compared", None, 7) for one in pairs)
    assert not counts.dropped and (counts.rows, counts.used, counts.left_out) == (2, 2, 0)


def test_a_comparison_of_answers_that_are_not_there_or_to_other_questions_is_counted(tmp_path):
    rows = [compared("new", "b", "gone"), compared("new", "c"), compared("better", "d"), compared("new", "e", "e")]
    talk = grow(*FORK, ("c", "q2", "assistant", "Any time."))
    write(tmp_path / "conversations.json", [talk])
    write(tmp_path / "model_comparisons.json", rows)
    counts, found = read(tmp_path)
    (pair,) = [entry for entry in found if entry.event.kind == "choice"]
    assert pair.event.source == "chatgpt:regenerated", "nothing was stated of these two"
    assert counts.dropped["comparisons of answers that the log does not hold (model_comparisons.json)"] == 2
    assert counts.dropped["reactions that are neither yes nor no"] == 2 and counts.left_out == 4
