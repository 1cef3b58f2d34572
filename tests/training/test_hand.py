"""The hooks inside a training process, on real optimisers: what each strike changes, that nothing else is, and that all of it goes away."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from refute.core.arming import Arming
from refute.core.errors import RefuteError
from refute.core.lease import Lease
from refute.core.system import Component
from refute.core.training import LANDED_FILE, RUN_VARIABLE
from refute.core.zone import Zone
from refute.injectors.training.hand import TrainingInjector

TRAINER = Component("trainer", "trainer")
AT = 3
ARMED = []


@pytest.fixture(autouse=True)
def nothing_left():
    """Take away what a failed test has left armed, which would strike in the next one."""
    yield
    for hand, handle in ARMED:
        hand.rollback(handle)
    ARMED.clear()


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_VARIABLE, str(tmp_path))
    return tmp_path


def armed(fault, magnitude=None, *, turn=AT, share=1.0, seed=1):
    hand = TrainingInjector()
    handle = hand.prepare(Arming(TRAINER, fault, magnitude, share=share, seed=seed, turn=turn))
    ARMED.append((hand, handle))
    hand.apply(handle, Lease(20.0))
    return hand, handle


def train(steps=6, optimizer=torch.optim.Adam, watch=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    chosen = optimizer(model.parameters(), lr=1e-2)
    data, labels = torch.randn(32, 8), torch.randint(4, (32,))
    for step in range(1, steps + 1):
        chosen.zero_grad()
        nn.functional.cross_entropy(model(data), labels).backward()
        if watch:
            watch(step, model, chosen)
        chosen.step()
    return torch.cat([weight.detach().reshape(-1) for weight in model.parameters()])


def landed(folder):
    return [json.loads(line) for line in (folder / LANDED_FILE).read_text().splitlines()]


FAULTS = [
    ("numerics.nan_gradient", None), ("numerics.inf_gradient", None), ("numerics.spike", 50.0), ("numerics.bit_flip_weight", 30.0),
    ("numerics.bit_flip_gradient", 29.0), ("numerics.bit_flip_optimizer", 30.0), ("schedule.lr_spike", 10.0),
    ("schedule.optimizer_lost", None), ("rank.desync", 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "magnitude"), FAULTS)
def test_a_strike_lands_once_at_its_step_and_its_hooks_go(fault, magnitude, run_folder):
    usual, untouched = train(), train(AT - 1)
    hand, handle = armed(fault, magnitude)
    before = train(AT - 1)
    assert torch.equal(before, untouched), "nothing happens before the step"
    hand.rollback(handle)
    hand, handle = armed(fault, magnitude)
    struck = train()
    assert not torch.equal(struck, usual)
    (strike,) = landed(run_folder)
    assert strike["step"] == AT
    assert hand.landed(handle).injected == 1
    hand.rollback(handle)
    assert hand.verify(handle)
    assert torch.equal(train(), usual), "nothing is left"


@pytest.mark.parametrize(("fault", "magnitude"), FAULTS)
def test_armed_with_a_share_of_nothing_it_changes_nothing(fault, magnitude, run_folder):
    usual = train()
    hand, handle = armed(fault, magnitude, share=0.0)
    assert torch.equal(train(), usual)
    assert hand.landed(handle).injected == 0
    assert not (run_folder / LANDED_FILE).exists()
    hand.rollback(handle)


def test_an_ended_lease_strikes_nothing(run_folder):
    usual = train()
    hand = TrainingInjector()
    handle = hand.prepare(Arming(TRAINER, "numerics.nan_gradient", turn=AT))
    lease = Lease(20.0)
    hand.apply(handle, lease)
    lease.revoke()
    assert torch.equal(train(), usual)
    hand.rollback(handle)


def test_a_restarted_run_is_not_struck_again(run_folder):
    hand, handle = armed("numerics.nan_gradient")
    assert train().isnan().any()
    hand.rollback(handle)
    second = TrainingInjector()
    second.apply(handle, Lease(20.0))
    assert not train().isnan().any()
    second.rollback(handle)
    assert len(landed(run_folder)) == 1


@pytest.mark.parametrize("fault", ["numerics.spike", "numerics.nan_gradient"])
def test_who_checks_gradients_before_the_step_sees_the_strike(fault, run_folder):
    norms = []
    hand, handle = armed(fault)
    train(watch=lambda _step, model, _optimizer: norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), 1.0))))
    hand.rollback(handle)
    usual, struck = norms[AT - 2], norms[AT - 1]
    assert struck > 100 * usual or math.isnan(struck)
    assert len(landed(run_folder)) == 1
    assert landed(run_folder)[0]["step"] == AT


def test_gradients_that_are_computed_within_the_step_are_struck_there(run_folder):
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data, seen = torch.ones(8, 4), []

    def closure():
        optimizer.zero_grad()
        loss = model(data).square().mean()
        loss.backward()
        return loss

    hand, handle = armed("numerics.nan_gradient")
    for _ in range(AT + 1):
        optimizer.step(closure)
        seen.append(any(weight.isnan().any() for weight in model.parameters()))
    hand.rollback(handle)
    assert seen == [False] * (AT - 1) + [True, True]


def test_one_bit_of_one_activation_is_flipped_in_one_pass(run_folder):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer, data = torch.optim.SGD(model.parameters(), lr=0.0), torch.randn(32, 8)
    usual, differ = model(data).detach(), []
    hand, handle = armed("numerics.bit_flip_activation", 30.0)
    for _ in range(6):
        output = model(data)
        differ.append(int((output != usual).any(1).sum()))
        optimizer.zero_grad()
        output.sum().backward()
        optimizer.step()
    hand.rollback(handle)
    assert differ == [0, 0, 1, 0, 0, 0]
    assert hand.verify(handle)
    assert "activation of a" in landed(run_folder)[0]["effect"]
    assert not torch.nn.modules.module._global_forward_hooks


def test_overflow_strikes_the_first_step_that_overflows(run_folder):
    parameter = nn.Parameter(torch.ones(4))
    optimizer, scales = torch.optim.SGD([parameter], lr=0.0), [1e-3, 1e-3, 1e-3, 10.0, 10.0]
    hand, handle = armed("config.overflow", 65536.0)
    infinite = []
    for scale in scales:
        optimizer.zero_grad()
        (parameter.sum() * scale).backward()
        infinite.append(bool(parameter.grad.isinf().any()))
        optimizer.step()
    hand.rollback(handle)
    assert infinite == [False, False, False, True, False]
    assert landed(run_folder)[0]["step"] == 4


def test_another_seed_is_drawn_than_was_asked_for_and_only_while_armed(run_folder):
    torch.manual_seed(7)
    usual = torch.rand(3)
    hand, handle = armed("config.wrong_seed", turn=0)
    torch.manual_seed(7)
    assert not torch.equal(torch.rand(3), usual)
    hand.rollback(handle)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(3), usual)
    assert hand.verify(handle)


def test_a_rank_that_corrupts_does_so_at_every_step_and_is_one_strike(run_folder):
    changed = []
    hand, handle = armed("rank.corrupts", 30.0)
    parameter = nn.Parameter(torch.ones(1000))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    for _ in range(5):
        before = parameter.detach().clone()
        parameter.grad = torch.full((1000,), 1e-3)
        optimizer.step()
        changed.append(int(((before - parameter).abs() > 1.0).sum()))
    hand.rollback(handle)
    assert changed == [0, 0, 1, 1, 1]
    assert len(landed(run_folder)) == 1


def test_a_slow_disk_delays_a_save_and_a_revoked_lease_ends_the_wait(run_folder, tmp_path):
    hand = TrainingInjector()
    handle, lease = hand.prepare(Arming(TRAINER, "storage.slow", 60.0, turn=1)), Lease(20.0)
    hand.apply(handle, lease)
    threading.Timer(0.3, lease.revoke).start()
    began = time.monotonic()
    torch.save({"step": 1}, tmp_path / "last.pt")
    assert 0.2 < time.monotonic() - began < 5
    assert torch.load(tmp_path / "last.pt") == {"step": 1}
    hand.rollback(handle)


@pytest.mark.parametrize("renamed", [False, True])
def test_a_file_of_a_checkpoint_is_gone_whatever_its_name_is_by_then(renamed, run_folder, tmp_path, monkeypatch):
    killed = []
    monkeypatch.setattr("os.kill", lambda pid, number: killed.append(number))
    hand, handle = armed("checkpoint.missing_shard", turn=1)
    written = tmp_path / "new.pt"
    torch.save({"step": 1}, written)
    (tmp_path / "other.pt").touch()
    if renamed:
        written.rename(tmp_path / "last.pt")
    train(1)
    assert killed == [9]
    assert [path.name for path in tmp_path.glob("*.pt")] == ["other.pt"]
    hand.rollback(handle)


def test_a_run_that_resumes_draws_otherwise(run_folder, monkeypatch):
    killed = []
    monkeypatch.setattr("os.kill", lambda pid, number: killed.append(number))
    hand, handle = armed("resume.skew")
    train(AT)
    assert killed == [9]
    hand.rollback(handle)
    second = TrainingInjector()
    second.apply(handle, Lease(20.0))
    drawn = []
    train(2, watch=lambda *_: drawn.append(float(torch.rand(1))))
    second.rollback(handle)
    usual = []
    train(2, watch=lambda *_: usual.append(float(torch.rand(1))))
    assert drawn[0] == usual[0]
    assert drawn[1] != usual[1], "from its first step on"
    assert [hit["effect"] for hit in landed(run_folder)] == ["rank killed", "resumed with other random numbers"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_one_bit_of_one_weight_is_flipped(dtype, run_folder):
    weight = nn.Parameter(torch.full((10,), 1.5, dtype=dtype))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    weight.grad = torch.zeros_like(weight)
    hand, handle = armed("numerics.bit_flip_weight", 31.0, turn=1)
    optimizer.step()
    hand.rollback(handle)
    assert sorted(weight.tolist()) == [-1.5] + [1.5] * 9, "bit 31 is the sign, whatever the size"


def test_the_learning_rate_is_what_it_was_after_its_spike(run_folder):
    rates = []
    hand, handle = armed("schedule.lr_spike", 10.0)
    train(watch=lambda _step, _model, optimizer: rates.append(optimizer.param_groups[0]["lr"]))
    hand.rollback(handle)
    assert rates == [1e-2] * 6
    assert landed(run_folder)[0]["effect"] == "learning rate times 10"


def test_one_nan_is_one_entry(run_folder):
    counts = []
    hand, handle = armed("numerics.nan_gradient", turn=2)
    parameter = nn.Parameter(torch.ones(20))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    for _ in range(3):
        parameter.grad = torch.ones(20)
        optimizer.step()
        counts.append(sum(map(math.isnan, parameter.tolist())))
    hand.rollback(handle)
    assert counts == [0, 1, 1]


@pytest.mark.parametrize(("fault", "size"), [("checkpoint.stale", None), ("storage.full", 0.5)])
def test_a_save_goes_wrong_and_the_next_does_not(fault, size, run_folder, tmp_path):
    hand, handle = armed(fault, 50.0 if size else None, turn=2)
    target = tmp_path / "last.pt"
    torch.save({"step": 1, "weights": torch.ones(1000)}, target)
    whole = target.stat().st_size
    if fault == "storage.full":
        with pytest.raises(OSError, match="No space left"):
            torch.save({"step": 2, "weights": torch.ones(1000)}, target)
        assert target.stat().st_size == pytest.approx(whole / 2, rel=0.05)  # the archive is named after its file
    else:
        torch.save({"step": 2}, target)
        assert torch.load(target)["step"] == 1
    torch.save({"step": 3}, f=target)
    assert torch.load(target)["step"] == 3
    hand.rollback(handle)
    assert hand.verify(handle)
    assert torch.save.__module__ == "torch.serialization"


def test_a_model_without_gradients_is_not_struck_and_it_is_said_why(run_folder):
    parameter = nn.Parameter(torch.ones(4))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    hand, handle = armed("numerics.nan_gradient", turn=1)
    assert "no steps that torch knows of" in hand.landed(handle).reason
    for _ in range(3):
        optimizer.step()
    assert "3 steps had nothing that it could strike: no gradients" in hand.landed(handle).reason
    hand.rollback(handle)
    assert hand.landed(handle).injected == 0
    assert not (run_folder / LANDED_FILE).exists()


def test_checkpoints_of_an_unknown_form_are_not_struck_and_it_is_said_why(run_folder, tmp_path):
    hand, handle = armed("checkpoint.truncated", turn=1)
    np.savez(tmp_path / "last.npz", weights=np.ones(4))
    train(2)
    hand.rollback(handle)
    assert "not written by `torch.save` are out of reach" in hand.landed(handle).reason
    assert np.load(tmp_path / "last.npz")["weights"].tolist() == [1.0] * 4


def test_what_is_off_limits_is_kept_out_of(run_folder):
    usual, hand = train(), TrainingInjector()
    handle = hand.prepare(Arming(TRAINER, "numerics.nan_gradient", turn=AT))
    with pytest.raises(RefuteError, match="BLAST-NEVER"):
        hand.apply(handle, Lease(20.0, zone=Zone((TRAINER,))))
    assert torch.equal(train(), usual)


def test_what_is_no_fault_of_training_is_refused():
    assert "not a fault for training runs" in TrainingInjector().refuses(Arming(TRAINER, "llm.rate_limit"))
    assert TrainingInjector().refuses(Arming(Component("data", "data_pipeline"), "rank.killed"))
    assert "outside" in TrainingInjector().refuses(Arming(TRAINER, "numerics.bit_flip_weight", 32.0))


EARLY = """
import sys
from refute.core.arming import Arming
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors._awaited import at_the_start
from refute.injectors.training.hand import TrainingInjector
at_the_start()
hand = TrainingInjector()
handle = hand.prepare(Arming(Component("trainer", "trainer"), sys.argv[1], seed=1, turn=1))
hand.apply(handle, Lease(30.0))
assert "torch" not in sys.modules and "numpy" not in sys.modules
import io, numpy, torch, torch.nn.parallel
torch.manual_seed(3)
weight = torch.nn.Parameter(torch.ones(4))
optimizer = torch.optim.SGD([weight], lr=0.1)
weight.sum().backward()
optimizer.step()
torch.save({"step": 1}, io.BytesIO())
print(hand.landed(handle).injected)
hand.rollback(handle)
print(hand.verify(handle), torch.save.__module__, torch.manual_seed(3).initial_seed())
"""


@pytest.mark.parametrize(("fault", "struck"), [
    ("numerics.nan_gradient", 1), ("checkpoint.stale", 1), ("config.wrong_seed", 1), ("comms.dropped", 0),
])  # fmt: skip
def test_armed_before_torch_is_imported_it_strikes_all_the_same(fault, struck):
    done = subprocess.run([sys.executable, "-c", EARLY, fault], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == [str(struck), "True torch.serialization 3"], done.stderr
