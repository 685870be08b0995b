"""The parts of the loader: collating, fetching, worker processes, and how batches travel."""
