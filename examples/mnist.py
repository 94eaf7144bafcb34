"""MNIST in fifteen lines: trains LeNet-5, tests it, exports it, and runs the export.

THEW_DATA names the folder with the data; without it they are downloaded.
"""

import thew
from thew import data, optim

train, test = data.load("mnist")
model = thew.models.lenet5(seed=0)
trainer = thew.Trainer(model, "cross_entropy", optim.SGD(lr=0.05, momentum=0.9), train.shape, threads=1)
history = trainer.fit(train, epochs=2, batch_size=64, validation=test)
print(history)

thew.export_onnx(model, "lenet5.onnx", input_shape=("n", *train.shape))
session = thew.InferenceSession("lenet5.onnx")
pictures, labels = test.take(range(8), epoch=0)
(scores,) = session.run(None, {"input": pictures})
print("seen", scores.argmax(1), "true", labels)
