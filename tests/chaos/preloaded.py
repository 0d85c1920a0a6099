"""All that a driver and its workers import: preloaded once, so that a process is forked in milliseconds."""

import planner.cli.main
import planner.store.audit
import runner.cli
import runner.sweep_commands
from runner.trial import libraries

__all__ = ["planner", "runner"]

libraries.load()
