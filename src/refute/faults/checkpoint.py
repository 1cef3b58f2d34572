"""Faults of a checkpoint, at the save that `turn` names, else at the second; then the process is killed, so that somebody resumes."""

from __future__ import annotations

from functools import partial

from refute.faults.numerics import TRAINERS
from refute.faults.spec import Fault, Magnitude

_BEFORE_IT_ENDS = Magnitude(unit="%", low=0.0, high=100.0, typical=50.0, meaning="share of the bytes that reach the disk")
_WRITTEN = Magnitude(unit="%", low=0.0, high=99.9, typical=50.0, meaning="share of the bytes that reach the disk")

_fault = partial(
    Fault, kinds=TRAINERS, hazard="state_write", trains="checkpoint",
    landing="the save was carried out so, and written down before the process ended",
    undone_by="nothing: the run's folder and its checkpoints are thrown away with it",
)  # fmt: skip

FAULTS = (
    _fault(
        name="checkpoint.killed_in_save",
        summary="The process is killed in the middle of a save.",
        effect="`torch.save` writes the magnitude's share of the bytes to the file that it was given; then SIGKILL to the process.",
        belief="A run that is killed while it saves resumes from the checkpoint before.",
        source="pre-empted machines; a popular trainer fails hard at 17 of 19 points at which a save can be cut",
        magnitude=_BEFORE_IT_ENDS,
    ),
    _fault(
        name="checkpoint.truncated",
        summary="A checkpoint is cut short.",
        effect="`torch.save` writes the magnitude's share of the bytes and returns as ever; SIGKILL before the next step.",
        belief="A checkpoint that is cut short is noticed on resuming, and the one before is used.",
        source="power cuts without fsync; full disks whose errors are swallowed",
        magnitude=_WRITTEN,
    ),
    _fault(
        name="checkpoint.torn",
        summary="A checkpoint has its length, and zeros at its end.",
        effect="`torch.save` writes the magnitude's share of the bytes, then zeros, and returns as ever; SIGKILL before the next step.",
        belief="A torn checkpoint is noticed on resuming, and the one before is used.",
        source="delayed allocation of file systems: a renamed file whose blocks never reached the disk",
        magnitude=_WRITTEN,
    ),
    _fault(
        name="checkpoint.stale",
        summary="A save does nothing.",
        effect="`torch.save` returns without writing, so that the checkpoint before stays; SIGKILL before the next step.",
        belief="A lost save costs no more than the steps between two saves.",
        source="asynchronous saves that never finish; eventually consistent stores",
    ),
    _fault(
        name="checkpoint.missing_shard",
        summary="A file of a checkpoint is gone.",
        effect="`torch.save` writes as ever; before the next step its file, whatever its name is by then, is removed, and SIGKILL.",
        landing="the file was there, and written down before it was removed",
        belief="A checkpoint that lacks a file is noticed on resuming, and the one before is used.",
        source="shards of ranks that never arrived; clean-up jobs; partial downloads",
    ),
    Fault(
        name="storage.full",
        summary="The disk is full while a checkpoint is saved.",
        kinds=TRAINERS,
        hazard="state_write",
        trains="checkpoint",
        effect="`torch.save` writes the magnitude's share of the bytes and raises OSError, ENOSPC.",
        landing="the save was carried out so, and written down",
        undone_by="nothing: the run's folder and its checkpoints are thrown away with it",
        belief="A full disk is noticed, and costs no checkpoint that was there.",
        source="full disks and quotas; in-place saves leave a truncated file at the target path",
        magnitude=_WRITTEN,
    ),
    Fault(
        name="storage.slow",
        summary="A checkpoint takes long to save.",
        kinds=TRAINERS,
        hazard="availability",
        trains="checkpoint",
        effect="`torch.save` waits, and then writes as ever.",
        landing="the save was held so, and written down",
        undone_by="the lease: the wait ends with it",
        belief="A slow disk delays a run by no more than the save takes.",
        source="shared file systems under load; throttled object stores",
        magnitude=Magnitude(unit="s", low=0.01, high=3600.0, typical=30.0, meaning="for how long", log=True),
    ),
)
