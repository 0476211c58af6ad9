"""A training with a frozen backbone on a copy of the database `tiny`, without cached features."""

import shutil

import torch

from Architectures import SiameseModel
from Config import BackboneConfig, Config, DataConfig, ModelConfig
from DataBase_functions import Database


def frozen_training(databases, folder, **settings):
    """The settings, database and model of a training with a frozen ResNet-50 of random weights; two workers."""
    shutil.copytree(databases / "tiny", folder / "tiny", ignore=shutil.ignore_patterns("features"))
    backbone = BackboneConfig("resnet50", "none", unfreeze_epoch=None, views=2, **settings)
    config = Config(workers=2, data=DataConfig("tiny", str(folder), side=32), backbone=backbone)
    model = SiameseModel(9, backbone, ModelConfig(width=32)).eval()
    model.backbone.to(memory_format=torch.channels_last)  # as a training does; another format moves the last digits
    return config, Database(folder / "tiny"), model
