"""One file is one method: its configuration above its class, its formula in view."""
