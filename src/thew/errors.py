"""Every exception that Thew raises on purpose.

A message follows one form: *where: rule, what was got, remedy*.
"""

from __future__ import annotations


class Error(Exception):
    """Base of all typed failures."""


class ModelError(Error):
    """A model file or graph that breaks a rule: malformed, inconsistent or unsafe."""


class ShapeError(ModelError):
    """Shapes or dtypes that an op cannot take."""


class UnsupportedError(Error):
    """A valid request that this version or this device cannot serve."""


class InputError(Error):
    """An argument or data that break a rule: arrays that do not match a model's inputs, labels that are no class."""


class PlanError(Error):
    """A plan that cannot be built, loaded or run on this device."""


class MemoryLimitError(Error):
    """An allocation refused, or one over the limit that the user set."""


class SensorError(Error):
    """A sensor that is missing, refuses to be read, or does not cover what was to be measured."""


class CheckpointError(Error):
    """A checkpoint that is truncated, edited, of another version, or of another model."""
