"""`GraphModule`: which constants of a graph are trained."""

from __future__ import annotations

from thew.ir import parse_graph
from thew.nn import GraphModule

NORMALISED_AND_SCALED = """\
graph g(%x: fp32[1,2,1,1]) -> (%z) {
  const %mean: fp32[1,2,1,1] = [0.5, 0.4]
  const %deviation: fp32[1,2,1,1] = [4, 5]
  const %w: fp32[2,2,1,1] = [1, 2, 3, 4]
  const %bias: fp32[2,1,1] = [1, 2]
  const %half: fp32[] = [0.5]
  const %scale: fp32[2,1,1] = [0.1, 0.2]
  const %position: fp32[1,2,1,1] = [3, 4]
  %centred: fp32[1,2,1,1] = add(%x, %mean)
  %normalised: fp32[1,2,1,1] = mul(%deviation, %centred)
  %product: fp32[1,2,1,1] = conv(%normalised, %w)
  %biased: fp32[1,2,1,1] = add(%product, %bias)
  %active: fp32[1,2,1,1] = relu(%biased)
  %halved: fp32[1,2,1,1] = mul(%active, %half)
  %scaled: fp32[1,2,1,1] = mul(%scale, %halved)
  %z: fp32[1,2,1,1] = add(%scaled, %position)
}
"""

ARRANGED = """\
graph g(%x: fp32[1,2,3]) -> (%z) {
  const %w: fp32[2,3] = [1, 2, 3, 4, 5, 6]
  const %token: fp32[1,1,2] = [1, 2]
  const %last: fp32[4,2] = [1, 2, 3, 4, 5, 6, 7, 8]
  %turned: fp32[3,2] = transpose(%w) {perm = [1, 0]}
  %features: fp32[1,2,2] = matmul(%x, %turned)
  %rows: int64[3] = shape(%features)
  %first: fp32[1,2,2] = expand(%token, %rows)
  %tokens: fp32[1,4,2] = concat(%first, %features) {axis = 1}
  %back: fp32[2,4] = transpose(%last) {perm = [1, 0]}
  %z: fp32[1,4,4] = matmul(%tokens, %back)
}
"""


def test_weights_behind_a_transpose_and_tokens_before_a_sequence_are_trained() -> None:
    """As exporters write a transformer; an expansion's shape is no weight."""
    module = GraphModule(parse_graph(ARRANGED))
    assert {name for name, _ in module.named_parameters()} == {"w", "token", "last"}
    assert module.body().graph().outputs == ("tokens",)


def test_constants_that_scale_or_shift_what_weights_gave_are_trained() -> None:
    """The mean and deviation of the input are not, nor is a single factor."""
    module = GraphModule(parse_graph(NORMALISED_AND_SCALED))
    assert {name for name, _ in module.named_parameters()} == {"w", "bias", "scale", "position"}


def test_a_reshape_that_names_the_batch_of_the_export_takes_any() -> None:
    """As exporters write a flattening for one sample."""
    text = (
        "graph g(%x: fp32[1,2,2]) -> (%z) {\n  const %shape: int64[2] = [1, 4]\n"
        "  const %w: fp32[4,2] = [1, 2, 3, 4, 5, 6, 7, 8]\n"
        "  %flat: fp32[1,4] = reshape(%x, %shape)\n  %z: fp32[1,2] = matmul(%flat, %w)\n}\n"
    )
    assert GraphModule(parse_graph(text)).graph((3, 2, 2)).type_of("output").shape == (3, 2)
