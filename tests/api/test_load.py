"""How much is asked for at once: less at once after a timeout, more again with patience."""

from __future__ import annotations

from prefect_deepset.api.load import Load


def ask(load: Load, largest: int, answers: int) -> tuple[int, int]:
    """Timeouts and answers of a server that answers pages of up to `largest` rows."""
    timeouts = 0
    for _ in range(answers):
        while load.limit > largest:
            timeouts += 1
            assert load.ease(time_filter=False)
        load.grow()
    return timeouts, load.limit


def test_a_stretch_that_takes_small_pages_only_costs_few_timeouts():
    timeouts, _ = ask(Load(), 25, 400)
    assert timeouts <= 12


def test_the_page_size_comes_back_after_the_stretch():
    load = Load()
    ask(load, 10, 5)
    assert ask(load, 100, 40) == (0, 100)


def test_there_is_nothing_less_than_ten_rows_without_a_time_filter():
    load = Load()
    assert [load.ease(time_filter=False) for _ in range(4)] == [True, True, True, False]
    assert load.limit == 10


def test_a_time_filter_narrows_the_query_down_to_seconds_and_it_widens_again():
    load = Load()
    windows = []
    while load.ease(time_filter=True):
        windows.append(load.window)
    assert windows[3:] == sorted(windows[3:], reverse=True)
    assert load.window is not None
    for _ in range(10_000):
        load.grow()
    assert (load.window, load.limit) == (None, 100)
