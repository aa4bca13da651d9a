"""The engine on one machine.

    timer     decides due ticks, hands due runs to the pool, on the millisecond
    pool      runs attempts                                        (pool.py)
    recorder  writes outcomes, in groups                           (recorder.py)
    watcher   notices what other processes wrote, cancellations, timeouts, clock steps; forgets what is old

The timer sleeps until the next due time it knows of, at most a quarter of a second, and decides ticks a few
milliseconds ahead (LEAD), so that the synced write is done when the time comes; when thousands of ticks come together,
up to LONGEST_LEAD ahead, save those of schedules with an open run. Everything in memory can be rebuilt from the
store: a crash at any point loses nothing but attempts in progress, which `recover` settles at the next
start. A clock that steps forward, or a machine that slept, makes ticks late, and the misfire policy decides; one that
steps back makes the timer wait again, and no tick is decided twice because a schedule's next tick only moves forward.

When the store cannot be read or written (full disk, locked file) nothing is started until it can; when it is damaged
the engine stops and says so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from rota.core.errors import RotaError, StoreCorruptError, StoreError
from rota.core.outcome import Result
from rota.core.retry import NEVER
from rota.core.run import Claim, Run, RunKey, RunSpec, Settlement
from rota.core.schedule import StoredSchedule
from rota.core.target import TaskTarget
from rota.core.task import Task
from rota.embedded.near import NearRuns, NearSchedules
from rota.embedded.pool import Attempt, Pool
from rota.embedded.recorder import Recorder
from rota.embedded.settings import Settings
from rota.ports.clock import Clock
from rota.ports.runs import RunStore
from rota.ports.schedules import ScheduleStore
from rota.ports.target import Inquiry, TargetCall
from rota.service.reap import reap
from rota.service.tick import LIMIT, decide, decide_ahead
from rota.service.work import INTERRUPTED, Policy, hand_back, recover

log: logging.Logger = logging.getLogger("rota.engine")
LEAD = 4
LONGEST_LEAD = 400
DECISIONS = 25
"""How many decisions a millisecond is enough for: thousands of ticks that come together are decided ahead of their
time, so that only their runs are left to start when it comes."""
LONGEST_WAIT = 0.25
WATCH = 0.02
REAP_EVERY = 60.0
CLOCK_STEP = 1000


class InterruptedAttemptError(Exception):
    """Why an attempt that the engine could not wait for ended."""


class Engine:
    """inquiries: how each kind of target that knows is asked about an attempt that was cut off. changed: answers a
    number that differs after another process wrote. release: gives up the lock and closes the store. reap_every:
    seconds between two looks for what is older than the retention."""

    def __init__(
        self,
        *,
        schedules: ScheduleStore,
        runs: RunStore,
        clock: Clock,
        tasks: Mapping[str, Task[..., object]],
        calls: Mapping[type, TargetCall],
        settings: Settings,
        changed: Callable[[], int],
        release: Callable[[], None],
        inquiries: Mapping[type, Inquiry] | None = None,
        reap_every: float = REAP_EVERY,
    ) -> None:
        self._schedules = schedules
        self._runs = runs
        self._clock = clock
        self._tasks = tasks
        self._settings = settings
        self.grace: float = settings.grace
        self._changed = changed
        self._release = release
        self._inquiries = dict(inquiries or {})
        self._reap_every = reap_every
        self._horizon = round(settings.horizon * 1000)
        self._near_runs = NearRuns(runs, settings.near_limit)
        self._near_schedules = NearSchedules(schedules, settings.near_limit)
        self._policies: dict[int, tuple[RunSpec, Policy]] = {}
        self._rescan = False
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._recorder = Recorder(runs, clock, self.policy, self._on_settled, self._on_fatal)
        self._pool = Pool(
            workers=settings.workers,
            async_limit=settings.async_limit,
            clock=clock,
            tasks=tasks,
            calls=calls,
            timeout=lambda run: self.policy(run).timeout,
            report=self._recorder.report,
        )
        self._threads = [
            threading.Thread(target=self._guard, args=(loop,), name=name, daemon=True)
            for name, loop in (("rota-timer", self._timer), ("rota-watcher", self._watcher))
        ]
        self.fatal: BaseException | None = None
        self.stopped: threading.Event = threading.Event()

    def policy(self, run: Run) -> Policy:
        """The run's own policy, else its task's."""
        spec = run.spec
        known = self._policies.get(id(spec))
        if known is not None and known[0] is spec:
            return known[1]
        task = None
        if isinstance(spec.target, TaskTarget) and spec.target.name in self._tasks:
            task = self._tasks[spec.target.name]
        timeout = spec.timeout if spec.timeout is not None else (task.timeout if task else None)
        policy = Policy(spec.retry or (task.retry if task else NEVER), timeout)
        if len(self._policies) > 1000:
            self._policies.clear()
        self._policies[id(spec)] = (spec, policy)
        return policy

    def start(self) -> None:
        """Settle what the last engine left running, then run. Raises StoreError."""
        recovered = recover(self._runs, self.policy, self._clock.now(), self._inquire)
        if recovered:
            log.warning("%d attempts were cut off when the last engine ended", len(recovered))
            for it in recovered:
                if it.outcome == "succeeded":
                    log.info("%s attempt %d succeeded, its target says", it.run.id, it.attempt)
        self._recorder.start(self._pool)
        for thread in self._threads:
            thread.start()

    def _inquire(self, run: Run) -> Result | None:
        """What the target knows of the attempt of `run` that was cut off. A kind of target that fails to answer is not
        asked again: a start must not wait for each of its runs in turn."""
        kind = type(run.spec.target)
        if kind not in self._inquiries:
            return None
        try:
            return self._inquiries[kind](run)
        except RotaError as error:
            log.warning("%s may be attempted twice: %s", run.id, error)
            del self._inquiries[kind]
            return None

    @property
    def running(self) -> int:
        """How many runs are going on."""
        return len(self._pool.running)

    def wake(self) -> None:
        """Something was written by this process: look again."""
        self._rescan = True
        self._wake.set()

    def stop(self, grace: float | None = None) -> None:
        """Start nothing more, wait up to `grace` seconds for what runs, hand back the rest, and close. Safe to call
        twice."""
        if self._stopping.is_set():
            self.stopped.wait()
            return
        self._stopping.set()
        self._wake.set()
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join()
        waiting = self._pool.drain()
        deadline = time.monotonic() + (self._settings.grace if grace is None else grace)
        while self._pool.running and time.monotonic() < deadline and self.fatal is None:
            self._pool.expire(self._clock.now())
            time.sleep(0.01)
        self._pool.abandon(self._clock.now(), InterruptedAttemptError(INTERRUPTED.message))
        if self.fatal is None:
            self._recorder.close()
            self._hand_back([attempt.run for attempt in waiting if attempt.claimed])
        self._pool.close()
        self._release()
        self.stopped.set()

    def _hand_back(self, claimed: Sequence[Run]) -> None:
        """Make runs pending again that were claimed but not started; what was not claimed is pending still."""
        try:
            hand_back(self._runs, claimed, self._clock.now())
        except StoreError as error:
            log.warning("%d runs that were not started end as interrupted: %s", len(claimed), error)

    def _guard(self, loop: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                loop()
            except StoreCorruptError as error:
                self._on_fatal(error)
            except StoreError as error:
                log.warning("nothing is started until the store answers: %s", error)
                self._rescan = True
                self._stopping.wait(0.5)
            except Exception as error:
                log.exception("the engine ends because of an error of its own")
                self._on_fatal(error)

    def _on_fatal(self, error: BaseException) -> None:
        self.fatal = self.fatal or error
        self._stopping_from_inside()

    def _stopping_from_inside(self) -> None:
        if not self._stopping.is_set():
            threading.Thread(target=self.stop, args=(0.0,), name="rota-stop", daemon=True).start()
            self._stopping.wait()

    # timer

    def _timer(self) -> None:
        while not self._stopping.is_set():
            if not self._recorder.healthy:
                self._stopping.wait(0.05)
                continue
            now = self._clock.now()
            more = self._load(now)
            more |= self._tick(now)
            if self._rescan:
                continue  # what a decision cancelled must not start
            self._dispatch()
            if not more:
                self._wait()

    def _load(self, now: int) -> bool:
        """Keep the windows ahead of `now`; True if a page was full."""
        near, until = self._near_runs, now + self._horizon
        near.take_in()
        if self._rescan:
            self._rescan = False
            pending = near.rescan()
            if pending is not None:
                near.settled(self._pool.withdraw(pending))
            self._near_schedules.rescan()
        more = self._near_schedules.load(until) if self._near_schedules.covered < now + self._horizon // 2 else False
        return (near.load(until) if near.covered < now + self._horizon // 2 else False) or more

    def _tick(self, now: int) -> bool:
        """Decide on what is due; True if there may be more."""
        near, crowd = self._near_schedules, self._crowd_time()
        due = near.take(now + LEAD, LIMIT)
        waiting: list[StoredSchedule] = []
        if due:
            changes = decide(self._schedules, due, now, LEAD)
        elif crowd is not None and crowd <= now:
            due = near.take_ahead(now + LONGEST_LEAD, LIMIT)
            changes, waiting = decide_ahead(self._schedules, due, now)
            near.put_off(waiting)
        else:
            return False
        for change in changes:
            if change.after is not None:
                near.put(change.after)
            self._near_runs.add(change.runs)
            for key in change.cancel:
                self._pool.cancel(key)
                self._rescan = True
        if len(changes) + len(waiting) < len(due):
            self._rescan = True
        return True

    def _crowd_time(self) -> int | None:
        """When to decide on the earliest ticks: LEAD before them, or sooner if many come together."""
        crowd = self._near_schedules.crowd(LONGEST_LEAD)
        if crowd is None:
            return None
        first, count = crowd
        return first - min(LONGEST_LEAD, LEAD + count // DECISIONS)

    def _dispatch(self) -> None:
        runs = self._near_runs.take(self._clock.now())
        if not runs:
            return
        once = [run for _, run in runs if run.spec.delivery == "at_most_once"]
        attempts = [Attempt(key, run) for key, run in runs] if not once else self._claimed_first(runs, once)
        self._pool.put(attempts)
        self._recorder.dispatched()

    def _claimed_first(self, runs: Sequence[tuple[RunKey, Run]], once: Sequence[Run]) -> list[Attempt]:
        """Attempts of `runs`, with those of `once` claimed before they start: a crash must not lead to another."""
        now = self._clock.now()
        answers = self._runs.claim([Claim(run, now) for run in once])
        won = {run.key: answer for run, answer in zip(once, answers, strict=True)}
        return [Attempt(key, run, key in won) for key, run in runs if won.get(key, True)]

    def _wait(self) -> None:
        now = time.time()  # noqa: TID251 a wait needs more than the clock's milliseconds
        put_off = self._near_schedules.next_put_off()
        ticks = (self._crowd_time(), None if put_off is None else put_off - LEAD)
        known = [at for at in (self._near_runs.next_due(), *ticks) if at is not None]
        wait = min(LONGEST_WAIT, min(known) / 1000 - now) if known else LONGEST_WAIT
        if self._stopping.is_set() or wait <= 0:
            return
        if wait > 0.003:
            # An Event wakes early for new work but up to a millisecond late; the last stretch is slept.
            if self._wake.wait(wait - 0.002):
                self._wake.clear()
        else:
            time.sleep(wait)

    def _on_settled(self, keys: Sequence[RunKey], settlements: Sequence[Settlement], released: Sequence[Run]) -> None:
        arrived = list(released)
        for it in settlements:
            if it.failure is None:
                continue
            if it.retry_at is not None and self._is_pending(it.run.key):
                run = it.run
                arrived.append(
                    Run(run.schedule_id, run.scheduled, it.retry_at, run.spec, run.payload, it.attempt, run.recurring)
                )
            follows = f"again in {it.retry_at - it.finished} ms" if it.retry_at is not None else "no more attempts"
            log.warning("%s attempt %d failed, %s: %s", it.run.id, it.attempt, follows, it.failure)
        if self._near_runs.settled(keys, arrived):
            self._wake.set()

    def _is_pending(self, key: RunKey) -> bool:
        """Whether the store took the retry: it does not if the run was cancelled before it was claimed."""
        try:
            record = self._runs.get(key)
        except StoreCorruptError:
            raise
        except StoreError:
            self._rescan = True
            return False
        return record is not None and record.state == "pending"

    # watcher

    def _watcher(self) -> None:
        seen, reaped = self._changed(), time.monotonic()
        drift = self._clock.now() - round(time.monotonic() * 1000)
        while not self._stopping.wait(WATCH):
            version = self._changed()
            if version != seen:
                seen = version
                self._cancel_asked()
                self.wake()
            now = self._clock.now()
            self._pool.expire(now)
            stepped = now - round(time.monotonic() * 1000) - drift
            if abs(stepped) > CLOCK_STEP:
                log.warning("the clock stepped by %+.1f s, or the machine slept", stepped / 1000)
                drift += stepped
                self.wake()
            if time.monotonic() - reaped > self._reap_every:
                reaped = time.monotonic()
                self._forget(now)

    def _cancel_asked(self) -> None:
        claimed = [key for key, attempt in list(self._pool.running.items()) if attempt.claimed]
        if claimed:
            for key in self._runs.cancelled(claimed):
                self._pool.cancel(key)

    def _forget(self, now: int) -> None:
        before = now - round(self._settings.retention * 1000)
        while reap(self._schedules, self._runs, before) and not self._stopping.wait(0.02):
            pass
