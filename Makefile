# make remix              set everything up and remix the example song
# make remix SONG=x.mp3   remix any song
# make quick              pure functions, in 90 s: no weights, no Prefect
# make test               set everything up, check and test
# make serve              the service on this machine: server, worker, UI (docs/operating.md)
# make soak               kills, spoilt files and scale at length, hours; figures go to benchmarks/*.json
.PHONY: setup remix serve soak quick test check lock clean
export SONG

setup: .venv/installed

.venv/installed: install.sh pyproject.toml requirements.lock
	./install.sh

remix: .venv/installed
	@if [ -n "$$SONG" ]; then .venv/bin/remix run "$$SONG"; else .venv/bin/remix demo; fi

serve: .venv/installed
	.venv/bin/remix serve

soak: .venv/installed
	.venv/bin/python -m benchmarks.soak kills --count 50
	.venv/bin/python -m benchmarks.soak kills --count 10 --real
	.venv/bin/python -m benchmarks.soak files --count 200
	.venv/bin/python -m benchmarks.scale workers --seconds 180
	.venv/bin/python -m benchmarks.scale workers --real
	.venv/bin/python -m benchmarks.scale queue --songs 1000

check: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

quick: .venv/installed
	.venv/bin/pytest -q tests/models models -m "not weights and not slow and not gpu and not browser and not service"

test: check
	.venv/bin/pytest -q

# Resolve the lock anew (needs uv). Names and versions only; torch is installed by install.sh from its pin.
lock:
	uv pip compile pyproject.toml --group dev --python-version 3.11 --no-emit-index-url --no-header --no-annotate -q -o - \
		| grep -v '^torch==' > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean:
	rm -rf .venv .remix
