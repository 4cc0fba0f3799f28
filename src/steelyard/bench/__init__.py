"""Public benchmarks of judges, by their published protocols: one file each, and what runs and counts them."""

from steelyard.bench.base import Benchmark, Item, Table, benchmark, benchmark_names, tabulate
from steelyard.bench.judging import run_benchmark

__all__ = ["Benchmark", "Item", "Table", "benchmark", "benchmark_names", "run_benchmark", "tabulate"]
