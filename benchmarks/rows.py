"""Rows of a benchmark: a line of JSON a run, in a file that is gone on with."""

import json
import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed


def read_rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def run_all(run, jobs, path, key_of, line_of, workers):
    """Run the jobs that are not yet made, each in a process, and keep its row; one that fails is named and stops no other."""
    made = {key_of(row) for row in read_rows(path)}
    todo = [job for job in jobs if job not in made]
    print(f"{len(todo)} of {len(jobs)} runs to go", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    # An executor, since a pool waits for ever for what a killed worker was doing.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        pending = {pool.submit(run, *job): job for job in todo}
        for future in as_completed(pending):
            if future.exception() is not None:
                print(f"failed: {pending[future]}: {future.exception()!r}", flush=True)
                continue
            row = future.result()
            with path.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
            print(line_of(row), flush=True)


def interval(values):
    """Mean and half-width of the 95% t interval."""
    from scipy import stats

    if len(values) < 2:
        return statistics.mean(values), float("nan")
    return statistics.mean(values), float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
