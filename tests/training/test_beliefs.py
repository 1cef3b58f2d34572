"""Beliefs about real trainings, by the command line: some hold, some are refuted, and which is which is not known to the test's subject."""

from __future__ import annotations

import pytest


def of(lines, kind, **fields):
    return [line for line in lines if line["event"] == kind and all(line.get(name) == value for name, value in fields.items())]


def treated(lines, indicator):
    runs = [outcome for line in of(lines, "outcomes", phase="inject") for outcome in line["outcomes"] if outcome["arm"] == "treatment"]
    return [outcome["values"][indicator] for outcome in runs]


def judged(trainer, belief, code, word):
    got, lines, err = trainer.refute("run", "--json", "--belief", belief)
    assert got == code, err
    (verdict,) = of(lines, "verdict")
    assert verdict["verdict"] == word
    assert verdict["landed"]
    assert all(line["ok"] for line in of(lines, "rollback"))
    return verdict, lines


@pytest.mark.parametrize("trainer", ["table"], indirect=True)
def test_missing_cells_are_imputed_and_wrong_labels_are_not_harmless(trainer):
    verdict, lines = judged(trainer, "missing-cells-imputed", 0, "held")
    assert of(lines, "phase", phase="check", state="ended")[0]["same_seed"] == {"accuracy": 0.0}
    assert any(pair["control"] != pair["treatment"] for pair in verdict["pairs"])
    verdict, _ = judged(trainer, "wrong-labels-harmless", 1, "refuted")
    assert verdict["median"] > 0.1


@pytest.mark.parametrize("trainer", ["digits"], indirect=True)
def test_one_nan_ruins_a_run_that_ends_well_and_nobody_is_told(trainer):
    verdict, lines = judged(trainer, "nan-survived", 1, "refuted")
    assert verdict["median"] > 0.5
    assert treated(lines, "finished") == [1.0] * 6
    assert treated(lines, "noticed") == [0.0] * 6
    judged(trainer, "low-bit-harmless", 0, "held")


@pytest.mark.parametrize("trainer", ["digits"], indirect=True)
def test_a_guarded_run_notices(trainer):
    trainer.edit('--folder, "{run}"]', '--folder, "{run}", --guarded]')
    code, lines, _ = trainer.refute("run", "--json", "--belief", "nan-survived")
    assert code in {0, 1, 3}
    assert treated(lines, "noticed")
    assert set(treated(lines, "noticed")) == {1.0}


@pytest.mark.parametrize("trainer", ["digits"], indirect=True)
def test_a_killed_run_resumes_to_the_last_bit_and_loses_less_than_a_save(trainer):
    _, lines = judged(trainer, "killed-costs-a-save", 0, "held")
    assert all(0 < lost <= 20 for lost in treated(lines, "steps_lost"))
    assert treated(lines, "resumed_equal") == [1.0] * 6


@pytest.mark.parametrize("trainer", ["digits"], indirect=True)
def test_a_save_that_is_cut_costs_a_save_beside_the_last_one_and_the_run_where_it_is_in_place(trainer):
    _, lines = judged(trainer, "cut-save-survived", 0, "held")
    assert treated(lines, "steps_lost") == [20.0] * 6
    trainer.edit('--folder, "{run}"]', '--folder, "{run}", --in-place]')
    _, lines = judged(trainer, "cut-save-survived", 1, "refuted")
    assert treated(lines, "finished") == [0.0] * 6, "every restart loads the file that was cut"


@pytest.mark.parametrize("trainer", ["digits"], indirect=True)
def test_ranks_under_a_launcher_end_with_their_run(trainer):
    command = "[torchrun, --nproc-per-node, '2', --max-restarts, '2', --rdzv-backend, c10d, --rdzv-endpoint, 'localhost:0', train.py"
    trainer.edit("[python, train.py", command)
    trainer.edit("restarts: 2", "restarts: 0")
    code, lines, err = trainer.refute("run", "--json", "--belief", "killed-costs-a-save")
    assert of(lines, "landing")[0]["injected"] == of(lines, "landing")[0]["eligible"], err
    assert code in {0, 1, 3}
    assert all(line["ok"] for line in of(lines, "rollback"))


@pytest.mark.parametrize("trainer", ["language_model"], indirect=True)
def test_a_language_model_survives_a_clipped_spike_and_not_a_wrong_rate(trainer):
    judged(trainer, "spike-clipped", 0, "held")
    verdict, _ = judged(trainer, "rate-spike-forgotten", 1, "refuted")
    assert verdict["median"] > 0.05


@pytest.mark.parametrize("trainer", ["embedder"], indirect=True)
def test_an_embedder_tolerates_wrong_pairs_and_no_nan(trainer):
    judged(trainer, "wrong-pairs-tolerated", 0, "held")
    verdict, _ = judged(trainer, "nan-survived", 1, "refuted")
    assert verdict["median"] > 0.2
