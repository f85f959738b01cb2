"""FastAPI's side of the comparison: the same routes of notes, as a service of its own would have them.

    BENCH_DATABASE_URL=... BENCH_ISSUER=... BENCH_AUDIENCE=... BENCH_KEYS=... python -m uvicorn app:app

A caller is who the bearer token names, and has the notes of their own in their tenant, which every statement says. Reads
are single statements without a transaction, changes have one each. The pool has a connection for each client of the bench,
and asyncpg prepares each statement once for each of them. The schema `fastapi` is there; the table is made at the start.
"""

import base64
import os
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, Index, MetaData, Text, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ENGINE = create_async_engine(os.environ["BENCH_DATABASE_URL"], pool_size=16, max_overflow=0)
CHANGES = async_sessionmaker(ENGINE, expire_on_commit=False)
READS = async_sessionmaker(ENGINE.execution_options(isolation_level="AUTOCOMMIT"))


class Base(DeclarativeBase):
    metadata = MetaData(schema="fastapi")
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), list[str]: ARRAY(Text)}


class Note(Base):
    __tablename__ = "notes"
    __table_args__ = (Index("notes_by_creation", "tenant", "owner", "created_at", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    owner: Mapped[str]
    title: Mapped[str]
    content: Mapped[str]
    format: Mapped[str]
    tags: Mapped[list[str]]
    pinned: Mapped[bool]
    archived: Mapped[bool]
    due_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    version: Mapped[int]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    updated_at: Mapped[datetime]
    updated_by: Mapped[str]


class NewNote(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=200)]
    content: Annotated[str, Field(max_length=262_144)] = ""
    format: Literal["markdown", "text"] = "markdown"
    tags: Annotated[list[Annotated[str, Field(min_length=1, max_length=50)]], Field(max_length=20)] = []
    pinned: bool = False
    archived: bool = False
    due_at: AwareDatetime | None = None
    done_at: AwareDatetime | None = None


class NotePatch(NewNote):
    """A merge patch: only what was sent is looked at."""

    title: Annotated[str, Field(min_length=1, max_length=200)] = ""


class NoteHead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    owner: str
    title: str
    format: str
    tags: list[str]
    pinned: bool
    archived: bool
    due_at: datetime | None
    done_at: datetime | None
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


class NoteDetail(NoteHead):
    content: str


class NoteSummary(NoteHead):
    excerpt: str
    content_bytes: int


class Page(BaseModel):
    data: list[NoteSummary]
    next_cursor: str | None
    has_more: bool


SUMMARY = [getattr(Note, name) for name in NoteHead.model_fields] + [
    func.left(Note.content, 200).label("excerpt"),
    func.octet_length(Note.content).label("content_bytes"),
]

KEYS = {key.key_id: key for key in jwt.PyJWKSet.from_json(os.environ["BENCH_KEYS"]).keys}
ISSUER, AUDIENCE = os.environ["BENCH_ISSUER"], os.environ["BENCH_AUDIENCE"]


@dataclass(frozen=True, slots=True)
class Caller:
    tenant: str
    user: str

    def owns(self):
        return (Note.tenant == self.tenant, Note.owner == self.user)


async def authenticate(bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> Caller:
    token = bearer.credentials
    try:
        key = KEYS[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=AUDIENCE, issuer=ISSUER)
        return Caller(claims["tid"], claims["sub"])
    except (jwt.InvalidTokenError, KeyError) as error:
        raise HTTPException(401, "the token is not valid", {"WWW-Authenticate": "Bearer"}) from error


By = Annotated[Caller, Depends(authenticate)]


@asynccontextmanager
async def lifespan(_: FastAPI):
    async with ENGINE.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await ENGINE.dispose()


app = FastAPI(lifespan=lifespan)


def not_found() -> HTTPException:
    return HTTPException(404, "there is no such note")


def to_cursor(row) -> str:
    return base64.urlsafe_b64encode(f"{row.created_at.isoformat()} {row.id}".encode()).decode()


def of_cursor(cursor: str) -> tuple[datetime, uuid.UUID]:
    try:
        created_at, id = base64.urlsafe_b64decode(cursor).decode().split(" ")
        return datetime.fromisoformat(created_at), uuid.UUID(id)
    except ValueError as error:
        raise HTTPException(400, "the cursor is not valid") from error


@app.post("/notes", status_code=201)
async def create(new: NewNote, caller: By, response: Response) -> NoteDetail:
    now = datetime.now(UTC)
    who = {"created_at": now, "created_by": caller.user, "updated_at": now, "updated_by": caller.user}
    note = Note(id=uuid.uuid4(), tenant=caller.tenant, owner=caller.user, version=1, **who, **new.model_dump())
    async with CHANGES.begin() as session:
        session.add(note)
    response.headers["Location"] = f"/notes/{note.id}"
    return note


@app.get("/notes/{id}")
async def get(id: uuid.UUID, caller: By) -> NoteDetail:
    async with READS() as session:
        note = await session.scalar(select(Note).where(Note.id == id, *caller.owns()))
    if note is None:
        raise not_found()
    return note


@app.get("/notes")
async def list_notes(
    caller: By, limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: str | None = None
) -> Page:
    query = select(*SUMMARY).where(*caller.owns())
    if cursor is not None:
        query = query.where(tuple_(Note.created_at, Note.id) < of_cursor(cursor))
    async with READS() as session:
        rows = (await session.execute(query.order_by(Note.created_at.desc(), Note.id.desc()).limit(limit + 1))).all()
    more, rows = len(rows) > limit, rows[:limit]
    data = [NoteSummary.model_validate(row) for row in rows]
    return Page(data=data, next_cursor=to_cursor(rows[-1]) if more else None, has_more=more)


@app.patch("/notes/{id}")
async def edit(id: uuid.UUID, patch: NotePatch, caller: By) -> NoteDetail:
    now = datetime.now(UTC)
    changes = patch.model_dump(exclude_unset=True)
    statement = (
        update(Note)
        .where(Note.id == id, *caller.owns())
        .values(version=Note.version + 1, updated_at=now, updated_by=caller.user, **changes)
        .returning(Note)
        .execution_options(synchronize_session=False)
    )
    async with CHANGES.begin() as session:
        note = await session.scalar(statement)
    if note is None:
        raise not_found()
    return note


@app.delete("/notes/{id}", status_code=204)
async def remove(id: uuid.UUID, caller: By) -> None:
    statement = delete(Note).where(Note.id == id, *caller.owns()).execution_options(synchronize_session=False)
    async with CHANGES.begin() as session:
        done = await session.execute(statement)
    if done.rowcount == 0:
        raise not_found()
