"""Mistakes with frames, states and their streams that a card would punish."""

from __future__ import annotations

from tests.cuda_driver.mutant import CUDA, FRAMES, TESTS, Mutant

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
]
