"""The `Status` of a channel, made of what its parts count."""

from __future__ import annotations

import time
from typing import Any

from keeprt.engine.live.budget import Budget, Parts
from keeprt.engine.live.restoring.link import ProcessRestoring
from keeprt.engine.live.states import is_healthy, is_ready
from keeprt.engine.live.status import Delay, Picture, Status, Worker
from keeprt.engine.live.transports.opening import Sink, Source
from keeprt.engine.live.wire.channel import Channel
from keeprt.engine.live.wire.meters import memory_bytes
from keeprt.engine.media.errors import redact


def status(
    channel: Channel,
    now_s: float,
    source: Source | None = None,
    sink: Sink | None = None,
    restoring: ProcessRestoring | None = None,
) -> Status:
    """All that is known now; `now_s` of the channel's clock."""
    meters, intake, air = channel.meters, channel.intake, channel.air
    age_s = None if channel.last_tick_s is None else now_s - channel.last_tick_s
    period_s = 0.04 if air is None else float(air.slots.period_s)
    return Status(
        time_s=time.time(),
        started_s=meters.started_s,
        state=channel.state,
        state_since_s=max(meters.started_s, time.time() - (now_s - channel.standing.since_s)),
        bypass_reason=None if channel.bypass_reason is None else str(channel.bypass_reason),
        ready=is_ready(channel.state, age_s, period_s),
        healthy=is_healthy(age_s, period_s),
        frame=meters.frame,
        source=redact(channel.options.source),
        sink=redact(channel.options.sink),
        settings=channel.settings,
        on_loss=channel.options.on_loss,
        cover="" if channel.cover is None else str(channel.cover),
        frames=dict(meters.frames),
        bypass=dict(meters.bypass),
        ts_errors=dict(intake.demux.counts),
        decode_errors=intake.errors + intake.corrupt,
        delay_histogram=meters.delay_ms.histogram,
        jitter_histogram=meters.jitter_ms.histogram,
        stage_histograms={name: one.histogram for name, one in list(meters.stages.items())},
        jitter_ms=meters.jitter_ms.quantiles,
        clock_ppm=round(channel.clock.ppm, 2),
        clock_steps=channel.clock.steps,
        reconnects={
            "source": 0 if source is None else source.reconnects,
            "sink": 0 if sink is None else sink.reconnects,
        },
        transport=_transport(source, sink),
        bytes_in=meters.bytes_in,
        bytes_out=meters.bytes_out,
        memory_bytes=memory_bytes(),
        worker=Worker() if restoring is None else restoring.worker,
        faces=() if restoring is None else restoring.faces,
        last_event=meters.events[-1].number if meters.events else 0,
        **_on_air(channel, sink, restoring),
    )


def _transport(source: Source | None, sink: Sink | None) -> dict[str, float]:
    said = {} if source is None else {f"source_{n}": v for n, v in source.stats().items()}
    if sink is not None:
        said |= {f"sink_{n}": v for n, v in sink.stats().items()}
        said["sink_dropped_bytes"] = sink.counts["dropped"]
    return said


def _parts(channel: Channel, period_s: float) -> Parts:
    """Of the last minute: what was measured before the air says nothing of what it became."""
    meters, decoder = channel.meters, channel.intake.decoder
    stages = {name: one.quantiles.p99 / 1e3 for name, one in list(meters.stages.items())}
    return Parts(
        reorder_s=0.0 if decoder is None else decoder.reorder_frames * period_s,
        jitter_s=meters.late_ms.quantiles.p99 / 1e3,
        decode_s=stages.get("decode", 0.0),
        processing_s=stages.get("restore", 0.0),
        encoder_s=stages.get("encode", 0.0),
    )


def _on_air(
    channel: Channel, sink: Sink | None, restoring: ProcessRestoring | None
) -> dict[str, Any]:
    air = channel.air
    if air is None or channel.budget is None:
        return {}
    parts = _parts(channel, float(air.slots.period_s))
    budget = Budget(channel.budget.delay_s, parts)
    seconds = {
        "reorder": parts.reorder_s,
        "jitter": parts.jitter_s,
        "decode": parts.decode_s,
        "processing": parts.processing_s,
        "encoder": parts.encoder_s,
    }
    like, wanted = air.like, air.encoder.wanted
    return {
        "picture": Picture(
            like.width,
            like.height,
            air.encoder.pixel_format,
            str(wanted.rate),
            like.is_interlaced,
            like.codec,
            air.encoder.kind,
        ),
        "delay": Delay(
            round(budget.delay_s * 1e3, 3),
            {name: round(value * 1e3, 3) for name, value in seconds.items()},
            channel.meters.delay_ms.quantiles,
            budget.restores,
            budget.repeats,
        ),
        "joins": air.slots.counts["joins"],
        "queues": {
            "slots": air.slots.waiting,
            "packets": air.splice.waiting,
            "restorer": 0 if restoring is None else restoring.busy,
            "send": 0 if sink is None else sink.waiting,
        },
        "sound_ms": air.sound_ms
        if any(s.is_sound for s in channel.intake.demux.program.streams)
        else None,
        "captions": {"waiting": air.captions.waiting, "dropped": air.captions.dropped},
    }
