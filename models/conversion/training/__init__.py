"""Training of voices and of the content encoder.

settings           settings of all trainings, without torch
recordings         a speaker's recordings segmented, selected and levelled
voice_dataset      F0 and content features of each segment; speech to singing
small_voice        configuration and initial weights of the small voice
voice              losses and updates of the small voice
losses             spectral losses and the spectrogram discriminator
full_size_voice    configuration and initial weights of the full-size voice
full_size          losses and updates of the full-size voice
stopping           early stopping of voices
base_checkpoints   published checkpoints it starts from
content_encoder    training of the content encoder
content_dataset    its corpus
perturbation       random perturbation of speakers
phones             phone inventory and frame labels
synthetic_speech   espeak-ng and flite with phone times
"""
