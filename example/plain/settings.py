"""The project's settings, with an app in Everfresh's place that does nothing."""

from example.settings import *  # noqa: F403
from example.settings import INSTALLED_APPS as WITH_EVERFRESH

INSTALLED_APPS = ["example.plain" if app == "everfresh" else app for app in WITH_EVERFRESH]
EVERFRESH = {"ENABLED": False}
