"""How many streams go on air restored: the channels of `bench --scenario live`."""
