"""An application's feature flags, and what can be broken about them."""

FLAGS = {"beta": True}


def enabled(name: str) -> bool:
    """Say whether a feature is on; the application calls this."""
    from refute_sample.injector import INJECTOR

    return INJECTOR.read(name, FLAGS[name])
