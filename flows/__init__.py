"""The Prefect flows: the remix, each stage alone, and around them deployments, training, evaluation, service, cli.

remix          the remix: song in, new track out
single_stages  each stage alone, on files
options        RemixOptions, of which flow, forms and commands are made
stage_settings the settings of every stage, and `stage.setting=value`
separators     which separator a run uses
vocal_parts    which voice sings which part, in which key
devices        device and precision, resolved
parameters     a pydantic model as the parameters of a function
instruments    instruments and SoundFont as settings of `render`
deployments/   what a Prefect server runs: remix, batch, evaluation, maintenance
training/      a flow a network
evaluation/    a flow a part
service/       server, workers, lost runs, collection
cli/           the command `remix`
"""

import tasks as _environment  # noqa: F401  (before Prefect is imported)
