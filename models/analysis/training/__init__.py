"""Training of the beat tracker: the dataset's files, and the training loop with augmentation."""
