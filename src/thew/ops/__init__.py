"""What ops mean: one file a family, each op one `OpDef`. Importing this package registers them all."""

from thew.ops.opdef import Call, Candidate, OpDef, attribute, define, find, get, names

__all__ = ["Call", "Candidate", "OpDef", "attribute", "define", "find", "get", "names"]
