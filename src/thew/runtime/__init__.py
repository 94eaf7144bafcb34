"""Running plans on the machine at hand. Only `thew.runtime.native` and `thew.runtime.device` import the native module."""

from thew.runtime.session import InferenceSession

__all__ = ["InferenceSession"]
