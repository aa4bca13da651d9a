"""When things happen: `At`, `Every` and `Cron`, pure functions of time.

A trigger is a frozen value that goes through JSON as the union `AnyTrigger`; it holds no state, reads no clock and
is asked with the time as argument. Inside, times are epoch milliseconds.
"""

from rota.core.triggers.at import At
from rota.core.triggers.base import Tick, Trigger, jitter_ms
from rota.core.triggers.cron import Cron
from rota.core.triggers.daylight import Daylight
from rota.core.triggers.dialects import Dialect
from rota.core.triggers.every import Every
from rota.core.triggers.parse import AnyTrigger, parse_trigger

__all__ = ["AnyTrigger", "At", "Cron", "Daylight", "Dialect", "Every", "Tick", "Trigger", "jitter_ms", "parse_trigger"]
