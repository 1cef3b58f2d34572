"""The journal against a model, with crashes that tear the last write at any byte."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from refute.core.arming import Handle
from refute.core.errors import RefuteError
from refute.core.process import ProcessIdentity
from refute.safety.journal import STATES, Journal

NAMES = ["a", "b"]
FOLLOWS = {
    None: {"intended"},
    "intended": {"applied", "rolled_back"},
    "applied": {"rolled_back"},
    "rolled_back": {"rolled_back", "verified"},
    "verified": set(),
}


class JournalMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.known = dict.fromkeys(NAMES)
        self.start()

    def start(self):
        self.journal = Journal(self.place / "journal", runner=ProcessIdentity(1, "1", "b"), now=lambda: 1.0, monotonic=lambda: 1.0)

    def handle(self, name):
        return Handle("files", "journalled", {"name": name}, id=name)

    @rule(name=st.sampled_from(NAMES), state=st.sampled_from(STATES))
    def advance(self, name, state):
        if state in FOLLOWS[self.known[name]]:
            self.journal.advance(self.handle(name), state)
            self.known[name] = state
        else:
            with pytest.raises(RefuteError, match="JOURNAL-ORDER"):
                self.journal.advance(self.handle(name), state)

    @rule(name=st.sampled_from(NAMES), where=st.floats(0, 1), garbage=st.binary(max_size=3))
    def crash_in_the_next_write(self, name, where, garbage):
        """The process dies while it writes: a part of the line is there, perhaps with rubbish after it."""
        before = self.known[name]
        possible = FOLLOWS[before] - {"verified"}
        if not possible:
            return
        path = self.place / "journal" / f"{name}.jsonl"
        size = path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0  # what an earlier crash tore is written over
        self.journal.advance(self.handle(name), min(possible))
        whole = path.read_bytes()
        cut = size + int(where * (len(whole) - size - 1))
        path.write_bytes(whole[:cut] + garbage.replace(b"\n", b""))
        self.start()

    @rule()
    def restart(self):
        self.start()

    @rule()
    def prune(self):
        self.journal.prune()

    @invariant()
    def live_is_what_was_acknowledged(self):
        live = {entry.handle.id: (entry.handle, entry.state) for entry in self.journal.live()}
        assert live == {name: (self.handle(name), state) for name, state in self.known.items() if state not in {None, "verified"}}
        assert self.journal.damaged() == []

    def teardown(self):
        shutil.rmtree(self.place)


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
