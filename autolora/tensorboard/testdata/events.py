"""Writes and reads event files with TensorBoard's own code.

    python events.py make         writes events.tfevents beside this file: what TensorBoard's
                                  RecordWriter makes of the events in tensorboard_test.go
    python events.py read FOLDER  prints, as JSON, the numbers that EventAccumulator finds

Made with tensorboard 2.21.0, protobuf 7.36.2 (pip install tensorboard).
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter


def scalar(wall_time, step, tag, value):
    summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
    return event_pb2.Event(wall_time=wall_time, step=step, summary=summary)


def make(path):
    events = [
        event_pb2.Event(wall_time=1700000000.25, file_version="brain.Event:2"),
        scalar(1700000001.5, 10, "search/loss", 0.6931471805599453),
        scalar(1700000002.5, 3000000000, "größe", -1e30),
        scalar(1700000003.5, -1, "inf", float("inf")),
    ]
    with open(path, "wb") as f:
        writer = RecordWriter(f)
        for event in events:
            writer.write(event.SerializeToString())
        writer.flush()


def read(folder):
    found = EventAccumulator(folder, size_guidance={"scalars": 0}).Reload()
    return {tag: [[e.wall_time, e.step, e.value] for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


if sys.argv[1] == "make":
    make(pathlib.Path(__file__).with_name("events.tfevents"))
else:
    print(json.dumps(read(sys.argv[2])))
