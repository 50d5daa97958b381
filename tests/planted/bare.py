"""The least that a project needs: no users, no sessions, no database, no languages."""

SECRET_KEY = "planted"
INSTALLED_APPS = ["planted"]
ROOT_URLCONF = "planted.bare_urls"
