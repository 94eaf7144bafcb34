"""Fine-tunes a pretrained ONNX classifier on classes of one's own: the last dense layer makes way for a new one, all
before it is frozen, and the export knows the new classes.

python examples/fine_tune.py model.onnx folder-of-pictures [epochs]
"""

import sys

import numpy as np

import thew
from thew import data, nn, optim
from thew.passes.eliminate_dead import eliminate_dead

path, folder, *rest = sys.argv[1:]
graph = thew.from_onnx(path).original
_, channels, height, width = graph.inputs[0].type.shape
head = next(node for node in reversed(graph.nodes) if node.op in ("gemm", "matmul"))
before = eliminate_dead(graph.replace(outputs=(head.inputs[0],), types={}))
train = data.ImageFolder(folder, size=(height, width))
sample = {before.inputs[0].name: np.zeros((1, channels, height, width), np.float32)}
width_of_features = thew.InferenceSession(before).run(None, sample)[0].shape[-1]


class Tuned(nn.Module):
    """What was learnt, and a layer for what is to be learnt."""

    def __init__(self):
        super().__init__()
        self.features = nn.GraphModule(before)
        self.features.freeze()
        self.head = nn.Linear(width_of_features, len(train.classes))

    def forward(self, x):
        """Scores of the new classes."""
        return self.head(self.features(x))


model = Tuned()
trainer = thew.Trainer(model, optimizer=optim.Adam(lr=1e-2), input_shape=(channels, height, width))
history = trainer.fit(train, epochs=int(rest[0]) if rest else 3, batch_size=16)
print(history)
print(f"{trainer.peak_memory_bytes / 1e6:.0f} MB a step; the classes are {', '.join(train.classes)}")
thew.export_onnx(model, "tuned.onnx", input_shape=("n", channels, height, width))
