"""What the engine achieved: statistics over the evidence it left and, in simulations, over the sealed truth.

Pure functions over frames and arrays. Nothing here decides anything: the engine never imports this room.
"""
