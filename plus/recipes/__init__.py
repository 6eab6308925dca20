"""Whole jobs, from plain arguments to a typed result: what the verbs of the command line call.

result = plus.train(dataset_name="pets", preset="tiny", max_steps=3, output_dir="runs/pets")
result.report["accuracy"]["plus"], result.summaries["ann"]
"""

from plus.recipes.selecting import SelectResult
from plus.recipes.stores import (
    backup,
    copy_store,
    edit_writer,
    import_profiles,
    load_run,
    open_store,
    restore,
    store_path,
)
from plus.recipes.summaries import SummarizeResult, UpdateResult, summarize, summarize_requests, update
from plus.recipes.training import DemoResult, TrainResult, demo, train, train_forecast, train_run, train_settings
from plus.recipes.writing import WriteResult

__all__ = [
    "DemoResult",
    "SelectResult",
    "SummarizeResult",
    "TrainResult",
    "UpdateResult",
    "WriteResult",
    "backup",
    "copy_store",
    "demo",
    "edit_writer",
    "import_profiles",
    "load_run",
    "open_store",
    "restore",
    "store_path",
    "summarize",
    "summarize_requests",
    "train",
    "train_forecast",
    "train_run",
    "train_settings",
    "update",
]
