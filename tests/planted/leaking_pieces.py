"""Fragments and single values that are kept under a key which says too little. Each view here leaks."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.core.cache import cache, caches
from django.core.cache.utils import make_template_fragment_key
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.utils.html import format_html

from .models import Note
from .parts import REVENUE, chosen, page, store, who, word

numbers = caches["numbers"]  # kept in a variable, as many modules do
CACHE = "{% load cache %}{% load i18n %}"


def fragment(request: HttpRequest) -> HttpResponse:
    return page(request, CACHE + "<h1>Shop</h1>{% cache 60 box %}<b>{{ user.username }}</b>{% endcache %}<p>end</p>")


def fragment_typo(request: HttpRequest) -> HttpResponse:
    return page(request, CACHE + "{% cache 60 typo usr.pk %}<b>{{ user.username }}</b>{% endcache %}")


def fragment_language(request: HttpRequest) -> HttpResponse:
    return page(request, CACHE + "{% cache 60 words %}<b>{{ word }}</b>{% endcache %}", word=word(request))


def fragment_without_request(request: HttpRequest) -> HttpResponse:
    source = CACHE + "{% cache 60 lazily request.LANGUAGE_CODE %}<b>{{ word }}</b>{% endcache %}"
    return page(None, source, word=word(request))


def fragment_profile_language(request: HttpRequest) -> HttpResponse:
    source = CACHE + "{% cache 60 profile request.LANGUAGE_CODE %}<b>{{ language }}</b>{% endcache %}"
    return page(request, source, language={"en": "Basket", "de": "Korb"}[chosen(request)])


def fragment_outer(request: HttpRequest) -> HttpResponse:
    inner = "{% cache 60 inner user.pk %}<b>{{ user.username }}</b>{% endcache %}"
    return page(request, CACHE + "{% cache 60 outer %}<div>" + inner + "</div>{% endcache %}")


def fragment_permission(request: HttpRequest) -> HttpResponse:
    source = "{% cache 60 menu %}<a>Shop</a>{% if user.is_staff %}<a>Orders</a>{% endif %}{% endcache %}"
    return page(request, CACHE + source)


def fragment_token(request: HttpRequest) -> HttpResponse:
    return page(request, CACHE + "{% cache 60 form %}<form method='post'>{% csrf_token %}</form>{% endcache %}")


def fragment_by_hand(request: HttpRequest) -> HttpResponse:
    key = make_template_fragment_key("account", [request.path])
    return HttpResponse(cache.get_or_set(key, lambda: format_html("<b>{}</b>", who(request))))


def no_user(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>Points of {cache.get_or_set('points', lambda: who(request))}</p>")


def no_language(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<h1>{cache.get_or_set('word', lambda: word(request))}</h1><p>{who(request)}</p>")


def no_tenant(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>3 stores, 17 euros</p><p>Sold: {cache.get_or_set('sold', REVENUE[store(request)])}</p>")


def tenant_of_another(request: HttpRequest) -> HttpResponse:
    kept = cache.get_or_set("tenant:1:dashboard_stats", lambda: {"revenue": REVENUE[store(request)]})
    return HttpResponse(f"<h1>Dashboard</h1><td>{kept['revenue']}</td>")


def permissions(request: HttpRequest) -> HttpResponse:
    def found() -> set[str]:
        return request.user.get_all_permissions() if request.user.is_authenticated else set()

    return HttpResponse("<p>You may edit</p>" if "auth.add_user" in cache.get_or_set("may", found) else "<p>Read</p>")


def denied(request: HttpRequest) -> HttpResponse:
    """A customer's answer decides for the staff that comes later."""
    allowed = cache.get_or_set("allowed", lambda: request.user.is_staff)
    return HttpResponse("<p>All orders</p>" if allowed else "<p>No</p>", status=200 if allowed else 403)


def rows(request: HttpRequest) -> HttpResponse:
    kept = cache.get_or_set("notes", lambda: list(Note.objects.filter(owner__username=who(request))))
    return HttpResponse("".join(f"<li>{note.text}</li>" for note in kept))


def target(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(cache.get_or_set("start", lambda: f"/people/{who(request)}/"))


def other_alias(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{caches['numbers'].get_or_set('who', lambda: who(request))}</p>")


def alias_in_a_variable(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{numbers.get_or_set('me', lambda: who(request))}</p>")


def many(request: HttpRequest) -> HttpResponse:
    kept = cache.get_many(["many:who", "many:what"])
    if not kept:
        kept = {"many:who": who(request), "many:what": "lamps"}
        cache.set_many(kept)
    return HttpResponse(f"<p>{kept['many:what']} for {kept['many:who']}</p>")


def nobody_is_number_two(request: HttpRequest) -> HttpResponse:
    """Strangers have no number; somebody gave them that of a person."""
    key = f"cart:{request.user.pk or 2}"
    return HttpResponse(f"<p>Cart of {cache.get_or_set(key, lambda: who(request))}</p>")


def cut_key(request: HttpRequest) -> HttpResponse:
    """alice and anna share the letter that is left of their names."""
    return HttpResponse(cache.get_or_set(f"cut:{who(request)[:1]}", lambda: f"<p>{who(request)}</p>"))


async def asynchronous(request: HttpRequest) -> HttpResponse:
    name = await sync_to_async(who)(request)
    return HttpResponse(f"<p>{await cache.aget_or_set('async', lambda: name)}</p>")


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    kept = cache.get_or_set("export", lambda: ["name\n", who(request) + "\n"])
    return StreamingHttpResponse(iter(kept), content_type="text/csv")


def chosen_option(request: HttpRequest) -> HttpResponse:
    kept = cache.get("option")
    if kept is None:
        marks = {code: " selected" if code == request.LANGUAGE_CODE else "" for code in ("en", "de")}
        kept = "".join(f"<option{mark}>{code}</option>" for code, mark in marks.items())
        cache.set("option", kept)
    return HttpResponse(kept)
