"""What every room uses.

types             records that flow between the stages
dtypes            NumPy array types by name
errors            errors with a message for the user
validation        range checks of settings
solver            the training loop, of torch; inference never imports it
seeds             seeds of training steps, random states
curve             training curves as JSON lines
progress          progress reports and cancellation
registry          the manifest of weights, verified by SHA-256
download          resumable download of weights
device            networks on a GPU, in true float32
malloc            glibc settings that keep freed memory during a stage
diagnosis         what `remix doctor` reports of an installation
writable          checks that outputs can be written
vanishing_files   files that other processes remove meanwhile
"""
