# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The panel's stand-in, one page: `python3 -m standin.panel`."""

from __future__ import annotations

import html
import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>LeviBot panel (stand-in)</title>
<h1>LeviBot {version}</h1>
<p>A stand-in for sandboxes and tests. Paper money on a made-up market.</p>
<pre id="book">loading</pre>
<script>
  const show = async () => {{
    const answer = await fetch("/paper/portfolio");
    document.getElementById("book").textContent = answer.ok ? JSON.stringify(await answer.json(), null, 2) : "no answer";
  }};
  setInterval(show, 2000);
  show();
</script>
</html>
"""


def app(version: str) -> Starlette:
    page = _PAGE.format(version=html.escape(version))

    async def index(_request: Request) -> Response:
        return HTMLResponse(page)

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "healthy", "version": version})

    return Starlette(routes=[Route("/", index), Route("/health", health)])


if __name__ == "__main__":
    uvicorn.run(
        app(os.environ.get("LEVIBOT_VERSION") or "dev"),
        host="0.0.0.0",
        port=int(os.environ.get("LEVIBOT_PORT") or 80),
        http="h11",
        loop="asyncio",
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
