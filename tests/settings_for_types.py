"""What the type checker needs to know of the project: its models. No server starts and no file is made for that."""

import os

os.environ.update(EVERFRESH_TEST_DB="sqlite", EVERFRESH_TEST_STORE="locmem", EVERFRESH_TEST_SCRATCH=os.devnull)

from tests.settings import *  # noqa: F403
