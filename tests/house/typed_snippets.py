"""What a type checker must make of flows and tasks. Read by `test_typing.py`, which never runs it.

A line that ends in `# wrong` must be an error; no other line may be, but for those that end in `# not yet`.
"""

from collections.abc import AsyncGenerator, Coroutine, Generator, Iterator
from typing import Any, assert_type

from prefect import Flow, State, Task, flow, task, unmapped
from prefect.futures import PrefectFuture, PrefectFutureList

# -- functions -----------------------------------------------------------------------------------------------------------


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task(retries=3, name="called with options")
def shout(text: str) -> str:
    return text.upper()


@flow
def pipeline(n: int, name: str = "x") -> list[int]:
    assert_type(add(n), int)
    assert_type(shout("a"), str)
    return [add(n, b=2)]


@flow(log_prints=True)
def optioned(n: int) -> str:
    return str(n)


assert_type(pipeline(1), list[int])
assert_type(optioned(1), str)
assert_type(optioned.with_options(retries=2)(1), str)
assert_type(add.with_options(retries=2)(1), int)

pipeline("one")  # wrong
pipeline()  # wrong
pipeline(1, size=3)  # wrong
optioned("one")  # wrong
add("one")  # wrong
add(1, c=2)  # wrong
shout(1)  # wrong

text: str = pipeline(1)  # wrong


# -- futures and states --------------------------------------------------------------------------------------------------


@flow
def submitting() -> None:
    future = add.submit(1, b=2)
    assert_type(future, PrefectFuture[int])
    assert_type(future.result(), int)
    futures = add.map([1, 2], b=unmapped(3))
    assert_type(futures, PrefectFutureList[int])
    assert_type(futures.result(), list[int])
    add.submit("one")  # wrong
    assert_type(add.submit(1, return_state=True), State[int])
    assert_type(add.submit(1, wait_for=[future]), PrefectFuture[int])


assert_type(pipeline(1, return_state=True), State[list[int]])
assert_type(add(1, return_state=True), State[int])
assert_type(add(1, wait_for=[]), int)


# -- asynchronous --------------------------------------------------------------------------------------------------------


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@flow
async def fetching(url: str) -> bytes:
    assert_type(await fetch(url), bytes)
    assert_type(fetch.submit(url), PrefectFuture[bytes])
    assert_type(fetch.submit(url).result(), bytes)
    assert_type(await fetch(url, return_state=True), State[bytes])
    return await fetch(url)


one_of_them: Coroutine[Any, Any, bytes] = fetching("u")


# -- generators ----------------------------------------------------------------------------------------------------------


@task
def count(to: int) -> Generator[int, None, None]:
    yield from range(to)


@flow
def count_flow(to: int) -> Iterator[str]:
    for number in count(to):
        assert_type(number, int)
        yield str(number)


@flow
async def count_slowly(to: int) -> AsyncGenerator[int, None]:
    for number in range(to):
        yield number


assert_type(count_flow(3), Iterator[str])
assert_type(count_slowly(3), AsyncGenerator[int, None])


# -- methods -------------------------------------------------------------------------------------------------------------


class Shop:
    @task
    def price(self, item: str) -> float:
        return 1.0

    @flow
    def sell(self, item: str, count: int = 1) -> float:
        return self.price(item) * count

    @flow
    @classmethod
    def found(cls, name: str) -> str:
        return name

    @task
    @staticmethod
    def tax(price: float) -> float:
        return price * 0.2

    @task(retries=1)
    @classmethod
    def opened(cls, year: int) -> bool:
        return year > 2000


assert_type(Shop().sell("pen"), float)
assert_type(Shop.found("Corner"), str)
assert_type(Shop().found("Corner"), str)
assert_type(Shop.tax(1.0), float)
assert_type(Shop.opened(2001), bool)
assert_type(Shop().opened(2001), bool)
Shop.found(1)  # wrong
Shop().sell(1)  # wrong


# -- as values -----------------------------------------------------------------------------------------------------------

a_task: Task[[int, int], int] = add
a_flow: Flow[[int], str] = optioned
