"""The parts of the plan builder: what is asked for, what effects are keyed by, an op in the making. Pure."""
