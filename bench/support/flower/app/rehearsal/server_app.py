"""The server: FedAvg over all clients, no evaluation; marks in a folder when the rounds begin and end and what came out."""

import json
import os
import time

import numpy as np
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


def mark(folder: str, name: str, fields: dict) -> None:
    """A file that is whole from the moment it is there."""
    path = os.path.join(folder, name)
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(fields, file)
    os.replace(path + ".part", path)


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    folder, agents = str(config["folder"]), int(config["agents"])
    strategy = FedAvg(
        fraction_evaluate=0.0,
        min_train_nodes=agents,
        min_available_nodes=agents,
    )
    first = np.zeros(int(config["parameters"]), dtype=np.float32)
    while len(list(grid.get_node_ids())) < agents:
        time.sleep(0.1)
    mark(folder, "began", {"atSeconds": time.time()})
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord([first]),
        num_rounds=int(config["rounds"]),
    )
    mark(folder, "ended", {"atSeconds": time.time()})
    (weights,) = result.arrays.to_numpy_ndarrays()
    bounds = {"least": float(weights.min()), "largest": float(weights.max())}
    mark(folder, "weights", {"parameters": int(weights.size), **bounds})
