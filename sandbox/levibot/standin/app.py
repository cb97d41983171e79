# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The HTTP side: LeviBot's calls in the plan's form and in the forms met in the field, authentication, and faults."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from . import market, models, views
from .engines import LIVE, MODES, PAPER, PAPER_CAPITAL, Desk, Engine, Refused
from .faults import FaultFile, Faults
from .metrics import Exporter
from .openapi import Call, document
from .settings import Settings
from .store import Store

TICK_SECONDS = 0.25
PAGE_ROWS = 100
_CENT = Decimal("0.01")
_HANG_POLL_SECONDS = 0.1
_UNTOUCHED_BY_ERRORS = frozenset({"/health", "/healthz", "/metrics"})
_TRUE, _FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no")


@dataclass
class KillSwitch:
    """In the memory of this process and nowhere else, as in the field: other workers and a restart know nothing of it."""

    on: bool = False
    reason: str | None = None


class Api:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.data)
        self.faults = FaultFile(settings.data / "faults.json")
        self.switch = KillSwitch()
        self.loaded = models.load(settings.data, settings.models, self.faults.current.lost_models)
        self.started = time.time()
        self.exporter = Exporter(lambda: self.store.desk, lambda: self.faults.current)
        self.calls = self._calls()
        self.openapi = document(self.calls, settings.version)

    def _calls(self) -> list[Call]:
        plan, fielded = self.settings.form in ("plan", "both"), self.settings.form in ("field", "both")
        start_body = {"symbol!": "string", "mode": "string", "capital": "number"}
        calls = [
            Call("GET", "/health", self.health),
            Call("GET", "/healthz", self.health),
            Call("GET", "/ai/models", self.models),
            Call("GET", "/engines", self.engines),
            Call("GET", "/engines/status", self.engines),
            Call("GET", "/engines/status/{symbol}", self.engine),
            Call("POST", "/engines/stop/{symbol}", self.stop, query={"close": "boolean"}),
            Call("POST", "/engines/restart/{symbol}", self.restart),
            Call("POST", "/engines/stop_all", self.stop_all),
            Call("GET", "/live/status", self.live_status),
            Call("GET", "/risk/summary", self.risk_summary),
            Call("GET", "/risk/guardrails", self.guardrails),
            Call("GET", "/metrics", self.metrics),
            Call("GET", "/openapi.json", self.describe),
        ]
        for mode in MODES:
            calls += [
                Call("GET", f"/{mode}/portfolio", self.portfolio),
                Call("GET", f"/{mode}/positions", self.positions),
                Call("GET", f"/{mode}/trades", self.trades, query={"limit": "integer", "offset": "integer"}),
                Call("GET", f"/{mode}/fills", self.fills, query={"limit": "integer", "offset": "integer"}),
            ]
        if plan and fielded:
            optional = {name.rstrip("!"): kind for name, kind in start_body.items()}
            calls += [
                Call("POST", "/engines/start", self.start, query={"symbol": "string"}, body=optional),
                Call("POST", "/live/kill", self.kill, query={"on": "boolean", "reason": "string"}, body={"reason": "string"}),
            ]
        elif plan:
            calls += [
                Call("POST", "/engines/start", self.start, body=start_body),
                Call("POST", "/live/kill", self.kill, body={"reason": "string"}),
            ]
        else:
            calls += [
                Call("POST", "/engines/start", self.start, query={"symbol!": "string"}),
                Call("POST", "/live/kill", self.kill, query={"on!": "boolean", "reason": "string"}),
            ]
        if fielded:
            calls += [
                Call("POST", "/engines/start/{symbol}", self.start_by_path),
                Call("POST", "/admin/kill", self.admin_kill),
                Call("POST", "/admin/unkill", self.admin_unkill),
                Call("GET", "/admin/flags", self.flags),
            ]
        return calls

    def app(self) -> ASGIApp:
        # A symbol has a slash in it, and servers decode %2F before they route.
        routes = [Route(call.path.replace("{symbol}", "{symbol:path}"), call.handler, methods=[call.method]) for call in self.calls]
        routes += [
            Route("/sandbox/faults", self.show_faults, methods=["GET"]),
            Route("/sandbox/faults", self.set_faults, methods=["PUT"]),
        ]
        inner = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={Refused: _refusal})
        return FaultGate(TokenGate(inner, self.settings.admin_token, self.store), self.faults)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        trading = asyncio.create_task(self._run())
        yield
        trading.cancel()

    async def _run(self) -> None:
        """Ticks for as long as this process lives. A trader that dies must not leave an API behind that looks well: exit, and
        let whoever started us decide."""
        try:
            while True:
                if self.store.may_trade():
                    with self.store.change() as desk:
                        desk.tick(time.time(), self.faults.current, self.switch.on)
                await asyncio.sleep(TICK_SECONDS)
        except Exception as exc:
            print(f"the trading loop failed: {exc!r}", flush=True)
            os._exit(70)

    # Engines

    async def start(self, request: Request) -> Response:
        """Both forms share the path. Only the plan's carries a mode and a capital; the field's starts paper."""
        if self.settings.form != "field":
            body = await _json_object(request)
            if body or self.settings.form == "plan":
                return self._start(request, body.get("symbol"), body.get("mode", PAPER), body.get("capital"))
        return self._start(request, request.query_params.get("symbol"), PAPER, None)

    async def start_by_path(self, request: Request) -> Response:
        return self._start(request, request.path_params["symbol"], PAPER, None)

    def _start(self, request: Request, symbol: Any, mode: Any, capital: Any) -> Response:
        if symbol is None:
            raise Refused(422, "symbol: required")
        if symbol not in market.SYMBOLS:
            raise Refused(404, f"symbol: {symbol!r} is not traded here; these are: {', '.join(market.SYMBOLS)}")
        if mode not in MODES:
            raise Refused(422, f"mode: paper or live, not {mode!r}")
        if mode == LIVE and self.switch.on:
            raise Refused(409, "the kill switch is on")
        if capital is None and mode == LIVE:
            raise Refused(422, "capital: required for live trading")
        amount = PAPER_CAPITAL if capital is None else _money(capital)
        now = time.time()
        with self.store.change() as desk:
            engine = desk.start(symbol, mode, amount, now, self.faults.current)
        self._audit(request, "engine_start", symbol=symbol, mode=mode, capital=str(amount))
        return self._done(desk, engine, now)

    async def stop(self, request: Request) -> Response:
        now, symbol = time.time(), request.path_params["symbol"]
        close = _switched(request, "close", default=True)
        with self.store.change() as desk:
            engine = desk.stop(symbol, now, self.faults.current, killed=self.switch.on, close=close)
        self._audit(request, "engine_stop", symbol=symbol, close=close)
        return self._done(desk, engine, now)

    async def stop_all(self, request: Request) -> Response:
        now = time.time()
        with self.store.change() as desk:
            for symbol in desk.engines:
                desk.stop(symbol, now, self.faults.current, killed=self.switch.on)
        self._audit(request, "engine_stop_all")
        return JSONResponse({"ok": True, **self._rows(desk, now)})

    async def restart(self, request: Request) -> Response:
        now, symbol = time.time(), request.path_params["symbol"]
        with self.store.change() as desk:
            if self.switch.on and desk.engine(symbol).mode == LIVE:
                raise Refused(409, "the kill switch is on")
            engine = desk.restart(symbol, now)
        self._audit(request, "engine_restart", symbol=symbol)
        return self._done(desk, engine, now)

    async def engines(self, _request: Request) -> Response:
        return JSONResponse(self._rows(self.store.desk, time.time()))

    async def engine(self, request: Request) -> Response:
        desk = self.store.desk
        return JSONResponse(self._row(desk, desk.engine(request.path_params["symbol"]), time.time()))

    def _done(self, desk: Desk, engine: Engine, now: float) -> Response:
        return JSONResponse({"ok": True, "engine": self._row(desk, engine, now)})

    def _row(self, desk: Desk, engine: Engine, now: float) -> dict[str, Any]:
        return views.engine(desk, engine, now, self.faults.current, full=self.settings.rows == "full")

    def _rows(self, desk: Desk, now: float) -> dict[str, Any]:
        return views.engines(desk, now, self.faults.current, full=self.settings.rows == "full")

    # The kill switch

    async def kill(self, request: Request) -> Response:
        """`?on=&reason=` is the field's form, a JSON body with a reason the plan's."""
        if self.settings.form != "plan" and "on" in request.query_params:
            return self._throw(request, _switched(request, "on", default=True), request.query_params.get("reason"))
        if self.settings.form == "field":
            raise Refused(422, "on: required in the query")
        return self._throw(request, True, (await _json_object(request)).get("reason"))

    async def admin_kill(self, request: Request) -> Response:
        return self._throw(request, True, request.query_params.get("reason"))

    async def admin_unkill(self, request: Request) -> Response:
        return self._throw(request, False, None)

    def _throw(self, request: Request, on: bool, reason: Any) -> Response:
        if not self.faults.current.refuse_kill:
            self.switch = KillSwitch(on, str(reason) if on and reason is not None else None)
        self._audit(request, "kill" if on else "unkill", reason=reason)
        return JSONResponse({"ok": True, "kill_switch_active": on})

    async def live_status(self, _request: Request) -> Response:
        mode = self.store.desk.mode
        state = {"kill_switch_active": self.switch.on, "reason": self.switch.reason}
        return JSONResponse({**state, "mode": mode, "active": mode == LIVE and not self.switch.on})

    async def flags(self, _request: Request) -> Response:
        return JSONResponse({"flags": {"killed": self.switch.on, "reason": self.switch.reason}})

    # Books, risk, models, health

    async def portfolio(self, request: Request) -> Response:
        return JSONResponse(views.portfolio(self.store.desk, _mode(request), time.time(), self.faults.current))

    async def positions(self, request: Request) -> Response:
        return JSONResponse(views.positions(self.store.desk, _mode(request), time.time()))

    async def trades(self, request: Request) -> Response:
        mode, desk = _mode(request), self.store.desk
        page = self.store.trades[mode].read(views.trade_numbers(desk, mode)[_page(request)])
        return JSONResponse(views.trades(page, self.faults.current))

    async def fills(self, request: Request) -> Response:
        mode, desk = _mode(request), self.store.desk
        return JSONResponse(views.fills(self.store.fills[mode].read(views.fill_numbers(desk, mode)[_page(request)])))

    async def risk_summary(self, _request: Request) -> Response:
        return JSONResponse(views.risk_summary(self.store.desk, time.time(), self.faults.current))

    async def guardrails(self, _request: Request) -> Response:
        return JSONResponse(views.guardrails(self.store.desk, time.time(), self.faults.current))

    async def models(self, _request: Request) -> Response:
        return JSONResponse(self.loaded)

    async def health(self, _request: Request) -> Response:
        """Healthy for as long as it answers, whatever the engines do: as in the field."""
        uptime = round(time.time() - self.started, 1)
        return JSONResponse({"status": "healthy", "version": self.settings.version, "uptime_seconds": uptime, "pid": os.getpid()})

    async def metrics(self, _request: Request) -> Response:
        return Response(self.exporter.text(), media_type="text/plain; version=0.0.4")

    async def describe(self, _request: Request) -> Response:
        return JSONResponse(self.openapi)

    # Faults

    async def show_faults(self, _request: Request) -> Response:
        return JSONResponse(self.faults.current.to_dict())

    async def set_faults(self, request: Request) -> Response:
        """The faults given are on from now on, all others off."""
        try:
            faults = Faults.from_dict(await _json_object(request))
        except ValueError as exc:
            raise Refused(422, str(exc)) from exc
        self.faults.replace(faults)
        return JSONResponse(faults.to_dict())

    def _audit(self, request: Request, event: str, **more: Any) -> None:
        """Each admin action that was carried out; one that was refused is none. /sandbox is not LeviBot's."""
        ip = request.client.host if request.client else ""
        self.store.audit(event, ip, method=request.method, path=request.url.path, **more)


class TokenGate:
    """Whatever changes something needs the bearer token."""

    def __init__(self, inner: ASGIApp, token: str, store: Store) -> None:
        self._inner = inner
        self._expected = f"Bearer {token}".encode()
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                self._store.audit("unauthorised", (scope.get("client") or ("",))[0], method=scope["method"], path=scope["path"])
                refusal = JSONResponse({"detail": "not authenticated"}, 401, headers={"WWW-Authenticate": "Bearer"})
                await refusal(scope, receive, send)
                return
        await self._inner(scope, receive, send)


class FaultGate:
    """Errors, delays and hanging, before anything else sees the request. /sandbox stays as it is, or nothing could be undone."""

    def __init__(self, inner: ASGIApp, faults: FaultFile) -> None:
        self._inner = inner
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/sandbox/"):
            while self._faults.current.hang:
                await asyncio.sleep(_HANG_POLL_SECONDS)
            if scope["path"] not in _UNTOUCHED_BY_ERRORS:
                faults = self._faults.current
                if faults.latency and random.random() < faults.latency.ratio:  # noqa: S311
                    await asyncio.sleep(faults.latency.seconds)
                if random.random() < faults.errors:  # noqa: S311
                    await JSONResponse({"detail": "internal server error"}, 500)(scope, receive, send)
                    return
        await self._inner(scope, receive, send)


async def _json_object(request: Request) -> dict[str, Any]:
    """The body as an object whatever its content type says, since the plan's own curl sends JSON under a form's; none is empty."""
    raw = await request.body()
    try:
        value = json.loads(raw) if raw else {}
    except ValueError as exc:
        raise Refused(422, "the body is not JSON") from exc
    if not isinstance(value, dict):
        raise Refused(422, "the body is not a JSON object")
    return value


async def _refusal(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Refused)  # noqa: S101 - what it is registered for
    return JSONResponse({"detail": exc.detail}, exc.status)


def _money(value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(0)
    if isinstance(value, bool) or not amount.is_finite() or not 0 < amount <= 1_000_000 or amount != amount.quantize(_CENT):
        raise Refused(422, f"capital: USD in whole cents, more than 0 and up to 1,000,000, not {value!r}")
    return amount


def _mode(request: Request) -> str:
    return request.url.path.split("/")[1]


def _page(request: Request) -> slice:
    """Of a listing: no more than PAGE_ROWS of it, whatever the limit."""
    limit, offset = (_whole(request, name, low, default) for name, low, default in (("limit", 1, PAGE_ROWS), ("offset", 0, 0)))
    return slice(offset, offset + min(limit, PAGE_ROWS))


def _whole(request: Request, name: str, low: int, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 12) or int(text) < low:
        raise Refused(422, f"{name}: a number from {low}, not {text!r}")
    return int(text)


def _switched(request: Request, name: str, *, default: bool) -> bool:
    text = request.query_params.get(name, str(default)).lower()
    if text not in _TRUE + _FALSE:
        raise Refused(422, f"{name}: true or false, not {text!r}")
    return text in _TRUE


def create() -> ASGIApp:
    """What each worker runs."""
    return Api(Settings.from_env(os.environ)).app()
