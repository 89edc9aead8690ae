"""The commands, in the order in which the help lists them. Heavy imports happen inside them, so `--help` is fast."""

from __future__ import annotations

import os
import sys

import typer

from cosmos_train.commands import judging, making, training
from cosmos_train.errors import UserError

app = typer.Typer(
    help="Pretrain multimodal models on interleaved shards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (
    training.run, training.launch, training.replay, judging.evaluate, judging.generate, making.export,
    judging.retrieve, judging.attend, making.upcycle, making.pack_llava, training.ablate, judging.plot, judging.report,
    training.size, making.index, making.doctor, training.keys,
):  # fmt: skip
    app.command()(command)


def main() -> None:
    """Entry point. Prints a UserError as two lines; exit codes 0, 1 (failed), 2 (wrong usage)."""
    # Threads that wait for each other spin by default. On shared cores this cost ten times the work in a measurement.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(prog_name="cosmos_train")
    except UserError as error:
        _stop(error)
    except Exception as error:
        from interlink.surroundings import described

        if found := described(error):
            _stop(found)
        raise


def _stop(error: UserError) -> None:
    print(f"error: {error.what}", file=sys.stderr)
    if error.do:
        print(f"  {error.do}", file=sys.stderr)
    sys.exit(error.code)
