"""Mistakes that a card would punish, each put into the sources; a session's tests must see them."""

from __future__ import annotations

from dataclasses import dataclass

CUDA = "engine/devices/cuda"
TESTS = "tests/engine/devices/cuda"
FRAMES = f"{TESTS}/test_frames.py"
SHRINKING = f"{TESTS}/test_card_shrinking.py"


@dataclass(frozen=True)
class Mutant:
    """One mistake: in `file`, `right` becomes `wrong`; `tests` are those that must fail."""

    name: str
    file: str
    right: str
    wrong: str
    tests: str
    keyword: str


MUTANTS = [
    # Contexts.
    Mutant(
        "frames are submitted in whatever context is current",
        f"{CUDA}/frames.py",
        'with self._visit, one_line("the frame failed on the card"):',
        'with one_line("the frame failed on the card"):',
        FRAMES,
        "any_thread",
    ),
    Mutant(
        "frames are collected in whatever context is current",
        f"{CUDA}/frames.py",
        "        with self._visit:\n            faces, parity",
        "        if True:\n            faces, parity",
        FRAMES,
        "any_thread",
    ),
    Mutant(
        "states are read in whatever context is current",
        f"{CUDA}/states.py",
        """        buffer, pinned = self._staging[name]
        with self._visit, one_line("the state cannot be copied"):""",
        """        buffer, pinned = self._staging[name]
        with one_line("the state cannot be copied"):""",
        FRAMES,
        "any_thread",
    ),
    Mutant(
        "states are written in whatever context is current",
        f"{CUDA}/states.py",
        """        with self._visit, one_line("the state cannot be copied"):
            self._synchronise()
            for name""",
        """        with one_line("the state cannot be copied"):
            self._synchronise()
            for name""",
        FRAMES,
        "any_thread",
    ),
    Mutant(
        "synchronise is called in whatever context is current",
        f"{CUDA}/runner.py",
        "        with self._visit:\n            self._lanes.synchronise()",
        "        self._lanes.synchronise()",
        FRAMES,
        "any_thread",
    ),
    Mutant(
        "the caller's context is not given back",
        f"{CUDA}/guest.py",
        "        self._pop()\n",
        "        pass\n",
        FRAMES,
        "any_thread or disturb",
    ),
    Mutant(
        "the caller's context is lost when a card is joined",
        f"{CUDA}/guest.py",
        "        driver.cuCtxSetCurrent(before)\n",
        "",
        FRAMES,
        "disturb",
    ),
    # What is waited for.
    Mutant(
        "no lane waits for another",
        f"{CUDA}/lanes.py",
        "                        stream.wait(self._events[other][(index - back) % EVENTS])",
        "                        pass",
        FRAMES,
        "those_of_the_cpu",
    ),
    Mutant(
        "nothing is recorded for the other lanes",
        f"{CUDA}/lanes.py",
        "                stream.record(events[index % EVENTS])",
        "                index or stream.record(events[index % EVENTS])",
        FRAMES,
        "those_of_the_cpu",
    ),
    Mutant(
        "results are read before they are there",
        f"{CUDA}/runner.py",
        "            last.sync()\n",
        "            pass\n",
        FRAMES,
        "those_of_the_cpu",
    ),
    Mutant(
        "a graph is dropped while it replays",
        f"{CUDA}/runs.py",
        "        self._synchronise()  # a graph that is being replayed is not to be dropped\n",
        "",
        FRAMES,
        "does_not_replay",
    ),
    Mutant(
        "a state is read while its frame runs",
        f"{CUDA}/states.py",
        """            self._synchronise()
            self._memory.places""",
        """            self._memory.places""",
        FRAMES,
        "its_frame_is_done",
    ),
    Mutant(
        "a picture is read before its producer is done",
        f"{CUDA}/frames.py",
        "            stream.wait(join_stream(device, given.stream))",
        "            pass",
        FRAMES,
        "producer",
    ),
    Mutant(
        "a decoded frame is read before it is there",
        f"{CUDA}/video.py",
        "            stream.wait(join_stream(device, frame.stream))",
        "            pass",
        f"{TESTS}/test_decoded_frames.py",
        "producer",
    ),
    Mutant(
        "a decoded frame goes back to its decoder while it is read",
        f"{CUDA}/video.py",
        "            self._submit(windows, slots, parity, frame)",
        "            self._submit(windows, slots, parity, None)",
        f"{TESTS}/test_decoded_frames.py",
        "is_held",
    ),
    Mutant(
        "a decoded frame's card is not looked at",
        f"{CUDA}/planes.py",
        "    if planes.card != card:\n",
        "    if False:\n",
        f"{TESTS}/test_decoded_frames.py",
        "refused",
    ),
    # Device arrays.
    Mutant(
        "an array's card is not looked at",
        f"{CUDA}/arrays.py",
        "    if found != card:\n",
        "    if False:\n",
        FRAMES,
        "disturb",
    ),
    Mutant(
        "DLPack comes last",
        f"{CUDA}/arrays.py",
        'if hasattr(array, "__dlpack__") and not isinstance(array, np.ndarray):',
        'if hasattr(array, "__dlpack__") and not hasattr(array, "__cuda_array_interface__"):',
        f"{TESTS}/test_arrays.py",
        "comes_first",
    ),
    # Errors.
    Mutant(
        "an error leaves its stream capturing",
        f"{CUDA}/runs.py",
        """        finally:
            builder.end_building()
        graph: Graph = builder.complete(GraphCompleteOptions(upload_stream=stream))
        return graph
    finally:
        builder.close()
""",
        """        except ZeroDivisionError:
            pass
        builder.end_building()
        graph: Graph = builder.complete(GraphCompleteOptions(upload_stream=stream))
        builder.close()
        return graph
    except ZeroDivisionError:
        raise
""",
        FRAMES,
        "ends_the_capture",
    ),
    Mutant(
        "a state keeps what is no number",
        "engine/turns.py",
        "            broken.frames = 0\n",
        "",
        FRAMES,
        "begins_anew",
    ),
    Mutant(
        "the frame after one that came to nothing is trusted",
        "engine/turns.py",
        "                later.spoil(broken)\n",
        "                pass\n",
        FRAMES,
        "hand_it_on",
    ),
    Mutant(
        "a lost card looks like any error",
        f"{CUDA}/guest.py",
        "        if any(word in text for word in STICKY):",
        "        if False:",
        FRAMES,
        "sticky",
    ),
    # Conversions.
    Mutant(
        "a picture is converted another way than on the host",
        "kernels/sources/face_picture.cu",
        "(value - 0.5f) / 0.5f",
        "static_cast<float>(picture[pixel * 3 + k]) / 127.5f - 1.0f",
        f"{TESTS}/test_card_restorer.py",
        "as_on_the_cpu",
    ),
    Mutant(
        "results are cut off where the host rounds",
        "kernels/sources/portable.cuh",
        "(rounded((clamp(value, -1.0f, 1.0f) + 1.0f) * 0.5f * 255.0f))",
        "((clamp(value, -1.0f, 1.0f) + 1.0f) * 0.5f * 255.0f)",
        FRAMES,
        "those_of_the_cpu",
    ),
    # Small pictures.
    Mutant(
        "a small picture is read before it is made",
        f"{CUDA}/shrinking.py",
        "            self._done.sync()\n",
        "",
        SHRINKING,
        "waited_for",
    ),
    Mutant(
        "a decoded frame is made smaller before it is decoded",
        f"{CUDA}/shrinking.py",
        "            self._stream.wait(join_stream(device, planes.stream))\n",
        "",
        SHRINKING,
        "read_on_its_card",
    ),
    Mutant(
        "small pictures are made in whatever context is current",
        f"{CUDA}/shrinking.py",
        'with self._visit, one_line("a small picture failed on the card"):',
        'with one_line("a small picture failed on the card"):',
        SHRINKING,
        "waited_for or two_cards",
    ),
    Mutant(
        "the next small picture is written over the one before",
        f"{CUDA}/shrinking.py",
        "return np.array(self._picture)",
        "return self._picture",
        SHRINKING,
        "own",
    ),
    Mutant(
        "the memory of small pictures is not given back",
        f"{CUDA}/shrinking.py",
        "            self._memory.close()\n",
        "",
        SHRINKING,
        "given_back",
    ),
    Mutant(
        "a frame of other colours is converted by the first one's",
        "engine/pipeline/small.py",
        "if frame.colour != self._info.colour:",
        "if False:",
        SHRINKING,
        "other_colours",
    ),
    Mutant(
        "small pictures are left open when their video ends",
        "engine/pipeline/looking.py",
        "            self._small.close()\n",
        "            pass\n",
        SHRINKING,
        "ends_by_an_error",
    ),
]
