"""The machine: processor, devices, versions, and what is missing for what.

facts    what figures may depend on: written into records, benchmarks and certificates
doctor   `lossbench doctor`

May import discovery, files and errors.
"""
