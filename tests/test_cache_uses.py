"""Which cache use a key belongs to: the project's own keys, and those that Django makes."""

import pytest
from django.core.cache import cache
from django.core.cache.utils import make_template_fragment_key
from django.template import Context, Template

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.caching.metering import counting, use_of
from tutorial_project.lab.bench import Lab

pytestmark = pytest.mark.usefixtures("lab")


@pytest.mark.parametrize(
    ("key", "use"),
    [
        ("popular_products", "popular_products"),
        ("popular_products:de", "popular_products"),
        ("product:42:detail", "product:detail"),
        ("product:42", "product"),
        ("tenant:3:product:42", "tenant"),
        ("django.contrib.sessions.cache3f8", "session"),
        ("django.contrib.sessions.cached_db3f8", "session"),
        ("", ""),
    ],
)
def test_the_use_of_a_key(key: str, use: str) -> None:
    assert use_of(key) == use


def test_the_use_of_what_django_itself_stores(lab: Lab) -> None:
    assert use_of(make_template_fragment_key("sidebar", ["de"])) == "fragment:sidebar"
    from django.views.decorators.cache import cache_page

    from tutorial_project.shop import views

    fragment = "{% load cache %}{% cache 60 sidebar user %}x{% endcache %}"
    with counting() as counted:
        Template(fragment).render(Context({"user": 1}))
    assert {name: (use.hits, use.misses) for name, use in counted.uses.items()} == {"fragment:sidebar": (0, 1)}
    page = lab.mount("kept/", cache_page(60)(views.search))
    lab.visit(page)
    again = lab.visit(page)
    assert set(again.uses) == {"page"} and again.uses["page"].hits == 2 and again.queries == 0


def test_sessions_in_the_cache_are_a_use() -> None:
    from django.contrib.sessions.backends.cache import SessionStore

    store = SessionStore()
    with counting() as counted:
        store["a"] = 1
        store.save()
        SessionStore(store.session_key).load()
    assert set(counted.uses) == {"session"} and counted.uses["session"].hits == 1


def test_the_hit_ratio_of_a_use() -> None:
    cache.set("a:1", 1)
    with counting() as counted:
        cache.get_many(["a:1", "a:2", "a:3", "a:4"])
        cache.set("b", 1)
    assert counted.uses["a"].hit_ratio == 0.25
    assert counted.uses["b"].hit_ratio == 0.0
