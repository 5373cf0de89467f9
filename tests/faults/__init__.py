"""Breaks the real program and counts what is lost: `make faults`, from `python -m faults` in the folder of the tests.

A fault is a kind and a number, such as kill:17; the number decides all that is left to chance. A fault is tried in a
scene, a folder of its own: the program is called, struck, and called again; then what its calls printed, the processes
that outlived them, the store and the files are counted. Needs Linux.
"""
