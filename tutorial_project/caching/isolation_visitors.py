"""Part of `isolation`: who visits, and what one visit is answered."""

from __future__ import annotations

import copy
import ctypes
import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any, cast

from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.test import Client
from django.test.client import ClientHandler

from .browser import Browser
from .isolation_answers import GAP, HEAD, Answer
from .isolation_rehearsal import AuditError, Kept, Memory, _line, one_visit
from .time_limit import TimeUp, within

# What says nothing about whom an answer was made for, or is compared by itself.
UNTOLD = set(
    "age cache-control content-language content-length date etag expires last-modified location pragma server "
    "server-timing set-cookie vary".split()
)
STREAMED = 200_000  # bytes of a stream that are read
MANY_LANGUAGES = 3


@dataclass(frozen=True)
class Identity:
    """Somebody who reads pages: a user or an anonymous visitor, a language, and headers of their own."""

    user: str | None
    language: str
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        headers = (f"{name}: {value}" for name, value in self.headers)
        return ", ".join([self.user or "anonymous", self.language, *headers])


@dataclass(frozen=True)
class State:
    """What a visit leaves: cookies in the visitor's browser, and all that lies in the caches, sessions too."""

    cookies: SimpleCookie
    kept: Kept


class Visitors:
    """The identities, each with a browser of its own, and the rehearsal that they visit."""

    def __init__(self, memory: Memory, seconds: float) -> None:
        self.memory, self.seconds = memory, seconds
        self.identities: list[Identity] = []
        self.people: list[str | None] = []
        self.languages: list[str] = []
        self.notes: list[str] = []
        self._browsers: dict[Identity, tuple[Client, SimpleCookie]] = {}

    def invite(
        self, users: Sequence[str] | None, languages: Sequence[str] | None, headers: Sequence[dict[str, str]]
    ) -> None:
        """Let the users sign in. Raises AuditError for a user or a language that the project does not have."""
        try:
            ClientHandler().load_middleware()
        except Exception as error:
            raise AuditError(f"MIDDLEWARE does not work: {_line(error)}") from error
        self.languages = self._languages(languages)
        accounts = self._accounts(users)
        everybody: list[str | None] = [*accounts, None]
        for name in everybody:
            wanted = [Identity(name, language) for language in self.languages]
            if name in (None, everybody[0]):
                wanted += [Identity(name, self.languages[0], tuple(each.items())) for each in headers]
            try:
                for identity in wanted:
                    self._browsers[identity] = self._browser(accounts.get(name or ""))
            except Exception as error:
                if users is not None:
                    raise AuditError(f"The user {name!r} cannot sign in: {_line(error)}") from error
                self.notes.append(f"Visited as anonymous alone: nobody can sign in here ({_line(error)}).")
                self._browsers = {each: found for each, found in self._browsers.items() if each.user is None}
                continue
            self.people.append(name)
        self.people = [name for name in self.people if any(each.user == name for each in self._browsers)]
        self.identities = list(self._browsers)
        self.memory.begin()

    def scouts(self) -> list[Identity]:
        """Everybody once, each language once, each set of headers once: enough to see whether a page is cached."""
        chosen: dict[Identity, None] = {}
        for number, name in enumerate(self.people):
            chosen[Identity(name, self.languages[number % len(self.languages)])] = None
        for identity in self.identities:
            if identity.headers or not any(each.language == identity.language for each in chosen):
                chosen[identity] = None
        return list(chosen)

    def visit(self, identity: Identity, url: str, returning: State | None = None) -> Answer:
        """Visit a page with the caches as they are; session and cookies as at the beginning, or as in `returning`."""
        client, cookies = self._browsers[identity]
        client.cookies = copy.deepcopy(returning.cookies if returning else cookies)
        self.memory.put_back_sessions(returning.kept if returning else None)
        before, threads = self.memory.entries(), set(threading.enumerate())
        headers = {"accept-language": identity.language, **dict(identity.headers)}
        try:
            with one_visit():
                answer = within(self.seconds, lambda: _answer(client, url, headers))
        except TimeUp:
            _end_threads(set(threading.enumerate()) - threads)
            return Answer(0, "", failed=f"no answer within {self.seconds:g} s")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a view may call sys.exit(), or a handler of errors may fail itself
            return Answer(0, "", failed=f"ends in {type(error).__name__}: {_line(error)}")
        stored = any(before.get(key) != value for key, value in self.memory.entries().items())
        return Answer(**{**vars(answer), "stored": stored})

    def state(self, identity: Identity) -> State:
        """What the last visit left, to this visitor and in the caches."""
        return State(copy.deepcopy(self._browsers[identity][0].cookies), self.memory.kept())

    def secret(self, identity: Identity, answer: Answer) -> str:
        """The CSRF cookie that this visitor holds after the answer; empty if none."""
        held = self._browsers[identity][1].get(settings.CSRF_COOKIE_NAME)
        return answer.cookies.get(settings.CSRF_COOKIE_NAME) or (held.value if held else "")

    def _browser(self, account: Any) -> tuple[Client, SimpleCookie]:
        client = Browser(raise_request_exception=False)
        if account is not None:
            with transaction.atomic(using=account._state.db or "default"):
                client.force_login(account)
        return client, copy.deepcopy(client.cookies)

    def _languages(self, named: Sequence[str] | None) -> list[str]:
        known = dict(settings.LANGUAGES) | {settings.LANGUAGE_CODE: ""}
        if named is not None:
            for code in named:
                if code not in known:
                    raise AuditError(f"No language {code!r}: settings.LANGUAGES has {', '.join(known)}.")
            return list(dict.fromkeys(named)) or [settings.LANGUAGE_CODE]
        if not settings.USE_I18N or not cast(Any, settings).is_overridden("LANGUAGES"):
            self.notes.append(f"Visited in {settings.LANGUAGE_CODE} alone: the settings choose no LANGUAGES.")
            return [settings.LANGUAGE_CODE]
        found = list(dict(settings.LANGUAGES))
        if len(found) > MANY_LANGUAGES:
            left = found[MANY_LANGUAGES:]
            self.notes.append(f"Visited in {MANY_LANGUAGES} of {len(found)} languages; not in {', '.join(left)}.")
        return found[:MANY_LANGUAGES]

    def _accounts(self, named: Sequence[str] | None) -> dict[str, Any]:
        """User name -> user."""
        if named is not None and not named:
            return {}
        if not apps.is_installed("django.contrib.auth"):
            if named:
                raise AuditError(f"No user {named[0]!r}: django.contrib.auth is not installed.")
            self.notes.append("Visited as anonymous alone: django.contrib.auth is not installed.")
            return {}
        from django.contrib.auth import get_user_model

        model: Any = get_user_model()
        field, all_ = model.USERNAME_FIELD, model._default_manager
        found: dict[str, Any] = {}
        try:
            with transaction.atomic():
                if named is None:
                    return {user.get_username(): user for user in _chosen(model)}
                for name in named:
                    found[name] = all_.filter(**{field: name}).first()
        except Exception as error:
            if named:
                raise AuditError(f"The users cannot be read: {_line(error)}") from error
            self.notes.append(f"Visited as anonymous alone: there are no users to be had ({_line(error)}).")
            return {}
        for name, user in found.items():
            if user is None or not user.is_active:
                raise AuditError(f"No user {name!r}" + (": this one is not active." if user else "."))
        return found


def _chosen(model: Any) -> list[Any]:
    """Two ordinary users as unlike as can be, one of the staff and one superuser; those that lack are made up."""
    active = model._default_manager.filter(**({"is_active": True} if _has(model, "is_active") else {})).order_by("pk")
    superusers = active.filter(is_superuser=True) if _has(model, "is_superuser") else active.none()
    staff = active.filter(is_staff=True).exclude(pk__in=superusers) if _has(model, "is_staff") else active.none()
    ordinary = list(active.exclude(Q(pk__in=superusers) | Q(pk__in=staff))[:50])
    pair = ordinary[:1]
    if len(ordinary) > 1:
        traits = [_traits(user) for user in ordinary]
        pair.append(ordinary[max(range(1, len(ordinary)), key=lambda n: len(traits[n] ^ traits[0]))])
    pair += [_made(model, name) for name in ("visitor-one", "visitor-two")[: 2 - len(pair)]]
    privileged = [user for user in (staff.first(), superusers.first()) if user]
    if not privileged and _has(model, "is_superuser"):
        privileged = [_made(model, "visitor-in-charge", is_superuser=True, is_staff=True)]
    return pair + privileged


def _has(model: Any, name: str) -> bool:
    return any(field.name == name for field in model._meta.get_fields())


def _traits(user: Any) -> set[tuple[str, Any]]:
    """What the rows that belong to one user alone (profiles) hold in fields that many could share."""
    traits: set[tuple[str, Any]] = set()
    for relation in user._meta.related_objects:
        profile = getattr(user, relation.get_accessor_name(), None) if relation.one_to_one else None
        for field in profile._meta.concrete_fields if profile is not None else ():
            if not field.unique:
                traits.add((f"{relation.name}.{field.attname}", str(getattr(profile, field.attname))))
    return traits


def _made(model: Any, name: str, **flags: bool) -> Any:
    """A user for the rehearsal; what else the project demands of one is filled in."""
    values: dict[str, Any] = {field: flag for field, flag in flags.items() if _has(model, field)}
    for field in {model.USERNAME_FIELD, *model.REQUIRED_FIELDS}:
        kind = model._meta.get_field(field).get_internal_type()
        values[field] = f"{name}@example.org" if kind == "EmailField" or "email" in field else name
    user = model(**values)
    user.set_unusable_password()
    with transaction.atomic():
        user.save()
    return user


def _answer(client: Client, url: str, headers: dict[str, str]) -> Answer:
    response: Any = client.get(url, headers=headers, secure=bool(settings.SECURE_SSL_REDIRECT))
    error = getattr(response, "exc_info", None)
    raised = f"{error[0].__name__}: {_line(error[1])}" if error and response.status_code == 500 else ""
    head = [f"{response.status_code} {response.get('Location', '')}"]
    if raised:
        content = raised.partition(":")[0]  # a page about an error, with all its values, differs each time
    else:
        head += sorted(f"{HEAD}{name}: {value}" for name, value in response.items() if name.lower() not in UNTOLD)
        content = _content(response)
    return Answer(
        response.status_code,
        "\n".join([*head, "", content.replace(HEAD, " ")]).replace(GAP, " "),
        {name: morsel.value for name, morsel in response.cookies.items() if morsel.value},
        streams=response.streaming,
        target=response.get("Location", ""),
        raised=raised,
    )


def _content(response: Any) -> str:
    if not response.streaming:
        body = response.content
    elif response.is_async:
        return "an asynchronous stream, not read"
    else:
        body = _read(response)
    try:
        return str(body.decode(response.charset))
    except (UnicodeDecodeError, LookupError):
        return f"{len(body)} bytes {hashlib.sha256(body).hexdigest()}"


def _read(response: Iterable[bytes]) -> bytes:
    body = bytearray()
    for part in response:
        body += part
        if len(body) >= STREAMED:
            break
    response.close()  # type: ignore[attr-defined]
    return bytes(body[:STREAMED])


def _end_threads(started: set[threading.Thread]) -> None:
    """End the threads that a view left running when its time was up, an asynchronous one's event loop among them.

    One that waits inside a long call ends after it; the command does not wait for it.
    """
    for thread in started:
        if thread.ident and thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(TimeUp))
