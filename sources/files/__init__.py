"""Events from files: ``source`` reads, ``blocks`` unpacks gzip, ``lines`` splits lines, ``input_positions`` remembers how far each was read."""
