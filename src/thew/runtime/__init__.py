"""Running plans on the machine at hand. `native` and `device` alone import the native module."""

from thew.runtime.session import InferenceSession

__all__ = ["InferenceSession"]
