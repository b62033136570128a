"""Deadlines and schedules: rows that are fired as commands in the order of their due times."""

from entrepot.kernel.timers.schedules import Schedule
from entrepot.kernel.timers.service import Timer, Timers

__all__ = ["Schedule", "Timer", "TimerRunner", "Timers"]


def __getattr__(name: str) -> object:
    # The runner opens cases and casework sets timers: importing it only when asked keeps the two apart.
    if name == "TimerRunner":
        from entrepot.kernel.timers.runner import TimerRunner

        return TimerRunner
    raise AttributeError(name)
