"""From options to the parts of a schedule's definition."""

from __future__ import annotations

from typing import Any

import msgspec

from rota import wiring
from rota.cli.options import instant, is_none, json_value, number, number_or_none, several
from rota.core.errors import InvalidError
from rota.core.retry import Retry
from rota.core.target import AnyTarget, HttpTarget, read_target
from rota.core.triggers import AnyTrigger, At, Cron, Every, parse_trigger

_CRON_ONLY = ("dialect", "dst")


def given(**options: Any) -> dict[str, Any]:
    """Those options that were given."""
    return {name: value for name, value in options.items() if value is not None}


class TriggerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options that make a trigger, as texts; None where not given."""

    cron: str | None = None
    every: str | None = None
    at: str | None = None
    timezone: str | None = None
    dialect: str | None = None
    dst: str | None = None
    anchor: str | None = None
    start: str | None = None
    end: str | None = None
    exclude: list[str] | None = None
    exclude_file: str | None = None
    jitter: str | None = None

    @property
    def kind(self) -> str | None:
        """Which of --cron, --every and --at is given; InvalidError if more than one is."""
        kinds = [name for name in ("cron", "every", "at") if getattr(self, name) is not None]
        if len(kinds) > 1:
            raise InvalidError(
                "--" + kinds[1], getattr(self, kinds[1]), f"only one of --cron, --every and --at, not also --{kinds[0]}"
            )
        return kinds[0] if kinds else None

    def make(self) -> AnyTrigger:
        """A new trigger."""
        if self.kind is None:
            raise InvalidError("trigger", None, "one of --cron, --every and --at")
        return self._make(self._common())

    def change(self, old: AnyTrigger) -> AnyTrigger | None:
        """`old` with what is given changed, its zone, window and exclusions kept otherwise; None if nothing is
        given."""
        common = self._common()
        if self.kind is not None:
            kept = {name: getattr(old, name) for name in ("timezone", "start", "end", "exclude", "jitter")}
            if isinstance(old, Cron) and self.cron is not None and self.dst is None and old.dst != "standard":
                kept["dst"] = old.dst
            return self._make(kept | common)
        own = given(dialect=self.dialect, dst=self.dst) if isinstance(old, Cron) else {}
        if isinstance(old, Every):
            own = self._phase()
        self._refuse_foreign("cron" if isinstance(old, Cron) else "every" if isinstance(old, Every) else "at")
        changes = common | own
        return msgspec.structs.replace(old, **changes) if changes else None

    def _make(self, options: dict[str, Any]) -> AnyTrigger:
        self._refuse_foreign(self.kind)
        if self.cron is not None:
            try:
                return parse_trigger(self.cron, **given(dialect=self.dialect, dst=self.dst), **options)
            except TypeError:
                raise InvalidError("cron", self.cron, "a cron expression where --dialect or --dst is given") from None
        if self.every is not None:
            return Every(self.every, **self._phase(), **options)
        assert self.at is not None
        return At(instant("at", self.at), **options)

    def _refuse_foreign(self, kind: str | None) -> None:
        for name in _CRON_ONLY:
            if getattr(self, name) is not None and kind != "cron":
                raise InvalidError(name, getattr(self, name), "only for a cron expression")
        if self.anchor is not None and kind != "every":
            raise InvalidError("anchor", self.anchor, "only for an interval (--every)")

    def _phase(self) -> dict[str, Any]:
        return self._instants("anchor")

    def _instants(self, *names: str) -> dict[str, Any]:
        texts = {name: getattr(self, name) for name in names}
        return {
            name: None if is_none(text) else instant(name, text) for name, text in texts.items() if text is not None
        }

    def _common(self) -> dict[str, Any]:
        exclude = several("exclude", self.exclude)
        if self.exclude_file is not None:
            if exclude == []:
                raise InvalidError("exclude", "none", "dates, where --exclude-file adds to them")
            exclude = [*(exclude or []), *wiring.excluded_dates(self.exclude_file)]
        return given(
            timezone=self.timezone,
            exclude=None if exclude is None else tuple(exclude),
            jitter=None if self.jitter is None else number("jitter", self.jitter),
        ) | self._instants("start", "end")


def aimed(
    target: str | AnyTarget, method: str | None, headers: list[str] | None, allow_private: bool | None
) -> AnyTarget:
    """The target with those options that only an HTTP target has, where they are given."""
    found = read_target(target)
    changes = given(
        method=None if method is None else method.upper(),
        headers=None if headers is None else _headers(headers),
        allow_private=allow_private,
    )
    if not changes:
        return found
    if not isinstance(found, HttpTarget):
        foreign = {"method": method, "header": headers, "allow-private": allow_private}
        raise InvalidError(next(iter(given(**foreign))), str(found), "only for an http(s) URL")
    return msgspec.structs.replace(found, **changes)


def _headers(texts: list[str]) -> dict[str, str]:
    """Headers from "NAME: VALUE", or from "none". No value is repeated in an error: it may be secret."""
    headers: dict[str, str] = {}
    for text in several("header", texts) or ():
        name, colon, value = text.partition(":")
        if not colon:
            raise InvalidError("header", "…", "'NAME: VALUE', such as 'Content-Type: text/plain'")
        headers[name.strip()] = value.strip()
    return headers


def target_text(target: AnyTarget) -> str:
    """A target as it is shown: a URL with its method, the names of its headers, and whether it may be private."""
    if not isinstance(target, HttpTarget):
        return str(target)
    method = "" if target.method == "POST" else f"{target.method} "
    headers = f" with {', '.join(target.headers)}" if target.headers else ""
    return f"{method}{target}{headers}{', private addresses allowed' if target.allow_private else ''}"


def retry_text(retry: Retry) -> str:
    """Every field of a retry policy in one line."""
    waits = f"initial {retry.initial:g} s, factor {retry.factor:g}, maximum {retry.maximum:g} s, jitter {retry.jitter}"
    only = f"; only after {', '.join(retry.retry_on)}" if retry.retry_on else ""
    never = f"; never after {', '.join(retry.give_up_on)}" if retry.give_up_on else ""
    return f"attempts {retry.attempts}, {waits}{only}{never}"


def retry_policy(
    attempts: str | None, initial: str | None, factor: str | None, maximum: str | None, jitter: str | None
) -> Retry | None:
    """The policy that the --retry options make; None if none is given."""
    options = given(
        attempts=None if attempts is None else number("retry-attempts", attempts, int),
        initial=None if initial is None else number("retry-initial", initial),
        factor=None if factor is None else number("retry-factor", factor),
        maximum=None if maximum is None else number("retry-maximum", maximum),
        jitter=jitter,
    )
    return Retry(**options) if options else None


def policies(
    *,
    payload: str | None,
    misfire: str | None,
    grace: str | None,
    overlap: str | None,
    max_executions: str | None,
    timeout: str | None,
    delivery: str | None,
    precise: bool | None,
    tags: list[str] | None,
    description: str | None,
    retry: tuple[str | None, str | None, str | None, str | None, str | None],
) -> dict[str, Any]:
    """The arguments for `create` and `update` that these options give; what is not given is left out."""
    found = given(
        misfire=misfire,
        grace=None if grace is None else number("grace", grace),
        overlap=overlap,
        delivery=delivery,
        precise=precise,
        tags=several("tag", tags),
        description=description,
    )
    if payload is not None:
        found["payload"] = json_value("payload", payload)
    if max_executions is not None:
        found["max_executions"] = number_or_none("max_executions", max_executions, int)
    if timeout is not None:
        found["timeout"] = number_or_none("timeout", timeout)
    if retry[0] is not None and is_none(retry[0]):
        found["retry"] = None
    elif (policy := retry_policy(*retry)) is not None:
        found["retry"] = policy
    return found
