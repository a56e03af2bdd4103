"""`/docs`: Swagger UI over a service's own OpenAPI document, from files of this machine.

Invariant: the page loads nothing from another host, and its Content-Security-Policy lets the browser load nothing from there
either: whoever tries a call on this page types an API key into it. The scripts are those of the npm package `swagger-ui-dist`, as
the package `fastapi-swagger` carries them.
"""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, Response

DOCS_PATH = "/docs"
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # the interface sets styles on its elements
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_MAX_AGE_S = 3600
_START = """
SwaggerUIBundle(Object.assign({options}, {{dom_id: "#docs", presets: [SwaggerUIBundle.presets.apis]}}));
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_OPTIONS = {
    "url": "openapi.json",
    "validatorUrl": None,  # by default a service elsewhere is asked about the document
    "deepLinking": True,
    "persistAuthorization": False,
}


def swagger_ui(title: str) -> APIRouter:
    """Return the routes of the page. Addresses in it are relative, so that it works behind a prefix too."""
    router = APIRouter(prefix=DOCS_PATH, include_in_schema=False)
    page = _PAGE.format(title=escape(title))
    start = _START.format(options=json.dumps(_OPTIONS))

    @router.get("")
    async def show_docs() -> Response:
        return HTMLResponse(page, headers=_HEADERS)

    @router.get("/start.js")
    async def show_start() -> Response:
        return Response(start, media_type="text/javascript", headers=_HEADERS)

    for name, media_type in _FILES.items():
        _serve(router, name, media_type)
    return router


def _serve(router: APIRouter, name: str, media_type: str) -> None:
    path = Path(str(files("fastapi_swagger") / "resources" / name))
    headers = {**_HEADERS, "Cache-Control": f"public, max-age={_MAX_AGE_S}"}

    @router.get(f"/{name}")
    async def show_file() -> Response:
        return FileResponse(path, media_type=media_type, headers=headers)
