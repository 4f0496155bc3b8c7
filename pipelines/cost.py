"""What so much work costs on Dataflow, how long it takes with so many workers, and how many a deadline needs."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from xlnet.errors import UserError, require
from xlnet.settings import make

START = 300.0  # seconds until workers run, and until all is closed
GB = 1 << 30


@dataclass(frozen=True)
class Prices:
    """Prices, and the worker that is paid for; `configs/prices.yaml` says what they are."""

    currency: str
    vcpu_hour: float
    memory_gb_hour: float
    disk_gb_hour: float
    shuffle_gb: float
    storage_gb_month: float
    storage_months: float = 1.0
    vcpus: int = 1  # of one worker
    memory_gb: float = 3.75
    disk_gb: float = 25.0
    speed: float = 1.0  # of a vCPU against the core that measured

    def __post_init__(self) -> None:
        require(self.vcpus >= 1, "vcpus", self.vcpus, "1 or more")
        require(0 < self.speed < math.inf, "speed", self.speed, "more than 0")
        for name, value in asdict(self).items():
            if name != "currency":
                require(0 <= value < math.inf, name, value, "0 or more")

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Prices":
        """Prices as YAML gives them. Raises UserError for what is missing or unknown."""
        needed = ("currency", "vcpu_hour", "memory_gb_hour", "disk_gb_hour", "shuffle_gb", "storage_gb_month")
        if missing := [name for name in needed if name not in content]:
            raise UserError(f"prices: {', '.join(missing)} missing; take configs/prices.yaml as a pattern")
        return make(cls, content, where="prices")


@dataclass(frozen=True)
class Work:
    """What a job does; seconds are those of one core. Writing begins when all is read."""

    read: float
    write: float
    longest_read: float  # of one element, which no second worker can share
    longest_write: float
    shuffled: float  # bytes
    output: float  # bytes

    @property
    def core_hours(self) -> float:
        """Hours of one core in all."""
        return (self.read + self.write) / 3600

    def at_speed(self, speed: float) -> "Work":
        """The same on cores that are so many times as fast."""
        return Work(
            self.read / speed,
            self.write / speed,
            self.longest_read / speed,
            self.longest_write / speed,
            self.shuffled,
            self.output,
        )

    def hours(self, cores: int) -> float:
        """From start to end."""
        return (START + max(self.longest_read, self.read / cores) + max(self.longest_write, self.write / cores)) / 3600

    def cores_for(self, deadline: float) -> int:
        """The cores that end the work within so many hours. Raises UserError where none do."""
        most = max(1, math.ceil((self.read + self.write) / max(1e-9, min(self.longest_read, self.longest_write))))
        if self.hours(most) > deadline:
            raise UserError(
                f"deadline_hours is {deadline:g}, {self.hours(most):.2f} is the least: one file or shard alone takes "
                f"{max(self.longest_read, self.longest_write):,.0f} s, and the start {START:,.0f} s; give more time, "
                "set more shards, unpack or divide packed files"
            )
        low, high = 0, most  # low cores are too few, high enough
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.hours(middle) <= deadline else (middle, high)
        return high


def bill(work: Work, prices: Prices, *, workers: int | None = None) -> dict[str, float]:
    """What the work costs, by what is paid for; of `workers` from start to end, else of its core hours alone."""
    hours = work.core_hours / prices.speed / prices.vcpus
    if workers is not None:
        hours = workers * work.at_speed(prices.speed).hours(workers * prices.vcpus)
    costs = {
        "vcpus": hours * prices.vcpus * prices.vcpu_hour,
        "memory": hours * prices.memory_gb * prices.memory_gb_hour,
        "disks": hours * prices.disk_gb * prices.disk_gb_hour,
        "shuffle": 2 * work.shuffled / GB * prices.shuffle_gb,  # written and read
        "storage": work.output / GB * prices.storage_gb_month * prices.storage_months,
    }
    return costs | {"total": sum(costs.values())}
