"""A small model folder with random weights."""

from Architectures import SiameseModel
from Config import BackboneConfig, Config, ModelConfig, to_json
from Tokenizer_lib import Tokenizer
from training import checkpoints


def a_threshold(epoch):
    return checkpoints.Threshold(0.4, "f1", "validation", 0.9, 0.9, 0.9, slope=2.0, intercept=-1.0, epoch=epoch)


def model_folder(folder):
    config = Config(model=ModelConfig(width=32, word_width=16), backbone=BackboneConfig(channels=8))
    tokenizer = Tokenizer(["red", "ball"])
    model = SiameseModel(len(tokenizer), config.backbone, config.model)
    (folder / "config.json").write_text(to_json(config))
    tokenizer.save(folder / "vocabulary.json")
    checkpoints.save_best(folder, model, a_threshold(epoch=3), tokenizer)
    return model
