"""CIFAR-10 with augmentation: VGG11, a one-cycle schedule, weight decay, the best network kept."""

import sys

import thew
from thew import data, optim
from thew.train import CheckpointBest

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
train, test = data.load("cifar10", augment=(data.flip(), data.random_crop(4)))
steps = epochs * -(-len(train) // 64)
trainer = thew.Trainer(
    thew.models.vgg11(seed=0),
    optimizer=optim.SGD(lr=0.05, momentum=0.9, weight_decay=5e-4),
    input_shape=train.shape,
    schedule=optim.OneCycle(steps),
)
trainer.fit(train, epochs, 64, test, [CheckpointBest("vgg11.ckpt", "val_accuracy")])
print(trainer.history)
