"""Whole pages that are kept under a key which says too little. Each view here leaks."""

from __future__ import annotations

import random
import time
import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required, user_passes_test
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_control, cache_page, never_cache
from django.views.decorators.vary import vary_on_cookie, vary_on_headers

from .parts import WORDS, by_path, chosen, hello, page, who

MINUTE = cache_page(60)

name = MINUTE(hello)
vary_on_cookie_outside = vary_on_cookie(MINUTE(hello))
never_cache_outside = never_cache(MINUTE(hello))
private_outside = cache_control(private=True)(MINUTE(hello))
login_required_outside = login_required(MINUTE(hello))
login_required_inside = MINUTE(login_required(hello))
varies_on_the_wrong_header = MINUTE(vary_on_headers("Accept-Encoding")(hello))
refused_to_others = MINUTE(permission_required("auth.add_user", raise_exception=True)(hello))
staff_alone = MINUTE(user_passes_test(lambda user: user.is_staff)(hello))


@MINUTE
def template_response(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, engines["django"].from_string("<p>Hello, {{ user.username }}</p>"))


@method_decorator(MINUTE, name="dispatch")
class ClassBased(LoginRequiredMixin, View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return hello(request)


@MINUTE
def button(request: HttpRequest) -> HttpResponse:
    return page(request, "<h1>Lamp</h1>{% if perms.auth.add_user %}<a href='edit/'>Edit</a>{% endif %}<p>9 euros</p>")


@MINUTE
def a_star_for_staff(request: HttpRequest) -> HttpResponse:
    return page(request, "<h1>Lamp {% if user.is_staff %}★{% endif %}</h1>")


@MINUTE
def profile_language(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{WORDS[chosen(request)]}</p>")


@MINUTE
def flash(request: HttpRequest) -> HttpResponse:
    messages.success(request, f"Saved for {who(request)}")
    return page(request, "{% for message in messages %}<li>{{ message }}</li>{% endfor %}")


@MINUTE
def csrf_form(request: HttpRequest) -> HttpResponse:
    return page(request, "<form method='post'>{% csrf_token %}<button>Buy</button></form>")


# Strangers come without a cookie, and there is one page for all who do.
csrf_form_of_strangers = MINUTE(vary_on_cookie(csrf_form.__wrapped__))


@MINUTE
def csrf_in_a_script(request: HttpRequest) -> HttpResponse:
    return page(request, "<script>const key = '{{ csrf_token }}';</script>")


@MINUTE
def cookie_of_the_visitor(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("<p>The same for everybody</p>")
    response.set_cookie("visitor", uuid.uuid4().hex)
    return response


@MINUTE
def cookie_with_the_name(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("<p>The same for everybody</p>")
    response.set_cookie("last", who(request))
    return response


@MINUTE
def api(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"version": 3, "user": {"name": who(request)}})


@MINUTE
def header(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>The same for everybody</p>", headers={"X-Account": who(request)})


@MINUTE
def region(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>Prices for {request.headers.get('X-Region', 'nowhere')}</p>")


@MINUTE
@vary_on_headers("X-Tenant", "X-User")
def unframed(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>Store {request.headers.get('X-Tenant')}, user {request.headers.get('X-User')}</p>")


@MINUTE
def among_noise(request: HttpRequest) -> HttpResponse:
    rows = "".join(f"<li>{random.random()}</li>" for _ in range(random.randrange(20, 40)))
    return HttpResponse(f"<p>{time.time()}</p><ul>{rows}</ul><p>Hello, {who(request)}</p><p>{uuid.uuid4()}</p>")


@MINUTE
def mixed_in(request: HttpRequest) -> HttpResponse:
    """The reader's own line stands anywhere in a list in random order."""
    lines = [f"<li>{name}</li>" for name in ("lamps", "chairs", "tables", "forks", "spoons", "knives", who(request))]
    random.shuffle(lines)
    return HttpResponse("".join(lines))


@MINUTE
def huge(request: HttpRequest) -> HttpResponse:
    rows = [f"<li>row {n} of many, {n % 7}</li>" for n in range(5_000)]
    rows.insert(3_750, f"<li>kept for {who(request)}</li>")
    return HttpResponse("".join(rows))


@MINUTE
def greeting_in_a_picture(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"\x89PNG\xff" + who(request).encode(), content_type="image/png")


@MINUTE
def number_of_the_session(request: HttpRequest) -> HttpResponse:
    if "cart" not in request.session:
        request.session["cart"] = random.randrange(10**9)
    return HttpResponse(f"<p>Cart {request.session['cart']}</p>")


def kept_from_the_second_visit(request: HttpRequest) -> HttpResponse:
    kept = cache.get("page")
    if kept is None:
        kept = hello(request).content
        if cache.get("asked"):
            cache.set("page", kept)
        cache.set("asked", True)
    return HttpResponse(kept)


own_decorator = by_path(hello)


@by_path
def note(request: HttpRequest, pk: int) -> HttpResponse:
    return HttpResponse(f"<p>Note {pk}, as {who(request)} sees it</p>")


def denied_button(request: HttpRequest) -> HttpResponse:
    """Somebody took care that no page of the staff is kept; the staff are given the others' pages."""
    body = cache.get("orders")
    if body is None:
        body = "<h1>Orders</h1>" + ("<p>Delete</p>" if request.user.is_staff else "")
        if not request.user.is_staff:
            cache.set("orders", body)
    return HttpResponse(body)
