"""Parts of a training run: optimizer, checkpoints, log, feature cache, estimates of time and utilisation."""
