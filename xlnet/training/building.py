"""The trainer of a pretraining run: model, optimizer and compiled step, from the settings."""

from xlnet.corpus.settings import CorpusSettings
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import load_weights
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead
from xlnet.training import optimizer, seeds
from xlnet.training.devices import Devices
from xlnet.training.pretrainer import Pretrainer
from xlnet.training.settings import PretrainingSettings


def build_trainer(
    settings: PretrainingSettings,
    *,
    config: ModelConfig,
    corpus: CorpusSettings,
    devices: Devices,
    init: str | None = None,
) -> Pretrainer:
    """A trainer that is ready for `fit`. `init`: a model directory or a reference checkpoint to begin from."""
    policy = settings.precision if settings.precision == "float32" else f"mixed_{settings.precision}"
    seed = seeds.of_weights(settings.seed)
    backbone = Backbone(config, bidirectional=corpus.bidirectional, remat=settings.remat, seed=seed, dtype=policy)
    trainer = Pretrainer(
        backbone,
        LanguageModelHead(backbone),
        corpus=corpus,
        objective=settings.objective,
        rows=devices.rows(settings.batch_size),
        memory_length=settings.memory_length,
        parts=settings.accumulation_steps,
    )
    trainer.resets_metrics = False
    if init is not None:
        fresh = load_weights(trainer, init).missing
        if fresh:
            print(f"{init} has no {', '.join(fresh)}: begun afresh", flush=True)
    updates = optimizer.build(
        settings,
        steps=settings.steps,
        variables=trainer.trainable_variables,
        most_skipped=settings.most_skipped_steps,
        spike_deviations=settings.spike_deviations,
        scales_loss=settings.precision == "float16",
    )
    trainer.compile(optimizer=updates, jit_compile=settings.jit_compile)
    return trainer
