"""Sums over the processes that train together (MPI's allreduce), in two halves so that other work goes on between.

Both give their input: to one process alone a sum over all is its own. Where there are several, the caller's code is
handed the tensor where it lies, at both (`thew.plan.collective`), and only what `all_reduce_end` gives is the sum; what
`all_reduce_begin` gives is nothing that another op may read. Every process begins its sums in the same order.
"""

from __future__ import annotations

from thew.dtypes import FLOATS, NATIVE
from thew.ops.opdef import Candidate, OpDef, define
from thew.ops.rules import dtype_of, same_shape, typed

BEGIN, END = "all_reduce_begin", "all_reduce_end"

for _name in (BEGIN, END):
    define(
        OpDef(
            _name,
            typed(same_shape, dtype_of(0, among=FLOATS)),
            lambda attributes, x: [x],
            {"slot": 0},  # one number for both halves of a sum; 0 where nothing is between them
            flops=lambda call: 0,
            candidates=(Candidate("view", "strided", dtypes=NATIVE),),
        )
    )
