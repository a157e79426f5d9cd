"""Mistakes with pictures on a card: conversions, and the small ones that faces are found in."""

from __future__ import annotations

from tests.cuda_driver.mutant import CUDA, FRAMES, TESTS, Mutant

SHRINKING = f"{TESTS}/test_card_shrinking.py"

PICTURE_MUTANTS = [
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
