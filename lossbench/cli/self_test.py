"""`lossbench compare --self-test`."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from ..expression import split_losses
from .output import print_json


def print_self_test(losses: str | None, seeds: int, out: Path | None, json_: bool) -> None:
    """Simulate comparisons like the one in `out`, or like the defaults with these losses and seeds."""
    from ..report.terminal.self_test import self_test, self_test_table
    from ..verdict.judge import compare as compare_records
    from ..verdict.measured_setting import setting_of
    from ..verdict.simulation import Setting
    from .watch_run import working

    if out is not None:
        setting = setting_of(compare_records(out))
    else:
        entrants = len(split_losses(losses)) if losses else Setting.losses
        if entrants < 2 or seeds < 2:
            raise ConfigError("--self-test simulates at least two losses and two seeds")
        setting = Setting(losses=entrants, seeds=seeds)
    with working("simulating comparisons"):
        content = self_test(setting)
    if json_:
        print_json(content)
        return
    from ..report.terminal.table import TerminalTable
    from .terminal import Console

    Console().print(TerminalTable(self_test_table(content)))
