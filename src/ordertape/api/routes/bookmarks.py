"""Views with notes, for everybody who opens the page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ordertape.api.answers import exact
from ordertape.api.context import TheApi
from ordertape.errors import NotFound

__all__ = ["router"]

router = APIRouter(tags=["page"])


class BookmarkWish(BaseModel):
    """A view that shall be kept."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field(default="", max_length=500, description="what is to be seen there")
    view: str = Field(
        max_length=2_000,
        pattern=r"^\?[\x21-\x7e]*$",
        description="what stands in the page's address from the question mark on",
        examples=["?exchange=bitfinex&symbol=BTC%2FUSDT&group=100"],
    )


@router.get("/bookmarks", summary="Every bookmark, newest first", response_class=Response)
async def bookmarks(api: TheApi) -> Response:
    found = await api.in_thread(api.bookmarks.all)
    return exact({"count": len(found), "bookmarks": found})


@router.post(
    "/bookmarks", summary="Keep a view with a note", response_class=Response, status_code=201
)
async def keep(api: TheApi, wish: BookmarkWish) -> Response:
    return exact(await api.in_thread(lambda: api.bookmarks.add(wish.note, wish.view)), 201)


@router.delete("/bookmarks/{bookmark}", summary="Delete a bookmark", response_class=Response)
async def delete(
    api: TheApi,
    bookmark: Annotated[int, PathParameter(ge=1, le=2**53, description="its id")],
) -> Response:
    if not await api.in_thread(lambda: api.bookmarks.remove(bookmark)):
        raise NotFound(f"there is no bookmark {bookmark}")
    return exact({"message": f"bookmark {bookmark} is deleted"})
