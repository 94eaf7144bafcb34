"""Fine-tunes an ONNX network: everything but the last layer is frozen, and the export has the new weights.

python examples/fine_tune.py model.onnx folder-of-pictures
"""

import sys

import thew
from thew import data, optim

model = thew.from_onnx(sys.argv[1])
names = [name for name, _ in model.named_parameters()]
model.freeze(*names[:-2])
_, *shape = thew.InferenceSession(model.graph()).get_inputs()[0].shape
train = data.ImageFolder(sys.argv[2], size=(shape[1], shape[2]))
trainer = thew.Trainer(model, optimizer=optim.Adam(lr=1e-3), input_shape=shape)
print(trainer.fit(train, epochs=3, batch_size=16))
thew.export_onnx(model, "tuned.onnx")
