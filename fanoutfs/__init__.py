"""fanoutfs: read a disk once, copy it to many.

The listing is the way of the data: ``source`` → ``producer`` → ``ring`` → ``consumer`` → ``sink``.
"""
