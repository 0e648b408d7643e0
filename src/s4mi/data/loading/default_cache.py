"""The folder for caches where the settings name none."""

from pathlib import Path

import platformdirs


def default_cache() -> Path:
    """Return the folder for cached images, features and predictions where the settings name none."""
    return platformdirs.user_cache_path("s4mi")
