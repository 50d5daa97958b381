"""The fragments pattern, on its own: it needs Django, a default cache and nothing else."""

from django.core.cache import cache, caches
from django.core.cache.utils import make_template_fragment_key
from django.template import Context, Engine
from django.test import SimpleTestCase, override_settings

from tutorial_project.caching.fragments import empty_keys, forget, framed

MEMORY = "django.core.cache.backends.locmem.LocMemCache"
ENGINE = Engine(libraries={"cache": "django.templatetags.cache"}, builtins=["django.templatetags.cache"])


def drawn(source: str, **context: object) -> str:
    return ENGINE.from_string(source).render(Context(context))


@override_settings(CACHES={"default": {"BACKEND": MEMORY, "LOCATION": "fragments"}})
class Forgetting(SimpleTestCase):
    def setUp(self) -> None:
        cache.clear()

    def read(self, language: str, text: str) -> str:
        return drawn("{% cache 60 side language %}{{ text }}{% endcache %}", language=language, text=text)

    def test_the_next_request_builds_what_was_forgotten_and_nothing_else(self) -> None:
        self.read("en", "old"), self.read("de", "alt")
        forget("side", ["en"])
        self.assertEqual((self.read("en", "new"), self.read("de", "neu")), ("new", "alt"))

    def test_all_variants_go_together(self) -> None:
        self.read("en", "old"), self.read("de", "alt")
        forget("side", ["en"], ("de",), ["fr"])  # nobody has drawn the French one
        self.assertEqual((self.read("en", "new"), self.read("de", "neu")), ("new", "neu"))

    def test_a_fragment_without_values_is_forgotten_by_its_name(self) -> None:
        cache.set(make_template_fragment_key("plain"), "old")
        forget("plain")
        self.assertNotIn(make_template_fragment_key("plain"), cache)

    def test_values_are_compared_by_what_they_read_as(self) -> None:
        cache.set(make_template_fragment_key("card", [7, "en"]), "old")
        forget("card", ["7", "en"])
        self.assertNotIn(make_template_fragment_key("card", [7, "en"]), cache)

    def test_a_text_is_no_list_of_values(self) -> None:
        for text in ("en", b"en"):
            with self.assertRaisesRegex(TypeError, "a variant is a list of values, such as"):
                forget("side", text)

    def test_it_finds_the_cache_that_the_tag_uses(self) -> None:
        for alias, using in (("template_fragments", None), ("other", "other")):
            stores = {name: {"BACKEND": MEMORY, "LOCATION": f"fragments {name}"} for name in ("default", alias)}
            with self.subTest(alias), override_settings(CACHES=stores):
                drawn("{% cache 60 side " + (f'using="{using}"' if using else "") + " %}old{% endcache %}")
                self.assertIn(make_template_fragment_key("side"), caches[alias])
                forget("side", using=using)
                self.assertNotIn(make_template_fragment_key("side"), caches[alias])


class Framing(SimpleTestCase):
    def test_different_values_never_give_the_same_text(self) -> None:
        lists: list[tuple[object, ...]] = [
            ("a:b", "c"),
            ("a", "b:c"),
            ("a:b:c",),
            ("a", "b", "c"),
            ("1:a,1:b",),
            ("a", "b"),
            ("", "ab"),
            ("ab", ""),
            ("ab",),
            ("", "", "ab"),
            ("3:a:b,1:c,",),
            (),
            ("",),
            (1, 12),
            (11, 2),
            ("ä", "b"),
        ]
        self.assertEqual(len({framed(*values) for values in lists}), len(lists))

    def test_a_framed_key_keeps_two_readers_apart_on_every_django(self) -> None:
        keys = {make_template_fragment_key("note", [framed(*values)]) for values in (("a:b", "c"), ("a", "b:c"))}
        self.assertEqual(len(keys), 2)


@override_settings(CACHES={"default": {"BACKEND": MEMORY, "LOCATION": "fragments"}})
class Empties(SimpleTestCase):
    def setUp(self) -> None:
        cache.clear()

    def test_a_variable_that_does_not_exist_is_found(self) -> None:
        with empty_keys() as found:
            drawn("{% cache 60 side request.LANGUAGE_CODE %}x{% endcache %}")
            drawn("{% cache 60 side user.nam user.name %}x{% endcache %}", user={"name": "alice"})
        self.assertEqual(found, ["side: request.LANGUAGE_CODE", "side: user.nam"])

    def test_values_that_are_there_are_not_found_even_where_they_are_false(self) -> None:
        with empty_keys() as found:
            drawn("{% cache 60 side a b c %}x{% endcache %}", a=0, b=False, c=" ")
            drawn("{% cache 60 side %}x{% endcache %}")
        self.assertEqual(found, [])

    def test_none_is_an_empty_value_too_and_each_is_named_once(self) -> None:
        with empty_keys() as found:
            for _ in range(2):
                drawn("{% cache 60 side who %}x{% endcache %}", who=None)
        self.assertEqual(found, ["side: who"])

    def test_what_is_drawn_is_what_it_was_and_the_tag_is_itself_again(self) -> None:
        source = "{% cache 60 side nobody %}{{ text }}{% endcache %}"
        with empty_keys() as found:
            self.assertEqual([drawn(source, text="one"), drawn(source, text="two")], ["one", "one"])
        drawn("{% cache 60 other nobody %}x{% endcache %}")
        self.assertEqual(found, ["side: nobody"])
