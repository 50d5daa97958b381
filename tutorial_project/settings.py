"""The settings of the shop: a production project's, with what differs between machines read from the environment.

`DATABASE_URL`, `REDIS_URL`, `CACHE_SETTINGS` (JSON that changes the default cache), `RATES_URL`, `SECRET_KEY` and
`DJANGO_DEBUG` ("1") are set by whoever starts the project: a notebook's `boot()`, `manage.py runserver`, or you.
"""

import json
import os
import secrets
from pathlib import Path

import dj_database_url

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"

SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(50)
DEBUG = os.environ.get("DJANGO_DEBUG") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "tutorial_project.shop",
]
MIDDLEWARE = [
    "tutorial_project.caching.server_timing.ServerTimingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tutorial_project.shop.middleware.CustomerMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "tutorial_project.urls"
WSGI_APPLICATION = "tutorial_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "tutorial_project.shop.context_processors.every_page",
            ]
        },
    }
]

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
    },
    # Each process's own memory: for what never changes, and for a second or two in front of the other one.
    "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}
# The bench tries other backends, and puts a prefix on every key where the server is somebody's.
CACHES["default"] |= json.loads(os.environ.get("CACHE_SETTINGS") or "{}")

DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL", f"sqlite:///{ROOT}/work/shop.sqlite3"))}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Readers and one writer at a time, side by side; a second writer waits for its turn instead of failing.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
X_FRAME_OPTIONS = "SAMEORIGIN"  # the shop is shown in a frame inside JupyterLab

# The outside service that the shop asks for exchange rates.
RATES_URL = os.environ.get("RATES_URL", "")
RATES_TIMEOUT = 2.0  # seconds
