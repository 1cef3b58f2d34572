"""One rank of a training in `DistributedDataParallel`, with one fault armed; prints its weights, step by step."""

import hashlib
import json
import sys
import time

import torch
import torch.distributed as dist
from torch import nn

from refute.core.arming import Arming
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.training.hand import TrainingInjector

fault, magnitude, share, own = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), "own-hook" in sys.argv
torch.set_num_threads(1)
hand = TrainingInjector()
about = Arming(Component("trainer", "trainer"), fault, magnitude or None, share=share, seed=1, turn=3)
handle = hand.prepare(about)
hand.apply(handle, Lease(30.0))
dist.init_process_group("gloo")
torch.manual_seed(0)
model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), bucket_cap_mb=0.0001)
if own:
    model.register_comm_hook(
        None, lambda _, bucket: dist.all_reduce(bucket.buffer(), async_op=True).get_future().then(lambda f: f.value()[0])
    )
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
data, labels = torch.randn(32, 8)[dist.get_rank() :: 2], torch.randint(4, (32,))[dist.get_rank() :: 2]
steps, took = [], []
for _ in range(6):
    began = time.monotonic()
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(data), labels).backward()
    took.append(time.monotonic() - began)
    optimizer.step()
    weights = b"".join(weight.detach().numpy().tobytes() for weight in model.parameters())
    steps.append(hashlib.sha256(weights).hexdigest())
hand.rollback(handle)
told = {"rank": dist.get_rank(), "steps": steps, "took": took, "landed": hand.landed(handle).injected, "gone": hand.verify(handle)}
print(json.dumps(told), flush=True)
dist.destroy_process_group()
