"""The machine: processor, devices, versions, and missing requirements of features.

facts       facts on which figures can depend, for records, benchmarks and certificates
git_state   commit of the repository around the current directory
doctor      `lossbench doctor`

May import discovery, files and errors.
"""
