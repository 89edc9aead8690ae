"""Results of evaluations in a run: whole or absent, one answer per question."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cosmos_train.evaluate.stored import Evaluation, Score, read, scores_of, store


def evaluation(run: Path, *scores: Score, settings: tuple[str, ...] = (), task: str = "vqav2") -> Evaluation:
    return Evaluation(task, str(run / "checkpoints" / "step-00000020"), 20, scores, settings)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    return tmp_path / "run"


def test_an_answer_replaces_that_to_the_same_question_only(run: Path) -> None:
    store(evaluation(run, Score("accuracy", 50.0, 2.0, shots=0, unit="%"), Score("accuracy", 60.0, 2.0, shots=4)))
    store(evaluation(run, Score("accuracy", 55.0, 1.0, shots=0, unit="%")))
    store(evaluation(run, Score("accuracy", 10.0, 1.0, shots=0), settings=("data.image.size=96",)))
    store(evaluation(run, Score("recall", 1.0), task="coco-retrieval"))
    found, problems = read(run)
    assert problems == []
    assert [(one["task"], one["measure"], one["shots"], one["score"]) for one in found] == [
        ("coco-retrieval", "recall", None, 1.0),
        ("vqav2", "accuracy", 4, 60.0),
        ("vqav2", "accuracy", 0, 55.0),
        ("vqav2", "accuracy", 0, 10.0),
    ]
    assert found[2]["interval"] == pytest.approx([55 - 1.96, 55 + 1.96])
    assert found[0]["interval"] is None


def test_results_of_several_processes_are_all_kept(run: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda shots: store(evaluation(run, Score("accuracy", 1.0, shots=shots))), range(16)))
    assert sorted(one["shots"] for one in read(run)[0]) == list(range(16))


def test_weights_of_no_run_and_errors_that_are_unknown(run: Path, tmp_path: Path) -> None:
    assert store(Evaluation("vqav2", str(tmp_path / "exported"), 20, [Score("accuracy", 1.0)])) is None
    path = store(evaluation(run, Score("accuracy", 1.0, math.nan)))
    assert path is not None
    [one] = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["results"]
    assert one["error"] is None and one["interval"] is None


def test_a_file_that_is_no_result_is_named_and_replaced(run: Path) -> None:
    (run / "evaluations").mkdir()
    (run / "evaluations" / "vqav2-20.json").write_text('{"task": "vq')
    assert read(run) == ([], ["evaluations/vqav2-20.json is not a file of results"])
    store(evaluation(run, Score("accuracy", 1.0)))
    assert len(read(run)[0]) == 1


def test_flat_numbers_of_a_probe_become_scores() -> None:
    found = scores_of(
        {"probe/colour": 0.5, "probe/colour_shuffled": 0.2, "probe/colour_chance": 0.25, "probe/words": 9}
    )
    assert found == [Score("colour", 0.5, chance=0.25, shuffled=0.2), Score("words", 9)]
