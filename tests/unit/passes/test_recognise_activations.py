import pytest

from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.recognise_activations import recognise_activations

CONSTANTS = {"three": 3.0, "six": 6.0, "zero": 0.0, "sixth": 1 / 6, "one": 1.0, "half": 0.5, "root": 2**0.5}


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["%s = sigmoid(%x)", "%z = mul(%x, %s)"], "silu(%x)"),
        (["%s = sigmoid(%x)", "%z = mul(%s, %x)"], "silu(%x)"),
        (["%s = softplus(%x)", "%t = tanh(%s)", "%z = mul(%x, %t)"], "mish(%x)"),
        (["%s = hard_sigmoid(%x) {alpha=0.16666666666666666, beta=0.5}", "%z = mul(%x, %s)"], "hard_swish(%x)"),
        (
            ["%a = add(%x, %three)", "%c = clip(%a, %zero, %six)", "%z = div(%c, %six)"],
            "hard_sigmoid(%x) {alpha=0.16666666666666666, beta=0.5}",
        ),
        (
            ["%a = add(%three, %x)", "%c = clip(%a, %zero, %six)", "%m = mul(%x, %c)", "%z = mul(%sixth, %m)"],
            "hard_swish(%x)",
        ),
        (
            ["%a = add(%three, %x)", "%c = clip(%a, %zero, %six)", "%m = div(%c, %six)", "%z = mul(%m, %x)"],
            "hard_swish(%x)",
        ),
        (
            ["%d = div(%x, %root)", "%e = erf(%d)", "%a = add(%e, %one)", "%m = mul(%x, %a)", "%z = mul(%m, %half)"],
            "gelu(%x)",
        ),
        (
            ["%d = div(%x, %root)", "%e = erf(%d)", "%a = add(%one, %e)", "%h = mul(%half, %x)", "%z = mul(%h, %a)"],
            "gelu(%x)",
        ),
        (
            ["%d = div(%x, %root)", "%e = erf(%d)", "%a = add(%one, %e)", "%h = mul(%half, %a)", "%z = mul(%h, %x)"],
            "gelu(%x)",
        ),
        (["%z = prelu(%x, %half)"], "leaky_relu(%x) {alpha=0.5}"),
    ],
)
def test_found(lines, found, rewrites):
    constants = "".join(f"\n  const %{name}: fp64[] = [{value!r}]" for name, value in CONSTANTS.items())
    body = "".join(f"\n  {line}" for line in lines)
    rewrites(
        lambda graph: eliminate_dead(recognise_activations(graph)),
        f"graph g(%x: fp64[n,5]) -> (%z) {{{constants}{body}\n}}\n",
        f"graph g(%x: fp64[n,5]) -> (%z) {{\n  %z = {found}\n}}\n",
    )


@pytest.mark.parametrize(
    ("outputs", "lines"),
    [
        ("%z", ["%s = sigmoid(%x)", "%z = mul(%y, %s)"]),
        ("%z, %s", ["%s = sigmoid(%x)", "%z = mul(%x, %s)"]),
        ("%z", ["%s = hard_sigmoid(%x)", "%z = mul(%x, %s)"]),
        ("%z", ["%a = add(%x, %three)", "%c = clip(%a, %zero, %one)", "%z = div(%c, %six)"]),
        ("%z", ["%z = prelu(%x, %slopes)"]),
    ],
)
def test_left_alone(outputs, lines, read_graph):
    constants = "".join(f"\n  const %{name}: fp64[] = [{value!r}]" for name, value in CONSTANTS.items())
    constants += "\n  const %slopes: fp64[2] = [0.5, 0.5]"
    body = "".join(f"\n  {line}" for line in lines)
    graph = read_graph(f"graph g(%x: fp64[n,2], %y: fp64[n,2]) -> ({outputs}) {{{constants}{body}\n}}\n")
    assert recognise_activations(graph) is graph
