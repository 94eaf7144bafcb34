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


def test_constants_that_scale_or_shift_what_weights_gave_are_trained() -> None:
    """The mean and deviation of the input are not, nor is a single factor."""
    module = GraphModule(parse_graph(NORMALISED_AND_SCALED))
    assert {name for name, _ in module.named_parameters()} == {"w", "bias", "scale", "position"}
