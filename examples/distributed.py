"""Several processes train one network: mpirun -n 2 python examples/distributed.py [epochs]

Each reads its own part of every batch; gradients are summed while earlier layers are still computed. On a slow network
they travel in 16 bits: DataParallel(compression="bf16").
"""

import sys

import thew
from thew import data, optim

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 2
train, test = data.load("mnist")
model = thew.models.lenet5(seed=0)
trainer = thew.Trainer(model, optimizer=optim.SGD(lr=0.05, momentum=0.9), input_shape=train.shape, distributed=True)
history = trainer.fit(train, epochs, batch_size=32, validation=test, checkpoint="lenet5.ckpt")
if trainer.group.rank == 0:
    print(f"{trainer.group.size} processes: {history}")
