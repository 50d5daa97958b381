"""Pages that are kept and right for everybody, or not kept; many change with each visit. None of them leaks."""

from __future__ import annotations

import hashlib
import itertools
import random
import time
import uuid

from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.utils.crypto import get_random_string
from django.utils.timezone import now
from django.views.decorators.cache import cache_control, cache_page, never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import condition
from django.views.decorators.vary import vary_on_cookie, vary_on_headers

from .parts import WORDS, chosen, hello, page, store, who, word

MINUTE = cache_page(60)
visits = itertools.count(1)

vary_on_cookie_inside = MINUTE(vary_on_cookie(hello))
private_inside = MINUTE(cache_control(private=True)(hello))
never_cache_inside = MINUTE(never_cache(hello))
login_required_outside_vary_inside = login_required(MINUTE(vary_on_cookie(hello)))
not_cached = hello


@MINUTE
def imprint(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>The same for everybody.</p>")


@MINUTE
def language(request: HttpRequest) -> HttpResponse:
    """Right by itself: the active language is in the key."""
    return HttpResponse(f"<p>{word(request)}</p>")


@MINUTE
@vary_on_headers("X-Region")
def region(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>Prices for {request.headers.get('X-Region', 'nowhere')}</p>")


@MINUTE
def clock(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{now():%Y-%m-%d %H:%M:%S}</p>")


@MINUTE
def fine_clock(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{time.time()}</p>")


def clock_beside_a_kept_piece(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{now():%H:%M:%S}</p>{cache.get_or_set('news', 'news')}<p>{who(request)}</p>")


@MINUTE
def random_number(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{random.random()}</p>")


@MINUTE
def random_banner(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{random.choice(['Lamps', 'Chairs'])}</p>")


def random_banner_beside_a_kept_piece(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{random.choice(['Lamps', 'Chairs'])}</p>{cache.get_or_set('menu', 'menu')}")


@MINUTE
def shuffled_and_kept(request: HttpRequest) -> HttpResponse:
    names = [f"<li>{name}</li>" for name in ("lamps", "chairs", "tables", "forks", "spoons", "knives")]
    random.shuffle(names)
    return HttpResponse("".join(names))


def shuffled(request: HttpRequest) -> HttpResponse:
    names = [f"<li>product {n}</li>" for n in cache.get_or_set("range", list(range(30)))]
    random.shuffle(names)
    return HttpResponse("".join(names) + f"<p>{who(request)}</p>")


def mixed_in(request: HttpRequest) -> HttpResponse:
    lines = [f"<li>{name}</li>" for name in ("lamps", "chairs", "tables", "forks", "spoons", "knives", who(request))]
    random.shuffle(lines)
    return HttpResponse("".join(lines) + cache.get_or_set("foot", "foot"))


def counter(request: HttpRequest) -> HttpResponse:
    """Of this process, beside a piece that is kept."""
    return HttpResponse(f"<p>Visit {next(visits)}, page 1 of 7</p>{cache.get_or_set('foot', 'foot')}")


def counter_in_the_cache(request: HttpRequest) -> HttpResponse:
    cache.add("hits", 0)
    return HttpResponse(f"<p>{cache.incr('hits')} readers so far, 3 of them today</p>")


def counter_in_the_session(request: HttpRequest) -> HttpResponse:
    request.session["seen"] = request.session.get("seen", 0) + 1
    return HttpResponse(f"<p>{request.session['seen']}</p>{cache.get_or_set('foot', 'foot')}")


def limited(request: HttpRequest) -> HttpResponse:
    """Refuses everybody after the sixth request."""
    cache.add("requests", 0)
    if cache.incr("requests") > 6:
        return HttpResponse("Too many", status=429)
    return HttpResponse(f"<p>{who(request)}</p>")


def allowance(request: HttpRequest) -> HttpResponse:
    cache.add("left", 1000)
    return HttpResponse(f"<p>{who(request)}</p>", headers={"X-Left": str(cache.decr("left"))})


@MINUTE
def told_that_it_is_kept(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>As of {now():%H:%M:%S}</p>")


def in_turns(request: HttpRequest) -> HttpResponse:
    """Two banners in turn, the languages out of step: what one is shown first, the other is shown second."""
    cache.add("turn", 0)
    step = cache.incr("turn") + (request.LANGUAGE_CODE == "de")
    return HttpResponse(f"<p>{who(request)}</p><p>{('Lamps', 'Chairs')[step % 2]}</p>")


def hit_or_miss(request: HttpRequest) -> HttpResponse:
    kept = cache.get("slow")
    cache.set("slow", "answer")
    return HttpResponse(f"<p>{who(request)}</p><p>{'from the cache' if kept else 'computed just now'}</p>")


def csrf_form(request: HttpRequest) -> HttpResponse:
    return page(request, "<form method='post'>{% csrf_token %}</form>" + str(cache.get_or_set("foot", "foot")))


csrf_protected_inside = MINUTE(csrf_protect(csrf_form))


@MINUTE
def long_random_word(request: HttpRequest) -> HttpResponse:
    """As long as a CSRF token, and none."""
    return HttpResponse(f"<p>Build {get_random_string(64)}, {hashlib.sha256(b'x').hexdigest()}</p>")


@MINUTE
def picture(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"\x89PNG\xff\x00\x01", content_type="image/png")


@MINUTE
def same_cookie(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("<p>The same for everybody</p>")
    response.set_cookie("consent", "asked")
    return response


def cookie_by_chance(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(f"<p>{cache.get_or_set('foot', 'foot')}</p>")
    response.set_cookie("ab", random.choice("AB"))
    return response


def visitor_cookie(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(f"<p>{cache.get_or_set('foot', 'foot')}</p>")
    response.set_cookie("visitor", uuid.uuid4().hex)
    return response


@MINUTE
def paginated(request: HttpRequest) -> HttpResponse:
    shown = Paginator(range(100), 10).get_page(request.GET.get("page"))
    return HttpResponse(f"<p>{shown.object_list}, page {shown.number}</p>")


@MINUTE
@condition(etag_func=lambda request: "fixed")
def etag(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>The same for everybody, with an ETag</p>")


@MINUTE
def nonce(request: HttpRequest) -> HttpResponse:
    word = uuid.uuid4().hex
    return HttpResponse(f"<script nonce={word}></script>", headers={"Content-Security-Policy": f"'nonce-{word}'"})


def nonce_not_kept(request: HttpRequest) -> HttpResponse:
    word = uuid.uuid4().hex
    body = f"<script nonce={word}></script>{cache.get_or_set('foot', 'foot')}"
    return HttpResponse(body, headers={"Content-Security-Policy": f"'nonce-{word}'"})


def huge_and_restless(request: HttpRequest) -> HttpResponse:
    rows = cache.get_or_set("rows", lambda: [f"<li>row {n}, {n % 7}</li>" for n in range(5_000)])
    return HttpResponse("".join(rows[: random.randrange(4_750, 5_000)]) + f"<p>{time.time()}, {who(request)}</p>")


def by_user(request: HttpRequest) -> HttpResponse:
    return HttpResponse(cache.get_or_set(f"user:{request.user.pk}", lambda: f"<p>{who(request)}</p>"))


def by_language(request: HttpRequest) -> HttpResponse:
    return HttpResponse(cache.get_or_set(f"word:{request.LANGUAGE_CODE}", lambda: word(request)))


def by_chosen_language(request: HttpRequest) -> HttpResponse:
    return HttpResponse(cache.get_or_set(f"chosen:{chosen(request)}", lambda: WORDS[chosen(request)]))


def by_tenant(request: HttpRequest) -> HttpResponse:
    kept = cache.get_or_set(f"tenant:{store(request)}:dashboard_stats", lambda: {"revenue": store(request) * 100})
    return HttpResponse(f"<p>{kept['revenue']}</p>")


def by_session(request: HttpRequest) -> HttpResponse:
    if not request.session.session_key:
        request.session.create()
    key = f"cart:{request.session.session_key}"
    return HttpResponse(f"<p>Cart {cache.get_or_set(key, lambda: random.randrange(10**9))}</p>")


async def asynchronous(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{await cache.aget_or_set('async-safe', lambda: 'the same for everybody')}</p>")


def fragments(request: HttpRequest) -> HttpResponse:
    source = """{% load cache i18n %}{% get_current_language as LC %}
    {% cache 60 mine user.pk %}<b>{{ user.username }}</b>{% endcache %}
    {% cache 60 words LC %}<i>{{ word }}</i>{% endcache %}
    {% cache 60 sidebar_popular %}<ul><li>lamps</li></ul>{% endcache %}<p>{{ user.username }}</p>"""
    return page(request, source, word=word(request))


def staff_by_right(request: HttpRequest) -> HttpResponse:
    if not request.user.is_staff:
        return HttpResponse("<p>No</p>", status=403)
    return HttpResponse(cache.get_or_set("orders", "<p>All orders</p>"))


def redirects_everybody(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(cache.get_or_set("campaign", "/campaign/"))


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter(cache.get_or_set("rows", ["a\n", "b\n"])), content_type="text/csv")


@MINUTE
def note(request: HttpRequest, pk: int) -> HttpResponse:
    return HttpResponse(f"<p>Note {pk}</p>")


@MINUTE
def answers_404(request: HttpRequest) -> HttpResponse:
    cache.set("tried", True)
    return HttpResponse(f"<p>None here, {who(request)}</p>", status=404)


def raises_for_strangers(request: HttpRequest) -> HttpResponse:
    cache.set("tried", True)
    return HttpResponse({"alice": "a"}[who(request)])
