#!/bin/sh
# Build .venv with everything the project needs. Plain `pip install .` cannot: basic-pitch asks for a TensorFlow that needs
# numpy 1 and so-vits-svc-fork for numpy 2 (see "Installing" in the README). So torch comes first with its own
# dependencies, a CPU or a CUDA build as pip finds it; then the lock, each package alone; then the project.
set -eu
cd "$(dirname "$0")"

python=
for candidate in "${PYTHON:-}" python3.11 python3; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "Python 3.11 is needed and none was found; name one with: make PYTHON=/path/to/python3.11" >&2; exit 2; }

if [ ! -x .venv/bin/pip ]; then
    echo "Making .venv (about 2 GB, once)"
    rm -rf .venv
    # Debian splits ensurepip off; then the system's own pip fills the environment.
    "$python" -m venv .venv >/dev/null 2>&1 ||
        { "$python" -m venv --without-pip --clear .venv && "$python" -m pip --python .venv/bin/python install -q pip; } ||
        { echo "Neither ensurepip nor pip is there; on Debian: apt-get install python3.11-venv" >&2; rm -rf .venv; exit 2; }
fi

pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }
torch=$(sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
pip install -q --no-compile "$torch"
pip install -q --no-compile --no-deps -r requirements.lock
pip install -q --no-compile --no-deps -e .
.venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null || true  # a few packages ship templates that are not Python
# librosa compiles a few of its functions when they are first wanted, and keeps them in .venv
.venv/bin/python -c 'import librosa, numpy; librosa.stft(numpy.zeros(4096)), librosa.feature.melspectrogram(y=numpy.zeros(4096))'
touch .venv/installed
