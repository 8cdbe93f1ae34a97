"""What a person types: `psla` and its commands, one module each. Everything below it speaks Python."""

from .main import run

__all__ = ["run"]
