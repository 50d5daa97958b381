"""What the planted people have: a language and a store."""

from django.conf import settings
from django.db import models


class Profile(models.Model):
    """One person's choice of language (empty: the browser's), and the store they belong to."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="profile")
    language = models.CharField(max_length=5, blank=True)
    store = models.PositiveIntegerField()


class Note(models.Model):
    """Something that a person wrote for themselves."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    text = models.CharField(max_length=40)

    def get_absolute_url(self) -> str:
        return f"/leaks/note/{self.pk}/"
