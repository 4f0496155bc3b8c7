"""Questions whose answer is a span of a context, or that have none: SQuAD and its kin.

Source: Yang et al. 2019, appendix A.5; reference: run_squad.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from xlnet.tasks import span_questions, span_scoring, span_scoring_chinese
from xlnet.tasks.span_decoding import best_spans, null_scores, probabilities
from xlnet.tasks.span_questions import NOWHERE, SPAN_SETS, Questions
from xlnet.tasks.span_windows import Windows, WindowSettings, windows
from xlnet.tasks.task import Features, Task

SCORES = {
    "squad": (span_scoring.exact, span_scoring.f1),
    "chinese": (span_scoring_chinese.exact, span_scoring_chinese.f1),
}
ANY = "squad2"  # whose rules hold where no data set is named
INPUTS = ("pieces", "segments", "padding", "excluded")


class QuestionAnswering(Task):
    """A row is a window over a question's context; the model's outputs are a beam of spans (see `SpanAnswerer`)."""

    kind = "question-answering"
    parts: ClassVar[dict[str, Any]] = {
        "data_set": tuple(SPAN_SETS),
        "stride": int,
        "question_length": int,
        "answer_length": int,
        "best_answers": int,
        "start_top": int,
        "end_top": int,
        "null_threshold": float,
    }
    along_sequence = INPUTS

    @classmethod
    def prepare(cls, path: str, settings: Any) -> tuple["QuestionAnswering", Questions]:
        """See `Task`. Questions that nothing can be learned from are left out."""
        task = cls(
            {
                "task": cls.kind,
                "data_set": settings.data_set or ANY,
                "sequence_length": settings.sequence_length,
                "stride": settings.stride,
                "question_length": settings.question_length,
                "answer_length": settings.answer_length,
                "best_answers": settings.best_answers,
                "start_top": settings.start_top,
                "end_top": settings.end_top,
                "null_threshold": 0.0,
            }
        )
        _ = task.windows
        return task, task.read(path).learnable()

    @property
    def windows(self) -> WindowSettings:
        """How contexts are cut."""
        return WindowSettings(self.sequence_length, self.head["stride"], self.head["question_length"])

    @property
    def data_set(self) -> span_questions.SpanSet:
        """Whose rules hold."""
        return SPAN_SETS[self.head["data_set"]]

    def read(self, path: str) -> Questions:
        """See `Task`."""
        return span_questions.read(path, self.head["data_set"])

    def faults(self, examples: Questions) -> dict[str, list[str]]:
        """See `Task`."""
        return examples.listed_faults()

    def parse(self, records: Sequence[Mapping[str, Any]], *, path: str, first_line: int = 1) -> Questions:
        """See `Task`. The keys are question, context and, where there is one, id."""
        return span_questions.parse(records, path=path, first_line=first_line)

    def features(self, tokenizer: Any, examples: Questions) -> Features:
        """See `Task`: a row is a window; `notes` are the windows. Targets are counted from the last column on."""
        found = windows(tokenizer, examples, settings=self.windows)
        targets = {}
        if examples.answers is not None:
            is_impossible = found.answers[:, 0] == NOWHERE
            columns = found.begin[:, None] + found.answers
            from_last = np.where(is_impossible[:, None], 0, self.sequence_length - 1 - columns).astype(np.int32)
            targets = {"start": from_last[:, 0], "end": from_last[:, 1], "impossible": is_impossible.astype(np.int32)}
        return Features(inputs=dict(found.inputs), example=found.question, targets=targets, notes=found)

    def model(self, config: Any, **options: Any) -> Any:
        """See `Task`."""
        from xlnet.model.span_answerer import SpanAnswerer

        model = SpanAnswerer(config, start_top=self.head["start_top"], end_top=self.head["end_top"], **options)
        nothing = np.zeros((1, self.sequence_length), np.int32)
        model(dict.fromkeys(INPUTS, nothing))
        return model

    def losses(self, model: Any, batch: Mapping[str, Any], *, training: bool) -> Any:
        """Half that of both ends, half that of there being an answer, in nats. See `Task`."""
        from xlnet.model.span_answerer import span_losses

        outputs = model({name: batch[name] for name in (*INPUTS, "start")}, training=training)
        return span_losses(outputs, **{name: batch[name] for name in ("start", "end", "impossible")})

    def restored(self, outputs: dict[str, Any], length: int) -> dict[str, Any]:
        """See `Task`."""
        shift = self.sequence_length - length
        return outputs | {name: outputs[name] + shift for name in ("starts", "ends")}

    def answers(self, examples: Questions, features: Features, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """The best answers, with characters of the context, and how likely there is none. See `Task`.

        Labelled, each has its scores by the official rules.
        """
        found: Windows = features.notes
        spans = best_spans(
            found, outputs, examples.contexts, count=self.head["best_answers"], longest=self.head["answer_length"]
        )
        null = null_scores(found, outputs["impossible"])
        answers: list[dict[str, Any]] = [
            {
                "predicted": "" if self.is_null(score) or not best else best[0].text,
                "answers": [
                    {"text": span.text, "probability": probability, "start": span.start, "end": span.end}
                    for span, probability in zip(best, probabilities(best), strict=True)
                ],
                "null_odds": float(score),
                "null_probability": float(1 / (1 + np.exp(-score))),
            }
            for best, score in zip(spans, null, strict=True)
        ]
        if examples.answers is None:
            return answers
        texts = [answer["predicted"] for answer in answers]
        scores = zip(*(self._scores(examples, texts)[name].tolist() for name in ("exact", "f1")), strict=True)
        return [answer | {"exact": exact, "f1": f1} for answer, (exact, f1) in zip(answers, scores, strict=True)]

    def _scores(self, examples: Questions, texts: Sequence[str]) -> dict[str, Any]:
        """Exact match and F1 of an answer to each question, [questions] each."""
        rules = dict(zip(("exact", "f1"), SCORES[self.data_set.scoring], strict=True))
        pairs = list(zip(examples.golds, texts, strict=True))
        return {
            name: np.array([span_scoring.best_of(score, golds, text) for golds, text in pairs])
            for name, score in rules.items()
        }

    def is_null(self, score: float) -> bool:
        """Whether a question with this logit of having no answer is not answered."""
        return self.data_set.unanswerable and score > self.head["null_threshold"]

    def measure(self, examples: Questions, features: Features, outputs: dict[str, Any]) -> dict[str, Any]:
        """Exact match and F1 by the data set's official rules, from 0 to 1. See `Task`.

        Where questions may have no answer, the threshold is the task's, `best_exact` and `best_f1` are reached with the
        best ones, and there are scores of the questions with and without an answer.
        """
        answers = self.answers(examples, features, outputs)
        scores = {name: np.array([answer[name] for answer in answers]) for name in ("exact", "f1")}
        described = {"loss": None, "faults": examples.listed_faults()}
        metrics: dict[str, float | None] = {name: float(values.mean()) for name, values in scores.items()}
        if self.data_set.unanswerable:
            metrics |= self._with_null(examples, answers, scores)
        return described | {"metrics": metrics}

    def _with_null(self, examples: Questions, answers: list[dict[str, Any]], scores: dict[str, Any]) -> dict[str, Any]:
        """What the best thresholds would give, and the scores of questions with and without an answer."""
        best = [answer["answers"][0]["text"] if answer["answers"] else "" for answer in answers]
        null = np.array([answer["null_odds"] for answer in answers])
        is_impossible, is_empty = examples.is_impossible, np.array([not text for text in best])
        metrics: dict[str, float | None] = {}
        for name, values in self._scores(examples, best).items():
            found = span_scoring.best_threshold(values, null, is_impossible=is_impossible, is_empty=is_empty)
            metrics |= {f"best_{name}": found.score, f"best_{name}_threshold": found.value}
            for part, rows in (("has_answer", ~is_impossible), ("no_answer", is_impossible)):
                metrics[f"{part}_{name}"] = float(scores[name][rows].mean()) if rows.any() else None
        return metrics

    def settle(self, metrics: Mapping[str, float | None]) -> None:
        """See `Task`: the threshold above which a question counts as unanswerable."""
        found = metrics.get("best_f1_threshold")
        if found is not None:
            self.head["null_threshold"] = found

    @property
    def best(self) -> str:
        """See `Task`: with the best threshold, as the reference chooses."""
        return "best_f1" if self.data_set.unanswerable else "f1"

    def fields(self, examples: Questions, row: int) -> dict[str, Any]:
        """See `Task`. `truth` is every right answer; none of a question that cannot be answered."""
        found: dict[str, Any] = {
            "id": examples.ids[row],
            "question": examples.texts[row],
            "context": examples.contexts[examples.context[row]],
        }
        return found if examples.answers is None else found | {"truth": examples.answers[row]}
