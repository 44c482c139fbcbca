"""Results come in order, and no more items are taken than asked for."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from insaat_cli.engine.bounded_map import in_order


def test_results_keep_the_order_of_the_items() -> None:
    def work(number: int) -> int:
        time.sleep(0.02 if number % 2 == 0 else 0.0)
        return number * number

    with ThreadPoolExecutor(3) as pool:
        assert list(in_order(pool, work, range(9), ahead=3)) == [n * n for n in range(9)]


def test_items_are_taken_only_as_results_are() -> None:
    taken = []

    def items():
        for number in range(10):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = in_order(pool, lambda number: number, items(), ahead=2)
        assert next(results) == 0
        assert len(taken) == 3


def test_a_fault_is_raised_where_its_result_would_be() -> None:
    def work(number: int) -> float:
        return 1 / (number - 1)

    with ThreadPoolExecutor(2) as pool:
        results = in_order(pool, work, range(3), ahead=2)
        assert next(results) == -1
        with pytest.raises(ZeroDivisionError):
            next(results)
