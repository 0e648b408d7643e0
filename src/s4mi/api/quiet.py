"""Keep the chatter of libraries from users, and leave their own warnings and logging as they were."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("lightning.fabric", "lightning_fabric", "huggingface_hub", "timm", "httpx", "matplotlib.font_manager")
"""Loggers of libraries whose messages below an error are of no use here."""
WARNING_MODULES = r"(torch|torchvision|lightning_fabric|monai|torchmetrics|timm)(\..*)?$"
"""Modules whose warnings a user can do nothing about."""


@contextmanager
def quiet() -> Iterator[None]:
    """Silence libraries within this, and restore warning filters and the levels of loggers after it."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=WARNING_MODULES)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
