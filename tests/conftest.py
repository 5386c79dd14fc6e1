"""Settings of all tests."""

from hypothesis import settings

settings.register_profile("any-machine", deadline=None)  # a busy machine must not fail a test that is right
settings.load_profile("any-machine")
