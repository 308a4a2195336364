"""Training of the beat tracker: the dataset's files, augmentation and loss."""
