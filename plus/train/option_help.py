"""Help of the training options that are ours or have another default than TRL's.

One text an option, for `PLUSConfig` and for `plus train --help`; no torch is loaded to read it.
"""

from __future__ import annotations

# Options that the select engine alone takes.
OF_SELECT = ("events_per_summary", "embedding_model", "max_users", "users_per_step", "uniform", "borrow", "share")

HELP: dict[str, str] = {
    "events_per_summary": "Past events that a summary holds. Default: 8.",
    "embedding_model": (
        "What reads the lines: any sentence-transformers id or folder. Default: all-MiniLM-L6-v2, from the Hub or the "
        "offline copy that the extra embed-offline brings."
    ),
    "beta": "Weight of the KL to the reference. 0.1 nearly blocks learning; 0 invites a private code.",
    "scale_rewards": "'batch' keeps steps small while the reward model is noise; 'none' lets the KL win.",
    "num_generations": "Summaries per user and update, compared with each other; 4 to 8.",
    "per_device_train_batch_size": (
        "Summaries per update and device: users x num_generations. 60 or more distinct pairs an update learn reliably."
    ),
    "max_completion_length": (
        "Tokens a summary may have: shorter is cheaper wherever it is read. Default: 256 (as in the paper) with a "
        "language model; 800 with the select engine, whose events have equal shares and long answers are cut to them."
    ),
    "max_prompt_length": ("Tokens of history and instruction; the oldest events are cut first, the instruction never."),
    "mask_truncated_completions": "Leave summaries that hit the cap out of the loss.",
    "logging_steps": "Updates between lines of metrics.jsonl.",
    "reward_learning_rate": "The reward model's: the sharpest knob in trials; too high, and nothing is learned.",
    "reward_max_length": "Tokens the reward model reads; answers are cut at their end, summaries never.",
    "reward_tokens_per_batch": "Padded tokens in one pass of the reward model; lower it to save memory.",
    "pairs_per_user": "Choices of a user that test each of their summaries in one update.",
    "share_prefix": "Read each history once for all its summaries, exactly; false reads it once per summary.",
    "separate_pairs": (
        "Reward and reward-model loss on different pairs: a memorised pair earns nothing, at the price of noise."
    ),
    "summary_dropout": (
        "Share of the reward model's rows whose summary is left out, so that 'empty' stays a fair control."
    ),
}
