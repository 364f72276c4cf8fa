"""How many examples hypothesis tries."""

import os

from hypothesis import settings

# Few examples by default, so that the whole suite stays quick; HYPOTHESIS_PROFILE=thorough looks longer.
settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
