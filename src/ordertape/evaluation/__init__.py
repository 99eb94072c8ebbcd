"""Detectors judged: labelled flow of the simulator, clean flow, common rules, real tapes."""
