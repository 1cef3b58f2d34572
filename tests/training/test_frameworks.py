"""Faults and reports in real Lightning, Hugging Face Trainer and Accelerate trainings, with one callback and no other word of Refute."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from refute.core.arming import Arming
from refute.core.lease import Lease
from refute.core.system import Component
from refute.core.training import LANDED_FILE, REPORT_FILE, RUN_VARIABLE
from refute.injectors.training.hand import TrainingInjector

STEPS, AT = 8, 4


class Net(nn.Module):
    """A classifier that returns its loss, as both frameworks like it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, x, labels):
        logits = self.layers(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Rows(torch.utils.data.Dataset):
    def __init__(self):
        generator = torch.Generator().manual_seed(1)
        self.x, self.labels = torch.randn(STEPS * 4, 8, generator=generator), torch.randint(4, (STEPS * 4,), generator=generator)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"x": self.x[index], "labels": self.labels[index]}


def lightning(folder):
    from lightning.pytorch import LightningModule, Trainer

    from refute.integrations.lightning import Report

    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def training_step(self, batch, _index):
            loss = self.net(**batch)["loss"]
            self.log("train/loss_now", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-2)

    module = Module()
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder, callbacks=[Report()],
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(Rows(), batch_size=4))
    assert trainer.state.finished, "it says that it ended well, whatever became of its weights"
    return module.net


def transformers(folder):
    from transformers import Trainer, TrainingArguments

    from refute.integrations.transformers import Report

    net = Net()
    arguments = TrainingArguments(
        output_dir=str(folder / "out"), per_device_train_batch_size=4, num_train_epochs=1, logging_steps=1, save_strategy="no",
        report_to=[],
        use_cpu=True, disable_tqdm=True, learning_rate=1e-2, remove_unused_columns=False, seed=1,
    )  # fmt: skip
    Trainer(model=net, args=arguments, train_dataset=Rows(), callbacks=[Report()]).train()
    return net


def accelerate(folder):
    from accelerate import Accelerator

    from refute.integrations.accelerate import Tracker

    accelerator = Accelerator(cpu=True, log_with=[Tracker()], project_dir=str(folder))
    accelerator.init_trackers("digits")
    net = Net()
    model, optimizer, rows = accelerator.prepare(
        net, torch.optim.Adam(net.parameters(), lr=1e-2), torch.utils.data.DataLoader(Rows(), batch_size=4)
    )
    for step, batch in enumerate(rows, 1):
        loss = model(**batch)["loss"]
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        accelerator.log({"loss": loss.item(), "train/rate": 0.01}, step=step)
    accelerator.end_training()
    return net


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def numbers(reports):
    return {line["step"]: line["loss"] for line in reports if line["loss"] is not None}


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("train", [lightning, transformers, accelerate])
def test_steps_and_losses_are_told_and_a_nan_lands_in_the_weights(train, run_folder):
    usual = train(run_folder)
    reports = lines(run_folder / REPORT_FILE)
    assert {line["step"] for line in reports if line["step"]} == set(range(1, STEPS + 1))
    assert set(numbers(reports)) == set(range(1, STEPS + 1))
    assert not any(weight.isnan().any() for weight in usual.parameters())
    assert all(name.isidentifier() for line in reports for name in line["metrics"])
    (run_folder / REPORT_FILE).unlink()

    hand = TrainingInjector()
    handle = hand.prepare(Arming(Component("trainer", "trainer"), "numerics.nan_gradient", turn=AT, seed=2))
    hand.apply(handle, Lease(30.0))
    try:
        ruined = train(run_folder)
    finally:
        hand.rollback(handle)
    assert [hit["step"] for hit in lines(run_folder / LANDED_FILE)] == [AT]
    assert any(weight.isnan().any() for weight in ruined.parameters())
    told = numbers(lines(run_folder / REPORT_FILE))
    assert not any(math.isnan(told[step]) for step in range(1, AT + 1)), "all is well until the strike"
    if train is transformers:
        assert not any(map(math.isnan, told.values())), "the trainer's own default writes a number in place of NaN"
    else:
        assert all(math.isnan(told[step]) for step in range(AT + 1, STEPS + 1))


def test_without_a_run_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    accelerate(tmp_path)
    assert not (tmp_path / REPORT_FILE).exists()
