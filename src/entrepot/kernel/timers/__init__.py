"""Deadlines and schedules: rows that are fired as commands in the order of their due times."""

from entrepot.kernel.timers.runner import TimerRunner
from entrepot.kernel.timers.service import Timers

__all__ = ["TimerRunner", "Timers"]
