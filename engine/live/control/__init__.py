"""The control page: a small process of its own beside the wire, and how the wire holds it.

Nothing in this file, `address` or `process` loads aiohttp: the wire does without it.
"""
