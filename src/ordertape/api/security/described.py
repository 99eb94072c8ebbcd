"""What `/docs` says of access: how a key is shown, which scope a route needs, who is refused."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from ordertape.api.security.scopes import ROUTES

__all__ = ["describe_access"]

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_REFUSALS: Final = {
    401: (
        "no API key where one is needed, or one that is not good",
        "this API key is unknown: it is mistyped, or was revoked",
    ),
    403: (
        "an API key that may not, or a page of another site",
        "this needs an API key of scope control, yours is read",
    ),
    421: (
        "a Host that is none of this server's names, without a key",
        "the Host is none of this server's names",
    ),
}
_OF_ANYBODY: Final = {
    408: ("a body that does not come", "expected the whole body within 10 s"),
    413: ("a body that is too large", "expected a body of at most 65536 bytes"),
    429: ("too many requests; Retry-After has the seconds", "too many requests: wait 3 s"),
}


def describe_access(app: FastAPI) -> None:
    """Adds it to the schema of an application whose routes are all there."""
    bare = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None or "securitySchemes" not in app.openapi_schema["components"]:
            schema = bare()
            schema["components"]["securitySchemes"] = _SCHEMES
            for path, methods in schema["paths"].items():
                for method, route in methods.items():
                    _describe(path, method.upper(), route)
            app.openapi_schema = schema
        return app.openapi_schema

    # As FastAPI's own documents extend a schema: there is no hook for it.
    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI extends it


def _describe(path: str, method: str, route: dict[str, Any]) -> None:
    needed = next(
        (
            scope
            for (own, template), scope in ROUTES.items()
            if own == method and template.replace(":path}", "}") == path
        ),
        "admin",
    )
    refusals = dict(_OF_ANYBODY)
    if needed != "public":
        route["security"] = [{name: []} for name in _SCHEMES]
        text = f"A key needs the scope `{needed}`; this machine needs none."
        before = route.get("description", "")
        route["description"] = f"{before}\n\n{text}".strip()
        refusals |= _REFUSALS
    for status, (meaning, detail) in refusals.items():
        route["responses"].setdefault(
            str(status),
            {
                "description": meaning,
                "content": {"application/json": {"example": {"detail": detail}}},
            },
        )
