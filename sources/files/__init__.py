"""Events from files: ``source`` reads, ``blocks`` unpacks gzip, ``lines`` splits lines, ``input_positions`` records how far it was read."""
