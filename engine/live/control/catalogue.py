"""Every metric of a channel: what it is called, what it means, and what to do about it.

Interface: `METRICS` in the order of the page; `python -m keeprt.engine.live.control.catalogue`
prints them as the table of docs/live.md, and a test holds the two together.
"""

from __future__ import annotations

from keeprt.engine.live.control.declared import (
    Declared,
    info_values,
    one,
    seconds,
    sound_s,
    which,
)
from keeprt.engine.live.states import State

WORKER_STATES = ("none", "starting", "warming", "ready", "backing off")

METRICS = (
    Declared(
        "info",
        "gauge",
        "source sink size rate codec_in codec_out version",
        "Always 1; its labels say what comes in and goes out.",
        "A `size` or `rate` that nobody expects: the source was changed.",
        info_values,
    ),
    Declared(
        "status_time_seconds",
        "gauge",
        "",
        "Unix time of what all other metrics say.",
        "Older than 2 s: the wire hangs; `/healthz` says so too.",
        one(lambda s: s.time_s),
    ),
    Declared(
        "ready",
        "gauge",
        "",
        "1: the output ticks and pictures of the input are on air.",
        "0 for longer than a second or two: look at the state.",
        one(lambda s: s.ready),
    ),
    Declared(
        "healthy",
        "gauge",
        "",
        "1: the last tick is younger than two frame periods.",
        "0: the process hangs or starves; free a core for it, or restart the service.",
        one(lambda s: s.healthy),
    ),
    Declared(
        "state",
        "gauge",
        "state",
        "1 for the state that the channel is in, 0 for the others.",
        "See the table of states.",
        which(tuple(State), lambda s: s.state),
    ),
    Declared(
        "frames",
        "counter",
        "kind",
        "Frames that came in, went out, and of these what they showed: restored, original, "
        "repeat, black, slate; and those not taken: late, duplicate, dropped.",
        "`repeat` grows: the source loses pictures, or the delay is too short (`late` grows too: "
        "raise it). `original` grows without a bypass: see the reasons in the next line.",
        lambda s: s.frames,
    ),
    Declared(
        "bypass_frames",
        "counter",
        "reason",
        "Originals on air, by reason: operator, late, worker down, error, warming.",
        "`late`: raise --delay, restore fewer faces, or raise --detect-every. `worker down`, "
        "`error`: read the events and the log.",
        lambda s: s.bypass,
    ),
    Declared(
        "declared_delay_seconds",
        "gauge",
        "",
        "The delay that was declared, from arrival to sending.",
        "It is fixed while the channel runs; delay sound and captions of other paths by as much.",
        one(lambda s: s.delay.declared_ms / 1e3),
    ),
    Declared(
        "delay_part_seconds",
        "gauge",
        "part",
        "What the delay has to cover: reorder, jitter, decode, processing, encoder.",
        "Their sum above the declared delay: raise --delay.",
        lambda s: seconds(s.delay.parts_ms),
    ),
    Declared(
        "delay_seconds",
        "histogram",
        "",
        "How long pictures really took, from arrival to sending.",
        "Should stand still. Where it moves, look at the clock and at time lines.",
        lambda s: {"": s.delay_histogram},
    ),
    Declared(
        "tick_jitter_seconds",
        "histogram",
        "",
        "How late frames were sent, against their tick.",
        "Above 10 ms: other programs take the core; pin the service to cores of its own.",
        lambda s: {"": s.jitter_histogram},
    ),
    Declared(
        "stage_seconds",
        "histogram",
        "stage",
        "Time of each stage: decode, restore, encode, send; in the restorer find, align, network, "
        "paint.",
        "The slowest says what to make cheaper.",
        lambda s: s.stage_histograms,
    ),
    Declared(
        "source_clock_ppm",
        "gauge",
        "",
        "How much slower than ours the source's clock runs, in parts per million.",
        "Steady and below 100 is normal. Beyond, or wandering: the source's encoder has no good "
        "clock, or this machine's is not disciplined (chrony).",
        one(lambda s: s.clock_ppm),
    ),
    Declared(
        "source_clock_steps",
        "counter",
        "",
        "How often the clock was anchored anew because the way's delay had changed.",
        "Grows: the network's path changes, or a buffer before us fills.",
        one(lambda s: s.clock_steps),
    ),
    Declared(
        "source_time_lines",
        "counter",
        "",
        "Time lines that the source began: it was restarted, or its times jumped.",
        "Grows without anybody restarting it: ask whoever runs the source.",
        one(lambda s: s.joins),
    ),
    Declared(
        "ts_errors",
        "counter",
        "kind",
        "Errors of the input's transport stream, by kind, after ETSI TR 101 290.",
        "Continuity errors are lost packets: mend the network, or use SRT or RIST.",
        lambda s: s.ts_errors,
    ),
    Declared(
        "decode_errors",
        "counter",
        "",
        "Pictures that could not be decoded.",
        "Follows packet loss. Without it: the source sends damaged pictures.",
        one(lambda s: s.decode_errors),
    ),
    Declared(
        "reconnects",
        "counter",
        "side",
        "Connections that were made again, by side: source, sink.",
        "Grows: the other end restarts, or the line breaks; its log knows why.",
        lambda s: s.reconnects,
    ),
    Declared(
        "queue_depth",
        "gauge",
        "queue",
        "What waits: slots, packets, restorer, send.",
        "`send` that stays above 0: the line out is too slow for the bit rate.",
        lambda s: s.queues,
    ),
    Declared(
        "captions_waiting",
        "gauge",
        "",
        "Caption triplets that have come and not gone out yet.",
        "Stays high: the source sends more than the standard's 9600 bit/s.",
        one(lambda s: s.captions.get("waiting")),
    ),
    Declared(
        "captions_dropped",
        "counter",
        "",
        "Caption triplets that waited too long.",
        "As above; text is missing on air.",
        one(lambda s: s.captions.get("dropped")),
    ),
    Declared(
        "sound_offset_seconds",
        "gauge",
        "",
        "How much later sound is presented, against the picture, than it came in.",
        "Beyond -0.005 to 0.015 viewers of a production notice: read the events, then restart.",
        one(sound_s),
    ),
    Declared(
        "transport",
        "gauge",
        "name",
        "What SRT says of the line, by side: times and counts of packets; and bytes not sent.",
        "`packets_dropped` grows: raise `latency=` of the address to four round trips.",
        lambda s: s.transport,
    ),
    Declared(
        "bytes",
        "counter",
        "direction",
        "Bytes that came in and went out.",
        "`in` stands still: no source. Neither the state nor this costs the output a frame.",
        lambda s: {"in": s.bytes_in, "out": s.bytes_out},
    ),
    Declared(
        "faces",
        "gauge",
        "",
        "Faces in the last picture that the restorer answered.",
        "0 where a face is: raise --detect-side, or look at the light.",
        one(lambda s: len(s.faces)),
    ),
    Declared(
        "worker_state",
        "gauge",
        "state",
        "1 for the state of the restorer's process, 0 for the others.",
        "`backing off`: it fails again and again; the reason is in the events.",
        which(WORKER_STATES, lambda s: s.worker.state),
    ),
    Declared(
        "worker_restarts",
        "counter",
        "",
        "How often the restorer's process was started again.",
        "Grows: read why in the events; the programme itself lost no frame.",
        one(lambda s: s.worker.restarts),
    ),
    Declared(
        "worker_memory_bytes",
        "gauge",
        "",
        "Memory of the restorer's process.",
        "Grows for hours: report it, and restart the restorer by a reload.",
        one(lambda s: s.worker.memory_bytes),
    ),
    Declared(
        "memory_bytes",
        "gauge",
        "",
        "Memory of the wire's process.",
        "Grows for hours: report it.",
        one(lambda s: s.memory_bytes),
    ),
    Declared(
        "start_time_seconds",
        "gauge",
        "",
        "When the channel was started, Unix time.",
        "A new value that nobody asked for: the supervisor restarted it.",
        one(lambda s: s.started_s),
    ),
)


def table() -> str:
    """The metrics as a table in Markdown."""
    lines = ["| metric | kind, labels | meaning | what to do |", "| --- | --- | --- | --- |"]
    for metric in METRICS:
        kind = ", ".join([metric.kind, *(f"`{label}`" for label in metric.label.split())])
        lines.append(f"| `{metric.full_name}` | {kind} | {metric.meaning} | {metric.remedy} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
