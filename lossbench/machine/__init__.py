"""The machine: processor, devices, versions, and missing requirements of features.

facts    facts on which figures can depend, for records, benchmarks and certificates
doctor   `lossbench doctor`

May import discovery, files and errors.
"""
