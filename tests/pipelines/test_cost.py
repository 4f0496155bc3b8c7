"""What work costs and how long it takes: sums that can be done by hand."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cost import GB, START, Prices, Work, bill
from xlnet.errors import UserError

PRICES = Prices("EUR", vcpu_hour=1, memory_gb_hour=0.1, disk_gb_hour=0.01, shuffle_gb=2, storage_gb_month=3)
WORK = Work(read=36_000, write=7200, longest_read=360, longest_write=72, shuffled=5 * GB, output=10 * GB)

works = st.builds(
    lambda read, write, most: Work(read, write, read / most, write / most, 0, 0),
    read=st.floats(1, 1e7),
    write=st.floats(1, 1e7),
    most=st.integers(1, 10_000),
)


def test_hours_are_start_reading_and_writing():
    assert WORK.core_hours == 12
    assert WORK.hours(1) == pytest.approx(12 + START / 3600)
    assert WORK.hours(10) == pytest.approx(1.2 + START / 3600)
    assert WORK.hours(10**6) == pytest.approx((360 + 72 + START) / 3600)  # the longest element is not shared
    assert WORK.at_speed(2).hours(10) == pytest.approx(0.6 + START / 3600)


@given(work=works, deadline=st.floats(0.01, 1000))
def test_no_fewer_cores_keep_a_deadline(work, deadline):
    if work.hours(10**12) > deadline:
        with pytest.raises(UserError, match=r"is the least: one file or shard alone takes .* s, and the start 300 s"):
            work.cores_for(deadline)
        return
    cores = work.cores_for(deadline)
    assert work.hours(cores) <= deadline
    assert cores == 1 or work.hours(cores - 1) > deadline


def test_a_bill_is_what_is_paid_for():
    alone = bill(WORK, PRICES)
    assert alone["vcpus"] == pytest.approx(12)
    assert alone["memory"] == pytest.approx(12 * 3.75 * 0.1)
    assert alone["disks"] == pytest.approx(12 * 25 * 0.01)
    assert alone["shuffle"] == pytest.approx(2 * 5 * 2)
    assert alone["storage"] == pytest.approx(30)
    assert alone["total"] == pytest.approx(sum(amount for name, amount in alone.items() if name != "total"))
    assert bill(WORK, PRICES, workers=10)["vcpus"] == pytest.approx(10 * WORK.hours(10))


def test_larger_and_faster_workers_cost_their_hours():
    large = Prices("EUR", 1, 0.1, 0.01, 2, 3, vcpus=4, memory_gb=16, speed=2)
    assert bill(WORK, large)["vcpus"] == pytest.approx(6)
    assert bill(WORK, large)["memory"] == pytest.approx(6 / 4 * 16 * 0.1)
    assert bill(WORK, large, workers=5)["vcpus"] == pytest.approx(20 * WORK.at_speed(2).hours(20))


def test_the_prices_of_the_repository_are_read():
    content = yaml.safe_load((Path(__file__).parents[2] / "configs" / "prices.yaml").read_text())
    prices = Prices.of(content)
    assert prices.currency == "USD"
    assert content == {name: getattr(prices, name) for name in content}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vcpu_hour": None}, r"prices: vcpu_hour missing; take configs/prices\.yaml"),
        ({"vcpu_our": 1}, "unknown setting 'vcpu_our'; did you mean 'vcpu_hour'"),
        ({"vcpu_hour": "cheap"}, "vcpu_hour is 'cheap', wanted is a number"),
        ({"vcpus": 0}, "vcpus is 0, wanted is 1 or more"),
        ({"speed": 0}, "speed is 0.0, wanted is more than 0"),
        ({"shuffle_gb": -1}, "shuffle_gb is -1.0, wanted is 0 or more"),
        ({"memory_gb": float("nan")}, "memory_gb is nan, wanted is 0 or more"),
    ],
)
def test_prices_that_cannot_be(changes, message):
    content = {"currency": "EUR", "vcpu_hour": 1, "memory_gb_hour": 1, "disk_gb_hour": 1, "shuffle_gb": 1}
    content |= {"storage_gb_month": 1} | changes
    with pytest.raises(UserError, match=message):
        Prices.of({name: value for name, value in content.items() if value is not None})
